package checkpoint

import (
	"fmt"

	"github.com/nlpodyssey/safetensors"
)

// DType is how a file stores the elements of a tensor.
type DType uint8

// The types of the safetensors format that this build knows by name, and those
// in which GGUF files hold weights. F32, F16, BF16 and all from Q40 on can be read
// as floats.
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

	// Blocks of 32 elements.
	Q40
	Q41
	Q50
	Q51
	Q80

	// Blocks of 256 elements.
	Q2K
	Q3K
	Q4K
	Q5K
	Q6K
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
		I16: "I16", U16: "U16", I32: "I32", U32: "U32", I64: "I64", U64: "U64", Bool: "BOOL",
		Q40: "Q4_0", Q41: "Q4_1", Q50: "Q5_0", Q51: "Q5_1", Q80: "Q8_0",
		Q2K: "Q2_K", Q3K: "Q3_K", Q4K: "Q4_K", Q5K: "Q5_K", Q6K: "Q6_K"}
	if d == 0 || int(d) >= len(names) {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return names[d]
}

// Size gives the bytes of one element, 0 for the types that come in blocks.
func (d DType) Size() int64 {
	elements, bytes := d.Block()
	if elements > 1 {
		return 0
	}
	return int64(bytes)
}

// Block gives the elements that are stored together, along a row, and their bytes.
func (d DType) Block() (elements, bytes int) {
	switch d {
	case F64, I64, U64:
		return 1, 8
	case F32, I32, U32:
		return 1, 4
	case F16, BF16, I16, U16:
		return 1, 2
	case Q40:
		return 32, 18
	case Q41:
		return 32, 20
	case Q50:
		return 32, 22
	case Q51:
		return 32, 24
	case Q80:
		return 32, 34
	case Q2K:
		return 256, 84
	case Q3K:
		return 256, 110
	case Q4K:
		return 256, 144
	case Q5K:
		return 256, 176
	case Q6K:
		return 256, 210
	}
	return 1, 1
}

// Quantized reports whether elements are small integers times a scale.
func (d DType) Quantized() bool { return d >= Q40 && d <= Q6K }

// Float reports whether ReadRows can read the type.
func (d DType) Float() bool { return d == F32 || d == F16 || d == BF16 || d.Quantized() }
