package ref

import (
	"bytes"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/sparse24"
)

func TestTransposePositions(t *testing.T) {
	rng := kerneltest.Rand(1)
	for range 1000 {
		w := rng.Uint64()
		var want uint64
		for half := 0; half < 64; half += 32 {
			for i := range 4 {
				for j := range 4 {
					want |= w >> (half + 2*(4*i+j)) & 3 << (half + 2*(4*j+i))
				}
			}
		}
		if got := TransposePositions(w); got != want {
			t.Fatalf("%#x: got %#x, want %#x", w, got, want)
		}
	}
}

// TestSpread: byte j of a row's dword has the positions of kept value j of four
// steps; other rows and bytes stay; spreading twice is nothing.
func TestSpread(t *testing.T) {
	rng := kerneltest.Rand(2)
	for _, bits := range []int{8, 4} {
		const blocks = 3
		positions, codes, scales := make([]uint8, blocks*SparseBlock/4), make([]int8, blocks*SparseBlock/2), make([]uint16, blocks)
		at, size := IntTile(bits, blocks*SparseBlock, SparseBlock, true)
		plain := make([]byte, at+size)
		for i := range plain {
			plain[i] = byte(rng.Uint32())
		}
		tile := bytes.Clone(plain)
		for lane := range TileRows {
			for i := range codes {
				codes[i] = int8(rng.IntN(16) - 8)
			}
			for i := range positions {
				positions[i] = uint8(rng.IntN(sparse24.Masks))
			}
			sparse24.ToPositions(positions, positions)
			PackIntSparse(plain, bits, lane, codes, positions, scales)
			PackIntSparseSpread(tile, bits, lane, codes, positions, scales)
			for i := range codes {
				block, step, kept := i/32, i%32/4, i%4
				p := tile[at+block*size/blocks+(step/4*TileRows+lane)*4+kept] >> (2 * (step % 4)) & 3
				if want := positions[i/2] >> (i % 2 * 2) & 3; p != want {
					t.Fatalf("%d bits, row %d, kept value %d: position %d, want %d", bits, lane, i, p, want)
				}
			}
		}
		SpreadPositions(tile, bits, blocks*SparseBlock)
		if !bytes.Equal(tile, plain) {
			t.Errorf("%d bits: not the tile with positions as they were", bits)
		}
	}
}
