//go:build amd64 && !noasm

package amd64

// The AVX2 kernels need AVX2 and FMA3, the AVX512 kernels AVX-512 F and DQ (for
// VXORPS). Lengths are those of the first slice. Both give the same bits, except
// for which zero or NaN Max returns.

// SumSquaresAVX2 computes, where s is 32 sums, added by halves as in package ref:
//
//	for i, v := range x {
//		s[i%32] = fma(v, v, s[i%32])
//	}
//
//go:noescape
func SumSquaresAVX2(x []float32) float32

// SumSquaresAVX512 computes the same as SumSquaresAVX2.
//
//go:noescape
func SumSquaresAVX512(x []float32) float32

// ScaleMulAVX2 computes
//
//	for i := range dst {
//		dst[i] = (x[i] * s) * w[i]
//	}
//
//go:noescape
func ScaleMulAVX2(dst, x, w []float32, s float32)

// ScaleMulAVX512 computes the same as ScaleMulAVX2.
//
//go:noescape
func ScaleMulAVX512(dst, x, w []float32, s float32)

// SwiGLUAVX2 computes
//
//	for i := range dst {
//		dst[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
//	}
//
//go:noescape
func SwiGLUAVX2(dst, gate, up []float32)

// SwiGLUAVX512 computes the same as SwiGLUAVX2.
//
//go:noescape
func SwiGLUAVX512(dst, gate, up []float32)

// MaxAVX2 computes
//
//	m := x[0]
//	for _, v := range x {
//		m = max(m, v)
//	}
//
//go:noescape
func MaxAVX2(x []float32) float32

// MaxAVX512 computes the same as MaxAVX2.
//
//go:noescape
func MaxAVX512(x []float32) float32

// ExpSumAVX2 computes, where s is 32 sums, added by halves as in package ref:
//
//	for i := range x {
//		x[i] = exp((x[i] - max) * scale)
//		s[i%32] += x[i]
//	}
//
//go:noescape
func ExpSumAVX2(x []float32, scale, max float32) float32

// ExpSumAVX512 computes the same as ExpSumAVX2.
//
//go:noescape
func ExpSumAVX512(x []float32, scale, max float32) float32

// RopeAVX2 computes
//
//	for i, h := 0, len(cos); i < h; i++ {
//		a, b := x[i], x[h+i]
//		x[i] = a*cos[i] - b*sin[i]
//		x[h+i] = b*cos[i] + a*sin[i]
//	}
//
//go:noescape
func RopeAVX2(x, cos, sin []float32)

// RopeAVX512 computes the same as RopeAVX2.
//
//go:noescape
func RopeAVX512(x, cos, sin []float32)

// ScaleAVX2 computes
//
//	for i := range x {
//		x[i] *= s
//	}
//
//go:noescape
func ScaleAVX2(x []float32, s float32)

// ScaleAVX512 computes the same as ScaleAVX2.
//
//go:noescape
func ScaleAVX512(x []float32, s float32)

// AddAVX2 computes
//
//	for i := range dst {
//		dst[i] += x[i]
//	}
//
//go:noescape
func AddAVX2(dst, x []float32)

// AddAVX512 computes the same as AddAVX2.
//
//go:noescape
func AddAVX512(dst, x []float32)

// ToBF16AVX2 computes
//
//	for i := range dst {
//		dst[i] = toBF16(src[i])
//	}
//
//go:noescape
func ToBF16AVX2(dst []uint16, src []float32)

// ToBF16AVX512 computes the same as ToBF16AVX2.
//
//go:noescape
func ToBF16AVX512(dst []uint16, src []float32)

// FromBF16AVX2 computes
//
//	for i := range dst {
//		dst[i] = fromBF16(src[i])
//	}
//
//go:noescape
func FromBF16AVX2(dst []float32, src []uint16)

// FromBF16AVX512 computes the same as FromBF16AVX2.
//
//go:noescape
func FromBF16AVX512(dst []float32, src []uint16)

// RoundBF16AVX2 computes
//
//	for i := range dst {
//		dst[i] = fromBF16(toBF16(src[i]))
//	}
//
//go:noescape
func RoundBF16AVX2(dst, src []float32)

// RoundBF16AVX512 computes the same as RoundBF16AVX2.
//
//go:noescape
func RoundBF16AVX512(dst, src []float32)
