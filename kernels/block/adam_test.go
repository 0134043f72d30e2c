package block

import (
	"math/rand/v2"
	"slices"
	"testing"

	"armor/kernels"
	"armor/kernels/ref"
)

// TestAdam: the same bits on every instruction set, whatever the length.
func TestAdam(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for n := range 70 {
		random := func(scale float64) []float32 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(scale * rng.NormFloat64())
			}
			return x
		}
		x, down, first, second := random(1), random(0.1), random(0.01), random(1)
		for i, v := range second {
			second[i] = v * v
		}
		wx, wf, ws := slices.Clone(x), slices.Clone(first), slices.Clone(second)
		ref.Adam(wx, down, wf, ws, 1e-4, 1.5)
		for isa := kernels.Ref; isa <= kernels.BestISA(); isa++ {
			gx, gf, gs := slices.Clone(x), slices.Clone(first), slices.Clone(second)
			New(isa).Adam(gx, down, gf, gs, 1e-4, 1.5)
			if !slices.Equal(gx, wx) || !slices.Equal(gf, wf) || !slices.Equal(gs, ws) {
				t.Fatalf("%v: %d elements differ from the reference", isa, n)
			}
		}
	}
}
