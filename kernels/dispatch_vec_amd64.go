//go:build amd64 && !noasm

package kernels

import (
	"unsafe"

	"armor/kernels/amd64"
	"armor/kernels/ref"

	"github.com/klauspost/cpuid/v2"
)

// The vector operations, see package ref for what each computes.

func (c *CPU) sumSquares(x []float32) float32 {
	switch {
	case c.isa >= AVX512:
		return amd64.SumSquaresAVX512(x)
	case c.isa == AVX2:
		return amd64.SumSquaresAVX2(x)
	default:
		return ref.SumSquares(x)
	}
}

func (c *CPU) scaleMul(dst, x, w []float32, s float32) {
	switch {
	case c.isa >= AVX512:
		amd64.ScaleMulAVX512(dst, x, w, s)
	case c.isa == AVX2:
		amd64.ScaleMulAVX2(dst, x, w, s)
	default:
		ref.ScaleMul(dst, x, w, s)
	}
}

func (c *CPU) swiGLU(dst, gate, up []float32) {
	switch {
	case c.isa >= AVX512:
		amd64.SwiGLUAVX512(dst, gate, up)
	case c.isa == AVX2:
		amd64.SwiGLUAVX2(dst, gate, up)
	default:
		ref.SwiGLU(dst, gate, up)
	}
}

func (c *CPU) max(x []float32) float32 {
	switch {
	case c.isa >= AVX512:
		return amd64.MaxAVX512(x)
	case c.isa == AVX2:
		return amd64.MaxAVX2(x)
	default:
		return ref.Max(x)
	}
}

func (c *CPU) expSum(x []float32, scale, max float32) float32 {
	switch {
	case c.isa >= AVX512:
		return amd64.ExpSumAVX512(x, scale, max)
	case c.isa == AVX2:
		return amd64.ExpSumAVX2(x, scale, max)
	default:
		return ref.ExpSum(x, scale, max)
	}
}

func (c *CPU) rope(x, cos, sin []float32) {
	switch {
	case c.isa >= AVX512:
		amd64.RopeAVX512(x, cos, sin)
	case c.isa == AVX2:
		amd64.RopeAVX2(x, cos, sin)
	default:
		ref.Rope(x, cos, sin)
	}
}

func (c *CPU) scale(x []float32, s float32) {
	switch {
	case c.isa >= AVX512:
		amd64.ScaleAVX512(x, s)
	case c.isa == AVX2:
		amd64.ScaleAVX2(x, s)
	default:
		ref.Scale(x, s)
	}
}

func (c *CPU) add(dst, x []float32) {
	switch {
	case c.isa >= AVX512:
		amd64.AddAVX512(dst, x)
	case c.isa == AVX2:
		amd64.AddAVX2(dst, x)
	default:
		ref.Add(dst, x)
	}
}

func (c *CPU) toBF16(dst []uint16, src []float32) {
	_ = src[:len(dst)]
	switch {
	case c.isa >= AVX512:
		amd64.ToBF16AVX512(dst, src)
	case c.isa == AVX2:
		amd64.ToBF16AVX2(dst, src)
	default:
		ref.ToBF16(dst, src)
	}
}

// hasAVX2 is for what runs without a CPU to say which instruction set it has.
var (
	hasAVX2 = cpuid.CPU.Supports(cpuid.AVX2)
	hasF16C = cpuid.CPU.Supports(cpuid.AVX2, cpuid.F16C)
)

func fromBF16(dst []float32, src []uint16) {
	_ = src[:len(dst)]
	if hasAVX2 {
		amd64.FromBF16AVX2(dst, src)
	} else {
		ref.FromBF16(dst, src)
	}
}

func fromF16(dst []float32, src []uint16) {
	if eights := len(dst) &^ 7; eights > 0 && hasF16C {
		_ = src[:eights]
		amd64.FromF16AVX2(&dst[0], &src[0], eights)
		dst, src = dst[eights:], src[eights:]
	}
	ref.FromF16(dst, src)
}

