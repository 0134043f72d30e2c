package runtime

import (
	"fmt"
	"strings"

	"armor/kernels"
)

// KV is how keys and values are kept.
type KV int

const (
	KVAuto KV = iota // as the backend computes
	KVBF16
	KVF32
	KVInt8 // a scale for each head's vector
)

var kvNames = [...]string{"auto", "bf16", "f32", "int8"}

func (k KV) String() string { return kvNames[k] }

// ParseKV reads a name: auto, bf16, f32 or int8.
func ParseKV(name string) (KV, error) {
	for i, n := range kvNames {
		if n == name {
			return KV(i), nil
		}
	}
	return 0, fmt.Errorf("got %q, want one of %s", name, strings.Join(kvNames[:], ", "))
}

// DType is the type of the pages where activations are computed in compute.
func (k KV) DType(compute kernels.DType) kernels.DType {
	switch k {
	case KVBF16:
		return kernels.BF16
	case KVF32:
		return kernels.F32
	case KVInt8:
		return kernels.Int8
	default:
		return compute
	}
}
