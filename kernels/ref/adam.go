package ref

import "math"

// Adam's constants, as in the paper of ARMOR.
const (
	Beta1   = 0.9
	Beta2   = 0.999
	epsilon = 1e-8
)

// Adam makes one step on x, given minus half its gradient: with g = -2·down,
//
//	first += (1-Beta1)·(g - first), second += (1-Beta2)·(g² - second)
//	x -= rate·first / (√(second·scale) + 1e-8)
func Adam(x, down, first, second []float32, rate, scale float32) {
	for i := range x {
		g := -2 * down[i]
		first[i] += float32((1 - Beta1) * (g - first[i]))
		second[i] += float32((1 - Beta2) * (float32(g*g) - second[i]))
		x[i] -= float32(rate*first[i]) / (float32(math.Sqrt(float64(second[i]*scale))) + epsilon)
	}
}

// AdamKept is Adam of a 2:4 core x [4·groups] that keeps what mask [groups] says:
// all else has no gradient, and is zero afterwards.
func AdamKept(x []float32, mask []uint8, down, first, second []float32, rate, scale float32) {
	for g, m := range mask {
		var own [4]float32
		for _, p := range Masks[m] {
			own[p] = down[4*g+p]
		}
		Adam(x[4*g:][:4], own[:], first[4*g:], second[4*g:], rate, scale)
		for p := range own {
			if p != Masks[m][0] && p != Masks[m][1] {
				x[4*g+p] = 0
			}
		}
	}
}

// AbsSumsChunk is how many elements one of AbsSums has.
const AbsSumsChunk = 64

// AbsSums sets sums to Σ |x| of chunks of x in f64; the last may be shorter. Eight
// sums of a chunk, of every eighth element each, are added at its end.
func AbsSums(sums []float64, x []float32) {
	for i := range sums {
		var s [8]float64
		for j, v := range x[i*AbsSumsChunk : min((i+1)*AbsSumsChunk, len(x))] {
			s[j%8] += math.Abs(float64(v))
		}
		sums[i] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
	}
}
