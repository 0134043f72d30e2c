//go:build amd64 && !noasm

package amd64

import "unsafe"

// BlockTransposeAVX2 sets dst [cols, rows] to the transpose of src [rows, cols].
func BlockTransposeAVX2(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	blockTranspose(dst, ldd, src, lds, rows, cols, false)
}

// BlockTransposeAVX512 computes the same as BlockTransposeAVX2.
func BlockTransposeAVX512(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	blockTranspose(dst, ldd, src, lds, rows, cols, true)
}

func blockTranspose(dst []float32, ldd int, src []float32, lds, rows, cols int, wide bool) {
	// As many rows of dst at a time as its lines stay in L1 where they share sets.
	const most = 64
	four := rows &^ 3
	for j := 0; j < cols; j += most {
		for i := 0; i < four; i += 4 {
			transpose(unsafe.Pointer(&dst[j*ldd+i]), unsafe.Pointer(&src[i*lds+j]), lds, 4, min(most, cols-j), ldd, 4, wide)
		}
	}
	for i := four; i < rows; i++ {
		for j, v := range src[i*lds:][:cols] {
			dst[j*ldd+i] = v
		}
	}
}

// squaredErrorPiece is how much is summed in f32: each of 64 (or 32) sums takes
// 16 (or 32) squares.
const squaredErrorPiece = 1024

// SquaredErrorAVX2 is Σ (a-b)², pieces of it summed in f32. Needs AVX2 and FMA3.
func SquaredErrorAVX2(a, b []float32) float64 {
	sum := 0.0
	for i := 0; i < len(a); i += squaredErrorPiece {
		n := min(squaredErrorPiece, len(a)-i)
		sum += float64(squaredErrorAVX2(a[i:i+n], b[i:i+n]))
	}
	return sum
}

// SquaredErrorAVX512 computes the same as SquaredErrorAVX2. Needs AVX512F.
func SquaredErrorAVX512(a, b []float32) float64 {
	sum := 0.0
	for i := 0; i < len(a); i += squaredErrorPiece {
		n := min(squaredErrorPiece, len(a)-i)
		sum += float64(squaredErrorAVX512(a[i:i+n], b[i:i+n]))
	}
	return sum
}

// squaredErrorAVX2 computes, with several sums,
//
//	for i, v := range a {
//		sum += (v - b[i]) * (v - b[i])
//	}
//
//go:noescape
func squaredErrorAVX2(a, b []float32) float32

// squaredErrorAVX512 computes the same as squaredErrorAVX2.
//
//go:noescape
func squaredErrorAVX512(a, b []float32) float32
