//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

var quantizeWeights = []struct {
	isa kerneltest.ISA
	run func(codes *int8, scales *uint16, x *float32, groups, group int, limit float32) int
}{
	{kerneltest.AVX512, QuantizeWeightsAVX512},
	{kerneltest.AVX2, QuantizeWeightsAVX2},
}

// weightGroup makes a group: normal, of bf16, all of ties between two codes, around
// the smallest and the largest scales of f16, or zeros.
func weightGroup(rng *rand.Rand, x []float32) {
	scale := math.Exp2(float64(rng.IntN(46) - 31)) // of f16's from below its subnormals on
	for kind, i := rng.IntN(6), 0; i < len(x); i++ {
		switch v := rng.NormFloat64(); kind {
		case 0:
			x[i] = float32(v)
		case 1:
			x[i] = math.Float32frombits(math.Float32bits(float32(v)) &^ 0xffff)
		case 2:
			x[i] = float32(scale * float64(rng.IntN(509)-254) / 2)
		case 3:
			x[i] = float32(scale * v)
		case 4:
			x[i] = float32(scale * (1 + float64(rng.IntN(5)-2)/(1<<12)))
		}
	}
}

// TestQuantizeWeights: the codes, scales and end of ref, and nothing beside them.
func TestQuantizeWeights(t *testing.T) {
	const most = 7
	for _, q := range quantizeWeights {
		t.Run(string(q.isa), func(t *testing.T) {
			kerneltest.Need(t, q.isa)
			rng := kerneltest.Rand(1)
			for _, group := range []int{32, 64, 96, 128} {
				gx := kerneltest.NewGuard[float32](t, most*group)
				gc := kerneltest.NewGuard[int8](t, most*group)
				gs := kerneltest.NewGuard[uint16](t, most)
				for n := range 2000 {
					groups, bits := 1+n%most, 8-n/most%2*4
					x := make([]float32, groups*group)
					for g := range groups {
						weightGroup(rng, x[g*group:][:group])
					}
					if n%4 == 3 {
						bad := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -65520 * 127}
						x[rng.IntN(len(x))] = bad[rng.IntN(len(bad))]
					}
					place := kerneltest.Places[n%len(kerneltest.Places)]
					codes, scales := gc.Slice(len(x), place), gs.Slice(groups, place)
					from := gx.Copy(x, place)
					done := q.run(&codes[0], &scales[0], &from[0], groups, group, float32(int(1)<<(bits-1)-1))
					wantCodes, wantScales := make([]int8, len(x)), make([]uint16, groups)
					want := ref.QuantizeWeights(wantCodes, wantScales, x, group, bits)
					name := fmt.Sprintf("case %d: %d groups of %d, %d bits", n, groups, group, bits)
					if done != want {
						t.Fatalf("%s: got %d done, want %d", name, done, want)
					}
					if !kerneltest.Equal(t, name, scales[:done], wantScales[:done]) || !kerneltest.Equal(t, name, codes[:done*group], wantCodes[:done*group]) {
						return
					}
					gx.Check(t)
					gc.Check(t)
					gs.Check(t)
				}
			}
		})
	}
}
