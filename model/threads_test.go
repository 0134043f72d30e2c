package model_test

import (
	"math"
	"path/filepath"
	"testing"

	"armor/kernels"
)

// TestThreads: results do not depend on the number of workers.
func TestThreads(t *testing.T) {
	for _, compute := range []kernels.DType{kernels.F32, kernels.BF16} {
		var want [][]float32
		for _, threads := range []int{1, 2, 5} {
			e := newEngine(t, filepath.Join("..", "testdata", "golden", "tiny-qwen3"),
				kernels.Options{ISA: kernels.BestISA(), Compute: compute, Threads: threads})
			tokens := make([]int32, 131)
			for i := range tokens {
				tokens[i] = int32(i * 37 % e.m.Decoder.Vocab)
			}
			got := e.run(&kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: len(tokens), Pages: e.pages(len(tokens))}}, Out: all(len(tokens))})
			if want == nil {
				want = got
			}
			for i := range got {
				for id, v := range got[i] {
					if math.Float32bits(v) != math.Float32bits(want[i][id]) {
						t.Fatalf("%v, %d threads, row %d, logit %d: got %v, want %v of one thread", compute, threads, i, id, v, want[i][id])
					}
				}
			}
		}
	}
}

// TestDecodeAllocates: a decoded token allocates nothing inside the pass.
func TestDecodeAllocates(t *testing.T) {
	for _, isa := range isas(t) {
		for _, compute := range []kernels.DType{kernels.F32, kernels.BF16} {
			e := newEngine(t, filepath.Join("..", "testdata", "golden", "tiny-qwen3"), kernels.Options{ISA: isa, Compute: compute, Threads: 2})
			pages := e.pages(400)
			pos := 0
			b := &kernels.Batch{Tokens: []int32{5}, Seqs: []kernels.Span{{Rows: 1, Pages: pages}}, Out: []int32{0}, KV: e.kv}
			got := testing.AllocsPerRun(200, func() {
				b.Seqs[0].Pos = pos
				pos++
				if err := e.m.Decoder.Forward(e.pass, b, e.logits); err != nil {
					t.Fatal(err)
				}
			})
			if got != 0 {
				t.Errorf("%s: %v allocations a token, want 0", e.m.Backend.Name(), got)
			}
		}
	}
}
