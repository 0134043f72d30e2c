package kernels

// Row reductions on host memory, for the edges where logits have been
// downloaded: perplexity, divergence. They use the best instruction set.

import "math"

var host = &CPU{isa: BestISA()}

// LogSumExp is log Σ exp(x), n ≥ 1; scratch holds len(x) numbers.
func LogSumExp(x, scratch []float32) float64 {
	most := host.max(x)
	copy(scratch, x)
	return float64(most) + math.Log(float64(host.expSum(scratch[:len(x)], 1, most)))
}
