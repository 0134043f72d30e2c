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

// AdamKeptAVX2 is ref.AdamKept of groups groups, a multiple of 2. Needs AVX.
//
//go:noescape
func AdamKeptAVX2(x *float32, mask *uint8, down, first, second *float32, groups int, rate, scale float32)

// AdamKeptAVX512 is AdamKeptAVX2 for a multiple of 8 groups. Needs AVX512F, VL.
//
//go:noescape
func AdamKeptAVX512(x *float32, mask *uint8, down, first, second *float32, groups int, rate, scale float32)

// AbsSumsAVX2 is ref.AbsSums of chunks whole chunks. Needs AVX.
//
//go:noescape
func AbsSumsAVX2(sums *float64, x *float32, chunks int)

// AbsSumsAVX512 computes the same as AbsSumsAVX2. Needs AVX512F.
//
//go:noescape
func AbsSumsAVX512(sums *float64, x *float32, chunks int)
