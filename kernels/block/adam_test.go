package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"armor/kernels"
	"armor/kernels/internal/kerneltest"
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

// TestAdamKept: as Adam without the gradient of what is not kept, which is then
// made zero, within guarded memory.
func TestAdamKept(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(23)
		var guards [4]*kerneltest.Guard[float32]
		for i := range guards {
			guards[i] = kerneltest.NewGuard[float32](t, 600)
		}
		bytes := kerneltest.NewGuard[uint8](t, 150)
		for groups := range 70 {
			place := kerneltest.Places[groups%len(kerneltest.Places)]
			mask := make([]uint8, groups)
			for g := range mask {
				mask[g] = uint8(rng.IntN(6))
			}
			x, _ := core24(rng, groups, mask)
			down, first, second := kerneltest.Normal(rng, 4*groups), kerneltest.Normal(rng, 4*groups), kerneltest.Normal(rng, 4*groups)
			for i, v := range second {
				second[i] = v * v
			}
			gx, gdown := guards[0].Copy(x, place), guards[1].Copy(down, place)
			gfirst, gsecond := guards[2].Copy(first, place), guards[3].Copy(second, place)
			m.AdamKept(gx, bytes.Copy(mask, place), gdown, gfirst, gsecond, 1e-2, 1.5)

			kept := make([]bool, 4*groups)
			for g, m := range mask {
				kept[4*g+ref.Masks[m][0]], kept[4*g+ref.Masks[m][1]] = true, true
			}
			for i := range down {
				if !kept[i] {
					down[i] = 0
				}
			}
			ref.Adam(x, down, first, second, 1e-2, 1.5)
			for i := range x {
				if !kept[i] {
					x[i] = 0
				}
			}
			what := fmt.Sprintf("%d groups", groups)
			kerneltest.Equal(t, what, gx, x)
			kerneltest.Equal(t, what+", first moment", gfirst, first)
			kerneltest.Equal(t, what+", second moment", gsecond, second)
			for _, g := range guards {
				g.Check(t)
			}
			bytes.Check(t)
		}
	})
}

func TestAbsSums(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(24)
		guard := kerneltest.NewGuard[float32](t, 400)
		for n := range 400 {
			place := kerneltest.Places[n%len(kerneltest.Places)]
			x := guard.Copy(kerneltest.Normal(rng, n), place)
			chunks := (n + AbsSumsChunk - 1) / AbsSumsChunk
			got, want := make([]float64, chunks+1), make([]float64, chunks+1)
			got[chunks], want[chunks] = -1, -1 // beyond the end
			m.AbsSums(got[:chunks], x)
			ref.AbsSums(want[:chunks], x)
			if !slices.Equal(got, want) {
				t.Fatalf("%d elements: %v, want %v", n, got, want)
			}
			for i, v := range got[:chunks] {
				sum := 0.0
				for _, u := range x[i*AbsSumsChunk : min(n, (i+1)*AbsSumsChunk)] {
					sum += math.Abs(float64(u))
				}
				if math.Abs(v-sum) > 64*0x1p-52*sum {
					t.Fatalf("%d elements: sum %d is %v, want %v", n, i, v, sum)
				}
			}
			guard.Check(t)
		}
	})
}