func scaleCodes(dst []float32, codes []byte, offset int32, scales, less []float32, each int) {
	if hasAVX2 {
		amd64.ScaleCodesAVX2(&dst[0], &codes[0], offset, &scales[0], &less[0], len(scales), each)
	} else {
		ref.ScaleCodes(dst, codes, offset, scales, less, each)
	}
}

func bitFields(codes, src []byte, fields []BitField, mask byte, up int, add bool) {
	if hasAVX2 {
		amd64.BitFieldsAVX2(&codes[0], &src[0], unsafe.Pointer(&fields[0]), len(fields), mask, up, flag(add))
	} else {
		ref.BitFields(codes, src, fields, mask, up, add)
	}
}

func maxAbs(x []float32) float32 {
	if hasAVX2 {
		return amd64.MaxAbsAVX2(x)
	}
	return ref.MaxAbs(x)
}

// quantizeInt8 sets codes to x/scale and returns the scale, see package ref.
func (c *CPU) quantizeInt8(codes []int8, x []float32) float32 {
	if c.isa < AVX2 {
		return ref.QuantizeInt8(codes, x)
	}
	_ = codes[:len(x)]
	scale, usable := ref.Int8Scale(amd64.MaxAbsAVX2(x))
	switch {
	case !usable:
		clear(codes)
	case c.isa >= AVX512:
		amd64.Int8CodesAVX512(codes, x, scale)
	default:
		amd64.Int8CodesAVX2(codes, x, scale)
	}
	return scale
}

// codesToBF16 gives int8 codes as bf16, exactly.
func (c *CPU) codesToBF16(dst []uint16, src []int8) {
	_ = src[:len(dst)]
	switch {
	case c.isa >= AVX512:
		amd64.CodesToBF16AVX512(dst, src)
	case c.isa == AVX2:
		amd64.CodesToBF16AVX2(dst, src)
	default:
		ref.CodesToBF16(dst, src)
	}
}

// keyScores turns products with 16 keys' codes into those with the keys.
func (c *CPU) keyScores(y, scales *[16]float32, q, k []float32) {
	_ = k[:len(q)]
	switch {
	case c.isa >= AVX512:
		amd64.KeyScoresAVX512(y, scales, q, k)
	case c.isa == AVX2:
		amd64.KeyScoresAVX2(y, scales, q, k)
	default:
		ref.KeyScores(y, scales, q, k)
	}
}

// hadamard multiplies the blocks of x with Hadamard matrices.
func (c *CPU) hadamard(x []float32) {
	if block := ref.HadamardBlock(len(x)); c.isa >= AVX2 && block >= 8 {
		amd64.HadamardAVX2(x, block)
	} else {
		ref.Hadamard(x)
	}
}

// panel packs rows of src for the dense kernels.
func (c *CPU) panel(t denseTypes, dst []byte, src []float32, ld, rows, k, mr int) {
	round := t == bf16f32 && c.compute == BF16
	switch {
	case c.isa >= AVX512 && t == bf16bf16:
		amd64.PanelBF16AVX512(asU16(dst), src, ld, rows, k, mr)
	case c.isa >= AVX512 && round:
		amd64.PanelF32RoundAVX512(asF32(dst), src, ld, rows, k, mr)
	case c.isa >= AVX512:
		amd64.PanelF32AVX512(asF32(dst), src, ld, rows, k, mr)
	case c.isa == AVX2 && t == bf16bf16:
		amd64.PanelBF16AVX2(asU16(dst), src, ld, rows, k, mr)
	case c.isa == AVX2 && round:
		amd64.PanelF32RoundAVX2(asF32(dst), src, ld, rows, k, mr)
	case c.isa == AVX2:
		amd64.PanelF32AVX2(asF32(dst), src, ld, rows, k, mr)
	case t == bf16bf16:
		ref.PanelBF16(asU16(dst), src, ld, rows, k, mr)
	case round:
		ref.PanelF32Round(asF32(dst), src, ld, rows, k, mr)
	default:
		ref.PanelF32(asF32(dst), src, ld, rows, k, mr)
	}
}
