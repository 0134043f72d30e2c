//go:build amd64 && !noasm

package amd64

// AdamAVX2 makes one step of Adam, ref.Adam, on n elements, a multiple of 8.
// Needs AVX.
//
//go:noescape
func AdamAVX2(x, down, first, second *float32, n int, rate, scale float32)

// AdamAVX512 is AdamAVX2 for a multiple of 16 elements. Needs AVX512F.
//
//go:noescape
func AdamAVX512(x, down, first, second *float32, n int, rate, scale float32)
