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
