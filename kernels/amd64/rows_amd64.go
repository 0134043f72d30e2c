//go:build amd64 && !noasm

package amd64

import "unsafe"

// RowsBF16AVX512BF16 is ref.RowsBF16: rows of k inputs, dst pitch and src ld
// apart. Needs AVX512F, AVX512BW, AVX512_BF16.
//
//go:noescape
func RowsBF16AVX512BF16(dst unsafe.Pointer, pitch int, src *float32, ld, rows, k int)
