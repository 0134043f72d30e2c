package ref

import "armor/kernels/sparse24"

// Activations for 2:4 kernels with tokens in the lanes, of float weights, lie
// in pieces of LanesGroups groups of four inputs, the last one as long as the
// others; a piece has its vectors of 16 tokens one after the other:
// x[pieces][vectors][LanesGroups][4][16] f32, and for kernels of bf16 pairs
// x[pieces][vectors][LanesGroups][6][16][2] bf16 with all pairs of a group's
// inputs: 01, 02, 03, 12, 13, 23.
//
// A kernel adds what one piece gives, k ≤ LanesGroups groups, to the sums
// y[16·tiles][16·vectors], rows by tokens, or sets them. It adds a row's
// products as the other 2:4 kernels do, so that sums have the same bits.

// LanesGroups is the groups of a piece, LanesTokens the tokens of a vector.
const (
	LanesGroups = 16
	LanesTokens = 16
	LanesInputs = LanesGroups * sparse24.Group
)

// LanesPiece is the bytes of one vector of a piece.
func LanesPiece(pairs bool) int {
	if pairs {
		return LanesGroups * 6 * LanesTokens * 4
	}
	return LanesInputs * LanesTokens * 4
}

// LanesF32F32 is a kernel with f32 weights: x is a piece, w of one tile.
func LanesF32F32(positions []uint64, w, x []float32, k, vectors int, y []float32, add bool) {
	kept := func(group, lane int) (first, second float32) {
		return w[2*group*TileRows+lane], w[(2*group+1)*TileRows+lane]
	}
	lanes(positions, kept, x, k, vectors, y, add)
}

// LanesBF16F32 has bf16 weights.
func LanesBF16F32(positions []uint64, w []uint16, x []float32, k, vectors int, y []float32, add bool) {
	kept := func(group, lane int) (first, second float32) {
		at := (group*TileRows + lane) * 2
		return fromBF16(w[at]), fromBF16(w[at+1])
	}
	lanes(positions, kept, x, k, vectors, y, add)
}

func lanes(positions []uint64, kept func(group, lane int) (first, second float32), x []float32, k, vectors int, y []float32, add bool) {
	tokens := vectors * LanesTokens
	for n := range TileRows {
		sums := y[n*tokens:][:tokens]
		if !add {
			clear(sums)
		}
		for g := range k {
			at := positions[g] >> lanePlace(n)
			first, second := kept(g, n)
			for t := range sums {
				four := x[(t/LanesTokens*LanesGroups+g)*sparse24.Group*LanesTokens+t%LanesTokens:]
				sums[t] = fma(first, four[at&3*LanesTokens], sums[t])
				sums[t] = fma(second, four[at>>2&3*LanesTokens], sums[t])
			}
		}
	}
}
