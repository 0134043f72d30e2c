package kernels

import "math"

// LogSumExp is log Σ exp(x), n ≥ 1, of host memory: for the edges where logits
// have been downloaded. scratch holds len(x) numbers, exp(x − max) afterwards.
func LogSumExp(x, scratch []float32) float64 {
	c := &CPU{isa: BestISA()}
	most := c.max(x)
	copy(scratch, x)
	return float64(most) + math.Log(float64(c.expSum(scratch[:len(x)], 1, most)))
}
