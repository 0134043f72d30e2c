package ref

import (
	"math"

	"github.com/x448/float16"
)

// sums are the partial sums of a reduction: element i goes to sum i%32. That
// many fill the vector units of every instruction set, in the same order.
type sums [32]float32

// total adds the upper half to the lower until one is left.
func (s *sums) total() float32 {
	for h := len(s) / 2; h > 0; h /= 2 {
		for i := range h {
			s[i] += s[h+i]
		}
	}
	return s[0]
}

// SumSquares is Σ x².
func SumSquares(x []float32) float32 {
	var s sums
	for i, v := range x {
		s[i%32] = fma(v, v, s[i%32])
	}
	return s.total()
}

// ScaleMul sets dst to (x·s)·w.
func ScaleMul(dst, x, w []float32, s float32) {
	for i := range dst {
		dst[i] = (x[i] * s) * w[i]
	}
}

// SwiGLU sets dst to silu(gate)·up, where silu(g) = g/(1+exp(-g)) and its
// limits 0 and +Inf.
func SwiGLU(dst, gate, up []float32) {
	for i := range dst {
		g := max(float64(gate[i]), -1000) // -Inf over Inf would be NaN
		dst[i] = float32(g/(1+math.Exp(-g))) * up[i]
	}
}

// Max is the largest of x, which is not empty. With a NaN it is any value.
func Max(x []float32) float32 {
	m := x[0]
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

// ExpSum sets x to exp((x-max)·scale) and returns Σ x. The assembly gives 0
// below 2⁻¹²⁶ and +Inf above exp(88.3).
func ExpSum(x []float32, scale, max float32) float32 {
	var s sums
	for i, v := range x {
		x[i] = float32(math.Exp(float64((v - max) * scale)))
		s[i%32] += x[i]
	}
	return s.total()
}

// Rope rotates the halves of x: transformers' x·cos + rotate_half(x)·sin. The
// conversions keep a compiler from fusing, so that every machine agrees.
func Rope(x, cos, sin []float32) {
	h := len(cos)
	for i, c := range cos {
		a, b, s := x[i], x[h+i], sin[i]
		x[i] = float32(a*c) - float32(b*s)
		x[h+i] = float32(b*c) + float32(a*s)
	}
}

// Scale multiplies x by s.
func Scale(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

// Add adds x to dst.
func Add(dst, x []float32) {
	for i := range dst {
		dst[i] += x[i]
	}
}

// ToBF16 rounds src to the nearest bf16, halves to even. NaN becomes quiet.
func ToBF16(dst []uint16, src []float32) {
	for i := range dst {
		dst[i] = BF16Bits(src[i])
	}
}

// FromBF16 widens src.
func FromBF16(dst []float32, src []uint16) {
	for i := range dst {
		dst[i] = fromBF16(src[i])
	}
}

// FromF16 widens src, which is float16.
func FromF16(dst []float32, src []uint16) {
	for i, h := range src[:len(dst)] {
		dst[i] = float16.Frombits(h).Float32()
	}
}

// RoundBF16 is ToBF16 kept as f32.
func RoundBF16(dst, src []float32) {
	for i := range dst {
		dst[i] = fromBF16(BF16Bits(src[i]))
	}
}

// BF16Bits rounds to the nearest bf16, to even between two; NaN stays a NaN.
func BF16Bits(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// PanelF32 packs rows of a row-major matrix into a panel [k][mr] of tokens. The
// rows that are missing become 0.
func PanelF32(dst, src []float32, ld, rows, k, mr int) {
	for j := range k {
		for i := range mr {
			dst[j*mr+i] = element(src, ld, rows, k, i, j)
		}
	}
}

// PanelF32Round is PanelF32 of values rounded to bf16.
func PanelF32Round(dst, src []float32, ld, rows, k, mr int) {
	PanelF32(dst, src, ld, rows, k, mr)
	RoundBF16(dst[:k*mr], dst)
}

// PanelBF16 packs into a panel [⌈k/2⌉][mr][2] of bf16: two neighbouring columns
// of a token side by side.
func PanelBF16(dst []uint16, src []float32, ld, rows, k, mr int) {
	for j := 0; j < k; j += 2 {
		for i := range mr {
			pair := dst[(j/2*mr+i)*2:]
			pair[0] = BF16Bits(element(src, ld, rows, k, i, j))
			pair[1] = BF16Bits(element(src, ld, rows, k, i, j+1))
		}
	}
}

// element is row i, column j, and 0 outside of the matrix.
func element(src []float32, ld, rows, k, i, j int) float32 {
	if i >= rows || j >= k {
		return 0
	}
	return src[i*ld+j]
}
