package kernels

import (
	"fmt"
	"strings"
)

// ISA is the instruction set that the CPU backend's kernels are written in.
type ISA int

const (
	Ref        ISA = iota // plain Go
	AVX2                  // AVX2, FMA3, F16C, BMI2
	AVX512                // + AVX-512 F, BW, VL, DQ
	AVX512BF16            // + AVX512_BF16
	AMX                   // + AMX_TILE, AMX_BF16, AMX_INT8, AVX512_VNNI, AVX512_VBMI
)

var isaNames = [...]string{"ref", "avx2", "avx512", "avx512bf16", "amx"}

func (i ISA) String() string { return isaNames[i] }

// ParseISA reads the name of an instruction set; "" is the best this CPU has.
func ParseISA(name string) (ISA, error) {
	best := BestISA()
	if name == "" {
		return best, nil
	}
	for i, n := range isaNames {
		if n != name {
			continue
		}
		if ISA(i) > best {
			return 0, fmt.Errorf("instruction set %s: this processor or build has only %s", name, strings.Join(isaNames[:best+1], ", "))
		}
		return ISA(i), nil
	}
	return 0, fmt.Errorf("unknown instruction set %q, want one of %s", name, strings.Join(isaNames[:], ", "))
}
