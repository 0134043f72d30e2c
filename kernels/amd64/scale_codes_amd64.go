//go:build amd64 && !noasm

package amd64

// ScaleCodesAVX2 is ref.ScaleCodes of n scales of each codes, 16 or 32. Needs AVX2.
//
//go:noescape
func ScaleCodesAVX2(dst *float32, codes *byte, scales, less *float32, n, each int)
