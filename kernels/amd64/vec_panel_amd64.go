//go:build amd64 && !noasm

package amd64

import "unsafe"

// Panels are transposed four or two rows at a time by kernels that move words
// of 32 bits: an f32, or two bf16 that lie side by side in the panel anyway.

// panelBlock is the words of a row that are packed before the next row group's:
// all groups' writes to the same lines then meet in L1.
const panelBlock = 256

// PanelF32AVX2 computes
//
//	for j := range k {
//		for i := range mr {
//			dst[j*mr+i] = 0 // or, where i < rows,
//			dst[j*mr+i] = src[i*ld+j]
//		}
//	}
func PanelF32AVX2(dst, src []float32, ld, rows, k, mr int) {
	panelF32(dst, src, ld, rows, k, mr, false, false)
}

// PanelF32AVX512 computes the same as PanelF32AVX2.
func PanelF32AVX512(dst, src []float32, ld, rows, k, mr int) {
	panelF32(dst, src, ld, rows, k, mr, false, true)
}

// PanelF32RoundAVX2 is PanelF32AVX2 of values rounded to bf16.
func PanelF32RoundAVX2(dst, src []float32, ld, rows, k, mr int) {
	panelF32(dst, src, ld, rows, k, mr, true, false)
}

// PanelF32RoundAVX512 computes the same as PanelF32RoundAVX2.
func PanelF32RoundAVX512(dst, src []float32, ld, rows, k, mr int) {
	panelF32(dst, src, ld, rows, k, mr, true, true)
}

// PanelBF16AVX2 computes, with 0 for what src does not have,
//
//	for j := range (k + 1) / 2 {
//		for i := range mr {
//			dst[(j*mr+i)*2] = toBF16(src[i*ld+2*j])
//			dst[(j*mr+i)*2+1] = toBF16(src[i*ld+2*j+1])
//		}
//	}
func PanelBF16AVX2(dst []uint16, src []float32, ld, rows, k, mr int) {
	panelBF16(dst, src, ld, rows, k, mr, false)
}

// PanelBF16AVX512 computes the same as PanelBF16AVX2.
func PanelBF16AVX512(dst []uint16, src []float32, ld, rows, k, mr int) {
	panelBF16(dst, src, ld, rows, k, mr, true)
}

func panelF32(dst, src []float32, ld, rows, k, mr int, round, wide bool) {
	switch {
	case rows == 0:
		clear(dst[:k*mr])
		return
	case mr == 1 && round:
		roundBF16(dst[:k], src[:k], wide)
		return
	case mr == 1:
		copy(dst[:k], src[:k])
		return
	}
	for j := 0; j < k; j += panelBlock {
		n := min(panelBlock, k-j)
		out := dst[j*mr : (j+n)*mr]
		for i := 0; i < mr; i += 4 {
			from := &src[j] // where no row is left: nothing of it is used
			if i < rows {
				from = &src[i*ld+j]
			}
			have := max(0, min(4, rows-i))
			transpose(unsafe.Pointer(&out[i]), unsafe.Pointer(from), ld, have, n, mr, min(4, mr-i), wide)
		}
		if round {
			roundBF16(out, out, wide)
		}
	}
}

func panelBF16(dst []uint16, src []float32, ld, rows, k, mr int, wide bool) {
	switch {
	case rows == 0:
		clear(dst[:(k+1)/2*2*mr])
	case mr == 1:
		toBF16(dst[:k], src[:k], wide)
		clear(dst[k : (k+1)&^1])
	default:
		panelPairs(dst, src, ld, rows, k, mr, wide)
	}
}

func panelPairs(dst []uint16, src []float32, ld, rows, k, mr int, wide bool) {
	var pairs [4 * panelBlock]uint16 // [rows of a group, panelBlock]
	for j := 0; j < k; j += panelBlock {
		n := min(panelBlock, k-j)
		even := (n + 1) &^ 1
		for i := 0; i < mr; i += 4 {
			have := max(0, min(4, rows-i))
			for r := range have {
				row := pairs[r*panelBlock:][:even]
				toBF16(row[:n], src[(i+r)*ld+j:][:n], wide)
				clear(row[n:])
			}
			at := unsafe.Pointer(&dst[j*mr+2*i])
			transpose(at, unsafe.Pointer(&pairs), panelBlock/2, have, even/2, mr, min(4, mr-i), wide)
		}
	}
}

// transpose puts n columns of one group, of 4 or 2 rows, at their place in a
// panel of mr tokens. In words; at least one row of src can be read.
func transpose(dst, src unsafe.Pointer, ld, rows, n, mr, group int, wide bool) {
	step, pitch := 4*mr, 4*ld
	done := 0
	if group == 2 {
		transpose2AVX2(dst, step, src, pitch, rows, n)
	} else {
		if wide {
			transpose4AVX512(dst, step, src, pitch, rows, n)
			done = n &^ 15
		}
		if done < n {
			transpose4AVX2(unsafe.Add(dst, done*step), step, unsafe.Add(src, 4*done), pitch, rows, n-done)
		}
	}
	for j := n &^ 3; j < n; j++ {
		for r := range group {
			word := uint32(0)
			if r < rows {
				word = *(*uint32)(unsafe.Add(src, r*pitch+4*j))
			}
			*(*uint32)(unsafe.Add(dst, j*step+4*r)) = word
		}
	}
}

// transpose4AVX2 computes, in words of 32 bits with step and ld in bytes, for
// the first n&^3 columns and rows in 0 … 4,
//
//	for j := range n &^ 3 {
//		for i := range 4 {
//			dst[j*step+i] = 0 // or, where i < rows,
//			dst[j*step+i] = src[i*ld+j]
//		}
//	}
//
//go:noescape
func transpose4AVX2(dst unsafe.Pointer, step int, src unsafe.Pointer, ld, rows, n int)

// transpose2AVX2 is transpose4AVX2 of two rows.
//
//go:noescape
func transpose2AVX2(dst unsafe.Pointer, step int, src unsafe.Pointer, ld, rows, n int)

// transpose4AVX512 is transpose4AVX2 of the first n&^15 columns.
//
//go:noescape
func transpose4AVX512(dst unsafe.Pointer, step int, src unsafe.Pointer, ld, rows, n int)

func toBF16(dst []uint16, src []float32, wide bool) {
	if wide {
		ToBF16AVX512(dst, src)
	} else {
		ToBF16AVX2(dst, src)
	}
}

func roundBF16(dst, src []float32, wide bool) {
	if wide {
		RoundBF16AVX512(dst, src)
	} else {
		RoundBF16AVX2(dst, src)
	}
}
