package block

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// TestAdam: the same bits on every instruction set, whatever the length, within
// guarded memory.
func TestAdam(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(21)
		var guards [4]*kerneltest.Guard[float32]
		for i := range guards {
			guards[i] = kerneltest.NewGuard[float32](t, 257)
		}
		for n := range 258 {
			var want, got [4][]float32 // x, down, the first moment and the second
			for i, scale := range []float32{1, 0.1, 0.01, 1} {
				want[i] = kerneltest.Normal(rng, n)
				for k, v := range want[i] {
					want[i][k] = v * scale
					if i == 3 {
						want[i][k] = v * v
					}
				}
				got[i] = guards[i].Copy(want[i], kerneltest.Places[(n+3*i)%len(kerneltest.Places)])
			}
			ref.Adam(want[0], want[1], want[2], want[3], 1e-4, 1.5)
			m.Adam(got[0], got[1], got[2], got[3], 1e-4, 1.5)
			for i, g := range guards {
				kerneltest.Equal(t, fmt.Sprintf("%d elements, operand %d", n, i), got[i], want[i])
				g.Check(t)
			}
		}
	})
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
