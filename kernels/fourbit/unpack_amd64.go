//go:build amd64 && !noasm

package fourbit

import "github.com/klauspost/cpuid/v2"

var hasAVX2 = cpuid.CPU.Supports(cpuid.AVX2)

// unpackAVX2 is Unpack of n codes, whole 32, which flip is xored to before 8 is
// subtracted.
//
//go:noescape
func unpackAVX2(codes, src *byte, n int, flip byte)

// unpackBlocksAVX2 is UnpackBlocks of n blocks.
//
//go:noescape
func unpackBlocksAVX2(codes *byte, scales *uint16, src *byte, n int)

// foldAVX2 is Fold of n times 32 codes, step in bytes.
//
//go:noescape
func foldAVX2(dst *uint32, step int, codes *byte, n int)
