//go:build amd64 && !noasm

package amd64

import "armor/kernels/ref"

// AdamAVX2 makes one step of Adam, see ref.Adam.
func AdamAVX2(x, down, first, second []float32, rate, scale float32) {
	n := len(x) &^ 7
	if n > 0 {
		adamAVX2(&x[0], &down[0], &first[0], &second[0], n, rate, scale)
	}
	ref.Adam(x[n:], down[n:len(x)], first[n:len(x)], second[n:len(x)], rate, scale)
}

// AdamAVX512 computes the same as AdamAVX2, bit by bit.
func AdamAVX512(x, down, first, second []float32, rate, scale float32) {
	n := len(x) &^ 15
	if n > 0 {
		adamAVX512(&x[0], &down[0], &first[0], &second[0], n, rate, scale)
	}
	ref.Adam(x[n:], down[n:len(x)], first[n:len(x)], second[n:len(x)], rate, scale)
}

// adamAVX2 is ref.Adam for n elements, a multiple of 8. Needs AVX.
//
//go:noescape
func adamAVX2(x, down, first, second *float32, n int, rate, scale float32)

// adamAVX512 is ref.Adam for n elements, a multiple of 16. Needs AVX512F.
//
//go:noescape
func adamAVX512(x, down, first, second *float32, n int, rate, scale float32)
