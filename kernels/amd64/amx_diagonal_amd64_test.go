//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// TestAMXDiagonal: bits of the reference for all numbers of tokens to some token tiles, f32
// sums, set or added, and rounded ones, and what is beside operands unread.
func TestAMXDiagonal(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	kerneltest.Need(t, kerneltest.AVX512BF16)
	const most, blocks, gap = 67, 3, 5
	rng := kerneltest.Rand(12)
	for _, block := range []int{64, 128} {
		w := kerneltest.NewGuard[uint16](t, blocks*block*block)
		x := kerneltest.NewGuard[float32](t, most*(blocks*block+gap))
		y := kerneltest.NewGuard[float32](t, most*(blocks*block+gap))
		z := kerneltest.NewGuard[uint16](t, most*(blocks*block+gap))
		for tokens := 1; tokens <= most; tokens++ {
			n := (1 + tokens%blocks) * block
			ld, size := n+gap, (tokens-1)*(n+gap)+n
			weights := make([]uint16, n*block)
			ref.ToBF16(weights, kerneltest.Normal(rng, len(weights)))
			inputs, sums := kerneltest.Normal(rng, size), kerneltest.Normal(rng, size)
			specials := kerneltest.Specials()
			for i := range inputs {
				if tokens%4 == 0 && rng.IntN(200) == 0 { // their rows' sums are NaN
					inputs[i] = specials[rng.IntN(len(specials))]
				}
			}
			for add := range 2 {
				want := slices.Clone(sums)
				diagonalRef(weights, block, tokens, n, inputs, ld, want, add == 1)
				for _, place := range kerneltest.Places {
					name := fmt.Sprintf("%d tokens, %d blocks of %d, add %d, %+v", tokens, n/block, block, add, place)
					from, in := w.Copy(weights, place), x.Copy(inputs, place)
					got := y.Copy(sums, place)
					DiagonalBF16BF16AMX(unsafe.Pointer(&from[0]), block, n/block, tokens, &in[0], ld, unsafe.Pointer(&got[0]), ld, add)
					kerneltest.Equal(t, name, got, want)
					y.Check(t)
					if add == 1 {
						continue
					}
					rounded := z.Slice(size, place)
					wantRounded := slices.Clone(rounded)
					ref.RowsBF16(wantRounded, ld, want, ld, tokens, n)
					DiagonalRoundBF16BF16AMX(unsafe.Pointer(&from[0]), block, n/block, tokens, &in[0], ld, unsafe.Pointer(&rounded[0]), ld)
					kerneltest.Equal(t, name+", rounded", rounded, wantRounded)
					z.Check(t)
				}
			}
		}
	}
}

// diagonalRef rounds x [tokens, ld] and multiplies it by blocks to n rows in all.
func diagonalRef(w []uint16, block, tokens, n int, x []float32, ld int, y []float32, add bool) {
	rows := make([]uint16, tokens*n)
	ref.RowsBF16(rows, n, x, ld, tokens, n)
	for row := 0; row < n; row += ref.TileRows {
		ref.DenseBF16BF16(w[row*block:], rows[row/block*block:], n, block/2, tokens, y[row:], ld, add)
	}
}

// TestAMXDiagonalNone: no tokens and no blocks are nothing to do.
func TestAMXDiagonalNone(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	w, x, y := make([]uint16, 64*64), make([]float32, 64), []float32{7}
	for _, n := range [][2]int{{0, 1}, {1, 0}} {
		DiagonalBF16BF16AMX(unsafe.Pointer(&w[0]), 64, n[0], n[1], &x[0], 64, unsafe.Pointer(&y[0]), 64, 0)
		if y[0] != 7 {
			t.Errorf("%d blocks, %d tokens: got %v, want nothing written", n[0], n[1], y[0])
		}
	}
}
