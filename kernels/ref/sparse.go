package ref

import "armor/kernels/sparse24"

// 2:4 weights, see package sparse24, in tiles of 16 rows. A tile is first its
// positions, a word of 64 bits for each group of four inputs [groups, padded to
// a cache line]: row r's four are 4·(r/2) bits up in the low half where r is
// even, else in the high half. Then the values that are kept, as a dense tile of
// inputs/2: as f32 [groups][2][16], as bf16 [groups][16][2].
//
// Activations are quads of mr tokens, x[groups][mr][4], f32 or bf16. The kernels
// compute what the dense ones do, over the kept inputs, in order.

// SparseTile is the number of bytes of a tile's positions, and of its values.
func SparseTile(bits, inputs int) (positions, values int) {
	groups := inputs / sparse24.Group
	return (groups + 7) / 8 * 64, groups * sparse24.Kept * TileRows * bits / 8
}

func lanePlace(lane int) int { return lane&1*32 + lane/2*4 }

// PackPositions fills a tile's positions [groups] with those of n ≤ 16 rows
// [n, groups], as sparse24.ToPositions gives them; the other rows get 0.
func PackPositions(tile []uint64, positions []uint8, n int) {
	groups := len(tile)
	g := 0
	for ; g+16 <= groups; g += 16 {
		var words [TileRows]uint64 // [row, by its place][16 groups]
		for lane := range n {
			place := lanePlace(lane) / 4
			sparse24.JoinPositions(words[place:place+1], positions[lane*groups+g:][:16])
		}
		transpose16(&words)
		copy(tile[g:], words[:])
	}
	clear(tile[g:])
	for lane := range n {
		up, row := lanePlace(lane), positions[lane*groups:]
		for i := g; i < groups; i++ {
			tile[i] |= uint64(row[i]) << up
		}
	}
}

// transpose16 transposes 16 × 16 numbers of four bits, in squares that get smaller.
func transpose16(w *[16]uint64) {
	for _, s := range [...]struct {
		size int
		mask uint64
	}{{8, 1<<32 - 1}, {4, 0x0000ffff0000ffff}, {2, 0x00ff00ff00ff00ff}, {1, 0x0f0f0f0f0f0f0f0f}} {
		for i := 0; i < 16; i = (i + s.size + 1) &^ s.size {
			a, b := &w[i], &w[(i+s.size)&15]
			t := (*a>>(4*s.size) ^ *b) & s.mask
			*a ^= t << (4 * s.size)
			*b ^= t
		}
	}
}

// Quads puts the row of token i into quads [k/4][mr][4], of elements of any kind.
func Quads[T float32 | uint16](dst, row []T, i, mr int) {
	for g := range len(row) / sparse24.Group {
		*(*[4]T)(dst[(g*mr+i)*4:]) = *(*[4]T)(row[4*g:])
	}
}

// SparseF32F32 is a kernel with f32 weights and activations; k counts groups.
func SparseF32F32(positions []uint64, w, x []float32, k, mr int, y []float32, ldy int, add bool) {
	kept := func(group, lane int) (first, second float32) {
		return w[2*group*TileRows+lane], w[(2*group+1)*TileRows+lane]
	}
	sparse(positions, kept, x, k, mr, y, ldy, add)
}

// SparseBF16F32 has bf16 weights and f32 activations; k counts groups.
func SparseBF16F32(positions []uint64, w []uint16, x []float32, k, mr int, y []float32, ldy int, add bool) {
	kept := func(group, lane int) (first, second float32) {
		at := (group*TileRows + lane) * 2
		return fromBF16(w[at]), fromBF16(w[at+1])
	}
	sparse(positions, kept, x, k, mr, y, ldy, add)
}

func sparse(positions []uint64, kept func(group, lane int) (first, second float32), x []float32, k, mr int, y []float32, ldy int, add bool) {
	for i := range mr {
		for n := range TileRows {
			var sum float32
			for g := range k {
				at := positions[g] >> lanePlace(n)
				first, second := kept(g, n)
				four := x[(g*mr+i)*4:]
				sum = fma(first, four[at&3], sum)
				sum = fma(second, four[at>>2&3], sum)
			}
			store(&y[i*ldy+n], sum, add)
		}
	}
}
