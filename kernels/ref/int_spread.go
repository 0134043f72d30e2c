package ref

import "encoding/binary"

// AVX2 shifts no bytes by different counts. For its kernels the positions of a
// 2:4 tile are spread: a dword of positions is four rows of 2 bits, [step][kept of
// 8 inputs], and becomes [kept][step]. One shift then brings each kept input's
// position into a byte of its own.

// PackIntSparseSpread is PackIntSparse with spread positions.
func PackIntSparseSpread(tile []byte, bits, lane int, codes []int8, positions []uint8, scales []uint16) {
	PackIntSparse(tile, bits, lane, codes, positions, scales)
	spread(tile, bits, 2*len(codes), lane)
}

// SpreadPositions exchanges the positions of a 2:4 tile for spread ones, or
// spread ones for what Int reads.
func SpreadPositions(tile []byte, bits, inputs int) {
	for lane := range TileRows {
		spread(tile, bits, inputs, lane)
	}
}

func spread(tile []byte, bits, inputs, lane int) {
	blocks := inputs / SparseBlock
	at, size := IntTile(bits, inputs, SparseBlock, true)
	for b := range blocks {
		block := tile[at+b*(size/blocks):][:sparsePositions]
		for half := range 2 {
			word := block[(half*TileRows+lane)*4:]
			p := TransposePositions(uint64(binary.LittleEndian.Uint32(word)))
			binary.LittleEndian.PutUint32(word, uint32(p))
		}
	}
}

// TransposePositions transposes 4 × 4 positions of 2 bits in each of two dwords:
// first in squares of two by two, then the squares.
func TransposePositions(w uint64) uint64 {
	t := (w ^ w>>6) & 0x00cc00cc00cc00cc
	w ^= t ^ t<<6
	t = (w ^ w>>12) & 0x0000f0f00000f0f0
	return w ^ t ^ t<<12
}
