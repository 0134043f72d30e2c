package prune

import (
	"math"
	"math/rand/v2"
	"testing"

	"armor/kernels"
	"armor/kernels/block"
)

// TestGram: diagonal, blocks and the full matrix against sums in f64.
func TestGram(t *testing.T) {
	const in, rows = 48, 37
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, rows*in)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	h := make([]float64, in*in)
	for k := range rows {
		for i := range in {
			for j := range in {
				h[i*in+j] += float64(x[k*in+i]) * float64(x[k*in+j])
			}
		}
	}
	for _, b := range []int{0, 8, 16, in} {
		g := newGram(in, b)
		m := block.New(kernels.BestISA())
		for _, part := range [][]float32{x[:20*in], x[20*in:]} {
			if err := g.add(m, 3, part); err != nil {
				t.Fatal(err)
			}
		}
		if g.tokens != rows {
			t.Errorf("block %d: got %d tokens, want %d", b, g.tokens, rows)
		}
		for i := range in {
			if math.Abs(g.diag[i]-h[i*in+i]) > 1e-12*h[i*in+i] {
				t.Errorf("block %d: diagonal %d: got %v, want %v", b, i, g.diag[i], h[i*in+i])
			}
			if b == 0 {
				continue
			}
			for j := i / b * b; j < (i/b+1)*b; j++ {
				got, want := float64(g.blocks[i/b*b*b+i%b*b+j%b]), h[i*in+j]
				bound := 1e-7 * rows * math.Sqrt(h[i*in+i]*h[j*in+j])
				if math.Abs(got-want) > bound {
					t.Errorf("block %d: element %d, %d: got %v, want %v", b, i, j, got, want)
				}
			}
		}
	}
}

func TestChoose(t *testing.T) {
	at := func(name string, kl float64, saved int64) Sensitivity {
		return Sensitivity{Module: Module{Name: name, Out: 1, In: int(saved)}, KL: kl, Saved: saved}
	}
	all := []Sensitivity{at("a", 0.10, 100), at("b", 0.01, 100), at("c", 0.03, 100), at("d", 0.02, 10), at("e", 0.001, 0)}
	for name, c := range map[string]struct {
		b     Budget
		dense []string
		kl    float64
	}{
		"all":       {Budget{}, nil, 0.161},
		"kl":        {Budget{MaxKL: 0.05}, []string{"a", "d"}, 0.041},
		"ppl":       {Budget{MaxPPL: math.Expm1(0.05)}, []string{"a", "d"}, 0.041},
		"a third":   {Budget{Sparse: 1.0 / 3}, []string{"a", "c", "d"}, 0.011},
		"no budget": {Budget{MaxKL: 1e-9}, []string{"a", "b", "c", "d", "e"}, 0},
	} {
		got := c.b.Choose(all, 1)
		if len(got.Dense) != len(c.dense) || math.Abs(got.KL-c.kl) > 1e-12 {
			t.Errorf("%s: got %v, KL %v, want %v, %v", name, got.Dense, got.KL, c.dense, c.kl)
		}
		for _, d := range c.dense {
			if !got.Dense[d] {
				t.Errorf("%s: %s is pruned", name, d)
			}
		}
	}
}
