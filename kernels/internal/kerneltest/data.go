package kerneltest

import (
	"math"
	"math/rand/v2"
)

// Lengths are all from 0 to 257 and some larger ones around powers of two.
func Lengths() []int {
	var n []int
	for i := range 258 {
		n = append(n, i)
	}
	return append(n, 511, 512, 513, 1000, 1023, 1024, 1025)
}

// MaxLength is the largest of Lengths.
const MaxLength = 1025

// Rand is a generator whose numbers depend on the seed only.
func Rand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// Normal makes n normally distributed numbers.
func Normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// Integers makes n whole numbers from -limit to limit. Sums of their products
// are exact, in any order, below 2²⁴.
func Integers(r *rand.Rand, n, limit int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.IntN(2*limit+1) - limit)
	}
	return x
}

// Specials are the values where a kernel's arithmetic has its edges: zeros,
// infinities, NaNs, subnormals, the largest, and halves between two bf16.
func Specials() []float32 {
	var x []float32
	for _, b := range []uint32{
		0, 1, 0x7fff, 0x8000, 0x8001, 0x18000, 0x7fffff, 0x800000, 0x800001,
		0x3f7fffff, 0x3f800000, 0x3f800001, 0x3f807fff, 0x3f808000, 0x3f808001, 0x3f818000,
		0x7f7f7fff, 0x7f7f8000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fbfffff, 0x7fc00000, 0x7fffffff,
	} {
		x = append(x, math.Float32frombits(b), math.Float32frombits(b|0x80000000))
	}
	return x
}
