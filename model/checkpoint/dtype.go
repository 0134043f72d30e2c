package checkpoint

import (
	"fmt"

	"github.com/nlpodyssey/safetensors"
)

// DType is how a file stores the elements of a tensor.
type DType uint8

// The types of the safetensors format that this build knows by name. Only F32,
// F16 and BF16 can be read as floats.
const (
	F32 DType = iota + 1
	F16
	BF16
	F64
	I8
	U8
	I16
	U16
	I32
	U32
	I64
	U64
	Bool
)

// dtypeOf gives safetensors' type as ours.
func dtypeOf(d safetensors.DType) (DType, error) {
	switch d {
	case safetensors.F32:
		return F32, nil
	case safetensors.F16:
		return F16, nil
	case safetensors.BF16:
		return BF16, nil
	case safetensors.F64:
		return F64, nil
	case safetensors.I8:
		return I8, nil
	case safetensors.U8:
		return U8, nil
	case safetensors.I16:
		return I16, nil
	case safetensors.U16:
		return U16, nil
	case safetensors.I32:
		return I32, nil
	case safetensors.U32:
		return U32, nil
	case safetensors.I64:
		return I64, nil
	case safetensors.U64:
		return U64, nil
	case safetensors.BOOL:
		return Bool, nil
	}
	return 0, fmt.Errorf("dtype: got safetensors' %d, want one that this build knows", d)
}

// String gives the format's name of the type.
func (d DType) String() string {
	names := [...]string{F32: "F32", F16: "F16", BF16: "BF16", F64: "F64", I8: "I8", U8: "U8",
		I16: "I16", U16: "U16", I32: "I32", U32: "U32", I64: "I64", U64: "U64", Bool: "BOOL"}
	if d == 0 || int(d) >= len(names) {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return names[d]
}

// Size gives the bytes of one element.
func (d DType) Size() int64 {
	switch d {
	case F64, I64, U64:
		return 8
	case F32, I32, U32:
		return 4
	case F16, BF16, I16, U16:
		return 2
	}
	return 1
}

// Float reports whether ReadRows can read the type.
func (d DType) Float() bool { return d == F32 || d == F16 || d == BF16 }
