//go:build amd64 && !noasm

package amd64

import "unsafe"

// ScaleCodesAVX2 is ref.ScaleCodes of n scales of each codes, 16 or 32. Needs AVX2.
//
//go:noescape
func ScaleCodesAVX2(dst *float32, codes *byte, offset int32, scales, less *float32, n, each int)

// BitFieldsAVX2 is ref.BitFields of n fields, two bytes each. Needs AVX2.
//
//go:noescape
func BitFieldsAVX2(codes, src *byte, fields unsafe.Pointer, n int, mask byte, up, add int)

// FromF16AVX2 is ref.FromF16 of n numbers, whole eights. Needs AVX2, F16C.
//
//go:noescape
func FromF16AVX2(dst *float32, src *uint16, n int)
