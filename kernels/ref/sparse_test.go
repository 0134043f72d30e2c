package ref

import (
	"fmt"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/sparse24"
)

// TestSparse: a packed core times quads is the dense matrix times the tokens.
func TestSparse(t *testing.T) {
	for _, groups := range []int{0, 1, 2, 7, 8, 9, 16, 65} {
		for _, n := range []int{1, 5, 16} {
			const mr, ldy = 3, 19
			rng, in := kerneltest.Rand(uint64(groups*100+n)), 4*groups
			kept, x := kerneltest.Integers(rng, n*in/2, 9), kerneltest.Integers(rng, mr*in, 9)
			masks, dense := make([]uint8, n*groups), make([]float32, n*in)
			for i := range masks {
				masks[i] = uint8(rng.IntN(sparse24.Masks))
			}
			sparse24.Unpack(dense, kept, masks)
			sparse24.ToPositions(masks, masks)
			_, size := SparseTile(32, in)
			at, f32, bf16, quads := make([]uint64, groups), make([]float32, size/4), make([]uint16, size/4), make([]float32, mr*in)
			for i := range at {
				at[i] = ^uint64(0) // of a tile packed before
			}
			PackPositions(at, masks, n)
			PanelF32(f32, kept, in/2, n, in/2, TileRows)
			PanelBF16(bf16, kept, in/2, n, in/2, TileRows)
			for i := range mr {
				Quads(quads, x[i*in:(i+1)*in], i, mr)
			}
			want, got, half := make([]float32, mr*ldy), make([]float32, mr*ldy), make([]float32, mr*ldy)
			for i := range want {
				want[i], got[i], half[i] = float32(i), float32(i), float32(i)
				if i%ldy < n {
					sum, _ := kerneltest.Dot(x[i/ldy*in:(i/ldy+1)*in], dense[i%ldy*in:(i%ldy+1)*in])
					want[i] += float32(sum)
				}
			}
			what := fmt.Sprintf("%d groups, %d rows", groups, n)
			SparseF32F32(at, f32, quads, groups, mr, got, ldy, true)
			SparseBF16F32(at, bf16, quads, groups, mr, half, ldy, true)
			kerneltest.Equal(t, what, got, want)
			kerneltest.Equal(t, what+", bf16", half, want)
		}
	}
}

func TestSparseTile(t *testing.T) {
	for _, c := range [][4]int{{32, 4, 64, 128}, {16, 32, 64, 512}, {16, 36, 128, 576}, {32, 2048, 4096, 65536}} {
		if p, v := SparseTile(c[0], c[1]); p != c[2] || v != c[3] {
			t.Errorf("%d bits, %d inputs: got %d and %d bytes, want %d and %d", c[0], c[1], p, v, c[2], c[3])
		}
	}
}
