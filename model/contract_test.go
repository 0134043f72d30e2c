package model_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"armor/kernels"
)

// A contractSeq is one sequence of a random schedule.
type contractSeq struct {
	tokens []int32
	pages  []int32
	pos    int
	alone  [][]float32 // logits of each position, the sequence run by itself
}

// TestContract is what every backend promises: however sequences are cut into
// steps, mixed with others and laid over pages, each gets the logits it gets
// alone. All kernels of one family sum in the same order, so on the CPU the
// bound is 0.
func TestContract(t *testing.T) {
	for _, name := range []string{"tiny-llama", "tiny-llama3-rope", "tiny-qwen2", "tiny-qwen3"} {
		for _, isa := range isas(t) {
			for _, compute := range []kernels.DType{kernels.F32, kernels.BF16} {
				kvs := []kernels.DType{compute}
				if compute == kernels.BF16 {
					kvs = append(kvs, kernels.Int8)
				}
				for _, kv := range kvs {
					t.Run(fmt.Sprintf("%s/%v/%v/kv-%v", name, isa, compute, kv), func(t *testing.T) {
						e := newEngine(t, filepath.Join("..", "testdata", "golden", name), kernels.Options{ISA: isa, Compute: compute, Threads: 3})
						var err error
						if e.kv, err = e.m.Backend.NewKV(e.m.Decoder.KVShape(kv)); err != nil {
							t.Fatal(err)
						}
						rng := rand.New(rand.NewPCG(1, uint64(isa)))
						for range 4 {
							e.schedule(rng)
						}
					})
				}
			}
		}
	}
}

// schedule runs one random schedule of a few sequences.
func (e *engine) schedule(rng *rand.Rand) {
	e.t.Helper()
	seqs := make([]*contractSeq, 1+rng.IntN(5))
	total := 0
	for i := range seqs {
		n := 1 + rng.IntN(70)
		if rng.IntN(4) == 0 {
			n = 1 + rng.IntN(testPositions/4)
		}
		s := &contractSeq{tokens: make([]int32, n)}
		for j := range s.tokens {
			s.tokens[j] = int32(rng.IntN(e.m.Decoder.Vocab))
		}
		s.alone = e.run(&kernels.Batch{Tokens: s.tokens, Seqs: []kernels.Span{{Rows: n, Pages: e.pages(n)}}, Out: all(n)})
		seqs[i] = s
		total += len(e.pages(n))
	}
	if err := e.kv.Reserve(total); err != nil {
		e.t.Fatal(err)
	}
	order := rng.Perm(total)
	for _, s := range seqs {
		for range kernels.PagesFor(len(s.tokens)) {
			s.pages = append(s.pages, int32(order[0]))
			order = order[1:]
		}
	}
	for e.step(rng, seqs) {
	}
}

// step runs a random part of what is left of some sequences.
func (e *engine) step(rng *rand.Rand, seqs []*contractSeq) bool {
	e.t.Helper()
	b := &kernels.Batch{}
	var want [][]float32
	more := false
	for _, i := range rng.Perm(len(seqs)) {
		s := seqs[i]
		left := len(s.tokens) - s.pos
		more = more || left > 0
		if left == 0 || rng.IntN(3) == 0 {
			continue
		}
		n := 1
		if rng.IntN(2) == 0 {
			n = 1 + rng.IntN(left)
		}
		for r := range n {
			if r == n-1 || rng.IntN(3) == 0 {
				b.Out = append(b.Out, int32(len(b.Tokens)+r))
				want = append(want, s.alone[s.pos+r])
			}
		}
		b.Tokens = append(b.Tokens, s.tokens[s.pos:s.pos+n]...)
		b.Seqs = append(b.Seqs, kernels.Span{Rows: n, Pos: s.pos, Pages: s.pages})
		s.pos += n
	}
	if len(b.Tokens) == 0 {
		return more
	}
	for i, got := range e.run(b) {
		for id, v := range got {
			if math.Float32bits(v) != math.Float32bits(want[i][id]) {
				e.t.Fatalf("row %d of %d, logit %d: got %v in a batch, %v alone", b.Out[i], len(b.Tokens), id, v, want[i][id])
			}
		}
	}
	return true
}
