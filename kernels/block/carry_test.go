package block

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// core24 is a random 2:4 core: values [4·groups], zero where mask keeps none, and
// the kept ones.
func core24(rng *rand.Rand, groups int, mask []uint8) (s, kept []float32) {
	s = make([]float32, 4*groups)
	for g, m := range mask {
		for _, p := range ref.Masks[m] {
			s[4*g+p] = float32(rng.NormFloat64())
			kept = append(kept, s[4*g+p])
		}
	}
	return s, kept
}

// TestCarry: by the definition, and the same bits on every instruction set,
// within guarded memory.
func TestCarry(t *testing.T) {
	const beyond, momentum = 0.625, 0.25
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(31)
		var floats [4]*kerneltest.Guard[float32]
		var bytes [3]*kerneltest.Guard[uint8]
		for i := range floats {
			floats[i] = kerneltest.NewGuard[float32](t, 600)
		}
		for i := range bytes {
			bytes[i] = kerneltest.NewGuard[uint8](t, 150)
		}
		for groups := range 70 {
			place := kerneltest.Places[groups%len(kerneltest.Places)]
			masks := [3][]uint8{}
			for i := range masks {
				masks[i] = make([]uint8, groups)
				for g := range masks[i] {
					masks[i][g] = uint8(rng.IntN(6))
					if i > 0 && rng.IntN(2) == 0 {
						masks[i][g] = masks[0][g]
					}
				}
			}
			s, kept := core24(rng, groups, masks[0])
			from, _ := core24(rng, groups, masks[1])
			_, was := core24(rng, groups, masks[2])
			want := slices.Clone(s)
			for g, m := range masks[0] {
				for i, p := range ref.Masks[m] {
					v, step := s[4*g+p], float32(0)
					if masks[1][g] == m {
						step = beyond * (v - from[4*g+p])
					}
					if masks[2][g] == m {
						step += float32(momentum * (v - was[2*g+i]))
					}
					want[4*g+p] = v + step
				}
			}
			gs, gfrom, gwas := floats[0].Copy(s, place), floats[1].Copy(from, place), floats[2].Copy(was, place)
			values := floats[3].Slice(2*groups, place)
			m.Carry(values, gs, bytes[0].Copy(masks[0], place), gfrom, bytes[1].Copy(masks[1], place), gwas, bytes[2].Copy(masks[2], place), beyond, momentum)
			kerneltest.Equal(t, fmt.Sprintf("%d groups, kept values", groups), values, kept)
			kerneltest.Equal(t, fmt.Sprintf("%d groups", groups), gs, want)
			for _, g := range floats {
				g.Check(t)
			}
			for _, g := range bytes {
				g.Check(t)
			}
		}
	})
}
