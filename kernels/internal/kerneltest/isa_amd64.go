//go:build amd64 && !noasm

package kerneltest

import "github.com/klauspost/cpuid/v2"

// has is independent of the dispatch that it helps to test.
func (i ISA) has() bool {
	cpu := cpuid.CPU
	switch i {
	case AVX2:
		return cpu.Supports(cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.BMI2)
	case AVX512:
		return AVX2.has() && cpu.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ)
	case AVX512VNNI:
		return AVX512.has() && cpu.Supports(cpuid.AVX512VNNI, cpuid.AVX512VBMI)
	case AVX512BF16:
		return AVX512.has() && cpu.Supports(cpuid.AVX512BF16)
	case AMX:
		return AVX512BF16.has() && AVX512VNNI.has() && cpu.Supports(cpuid.AMXTILE, cpuid.AMXBF16, cpuid.AMXINT8) && permitAMX()
	}
	return false
}
