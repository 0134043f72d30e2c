package model_test

import (
	"math"
	"testing"

	"armor/kernels"
	"armor/model"
)

// TestWeights: a dense model quantized on load is smaller, and its logits stay
// near: 8 bits nearer than 4.
func TestWeights(t *testing.T) {
	tokens := []int32{40, 50, 60, 70, 80, 90, 100}
	run := func(w string) ([]float32, int64) {
		e := newEngineWith(t, goldenPath("tiny-llama"), kernels.Options{ISA: kernels.BestISA(), Threads: 1}, model.Options{Weights: w})
		n := len(tokens)
		b := &kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: n, Pages: e.pages(n)}}, Out: []int32{int32(n - 1)}}
		return e.run(b)[0], e.m.Decoder.WeightBytes()
	}
	want, size := run("f32")
	spread := rms(want, make([]float32, len(want)))
	last := 0.0
	for _, c := range []struct {
		weights      string
		share, error float64 // of the size in f32, of the logits
	}{{"bf16", 0.5, 1e-6}, {"int8", 0.27, 0.05}, {"int4", 0.15, 0.5}} {
		got, bytes := run(c.weights)
		diff := rms(got, want) / spread
		t.Logf("%s: %d of %d bytes, logits differ by %.4f of their size", c.weights, bytes, size, diff)
		if diff > c.error || diff < last || float64(bytes) > c.share*float64(size) {
			t.Errorf("%s: want at most %v of the bytes and a difference from %v to %v", c.weights, c.share, last, c.error)
		}
		last = diff
	}
}

func rms(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		d := float64(v - b[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(a)))
}
