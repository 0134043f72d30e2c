//go:build amd64 && !noasm

package amd64

// Keys and values in int8. What an instruction set needs is as for the vector
// kernels, and all give the same bits.

// CodesToBF16AVX2 computes
//
//	for i := range dst {
//		dst[i] = toBF16(float32(src[i]))
//	}
//
//go:noescape
func CodesToBF16AVX2(dst []uint16, src []int8)

// CodesToBF16AVX512 computes the same as CodesToBF16AVX2.
//
//go:noescape
func CodesToBF16AVX512(dst []uint16, src []int8)

// MaxAbsAVX2 computes, with NaN as the largest of all,
//
//	m := float32(0)
//	for _, v := range x {
//		m = max(m, abs(v))
//	}
//
//go:noescape
func MaxAbsAVX2(x []float32) float32

// Int8CodesAVX2 computes, for quotients within int8,
//
//	for i := range x {
//		codes[i] = int8(roundToEven(x[i] / scale))
//	}
//
//go:noescape
func Int8CodesAVX2(codes []int8, x []float32, scale float32)

// Int8CodesAVX512 computes the same as Int8CodesAVX2.
//
//go:noescape
func Int8CodesAVX512(codes []int8, x []float32, scale float32)

// KeyScoresAVX2 computes, where dot is 32 sums, added by halves as in package ref:
//
//	for i := range 16 {
//		y[i] = y[i]*scales[i] + dot(q, c)
//	}
//
//go:noescape
func KeyScoresAVX2(y, scales *[16]float32, q, c []float32)

// KeyScoresAVX512 computes the same as KeyScoresAVX2.
//
//go:noescape
func KeyScoresAVX512(y, scales *[16]float32, q, c []float32)

// HadamardAVX2 computes, where block is a power of two of at least 8 that divides
// the length of x:
//
//	for h := 1; h < block; h *= 2 {
//		for i := 0; i < len(x); i += 2 * h {
//			for j := i; j < i+h; j++ {
//				x[j], x[j+h] = x[j]+x[j+h], x[j]-x[j+h]
//			}
//		}
//	}
//
//go:noescape
func HadamardAVX2(x []float32, block int)
