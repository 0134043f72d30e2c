//go:build amd64 && !noasm

package sparse24

import "github.com/klauspost/cpuid/v2"

var hasAVX2 = cpuid.CPU.Supports(cpuid.AVX2)

// positionsAVX2 is BitsToPositions of n bytes of bits, whole 32. It returns how many
// come before the first 32 with a bad group.
//
//go:noescape
func positionsAVX2(dst *uint64, bits *uint8, n int) (done int)

// soundAVX2 is positionsAVX2 without positions.
//
//go:noescape
func soundAVX2(bits *uint8, n int) (done int)

// masksAVX2 sets 64 masks for each 32 of n bytes of bits, and returns as positionsAVX2.
//
//go:noescape
func masksAVX2(masks, bits *uint8, n int) (done int)

// maskPositionsAVX2 is ToPositions of n masks, whole 32.
//
//go:noescape
func maskPositionsAVX2(dst, masks *uint8, n int)
