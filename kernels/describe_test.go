package kernels

import (
	"strings"
	"testing"
)

// TestKernelNames: no pair of types is without a name, and no instruction set is
// claimed that the backend does not have.
func TestKernelNames(t *testing.T) {
	for isa := Ref; isa <= AMX; isa++ {
		for _, compute := range []DType{F32, BF16} {
			c := &CPU{isa: isa, compute: compute}
			names := append(isaNames[:], "avx512vnni")
			for bits, weights := range map[int]string{32: "f32", 16: "bf16", 8: "int8", 4: "int4"} {
				set, types, _ := strings.Cut(c.kernel(c.denseTypes(bits)), " ")
				if !strings.HasPrefix(types, weights+"·") {
					t.Errorf("%v, %v, %d bits: got types %q", isa, compute, bits, types)
				}
				at := 0
				for names[at] != set {
					at++
				}
				if ISA(at) > isa && (set != "avx512vnni" || isa < AVX512 || isa == AMX) {
					t.Errorf("%v, %v, %d bits: got %q", isa, compute, bits, set)
				}
				if isa == AMX && compute == BF16 && bits == 16 && set != "amx" {
					t.Errorf("bf16 on AMX: got %q", set)
				}
			}
		}
	}
}
