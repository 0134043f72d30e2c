package ref

import (
	"encoding/binary"
	"math"

	"armor/kernels/fourbit"

	"github.com/x448/float16"
)

// Integer products. Activations are rounded to int8, with a scale for each token
// and block of inputs; weights are codes of 8 or 4 bits with a scale for each row
// and block. Within a block the sum is exact; blocks are added in order, in f32:
// so every kernel, of any instruction set and number of tokens, gives the same
// bits.
//
// Activations of mr tokens are a record for each block: codes [mr][block], s8,
// then the scales [mr], f32, then the sums of the codes [mr], int32.

// BlockRecord is the bytes of a block of activations.
func BlockRecord(block, mr int) int { return mr * (block + 8) }

// QuantizeRows rounds rows of k inputs, src [rows, ld], to blocks of dst for mr
// tokens; those from rows on are zeros. The largest of a block becomes 127. A
// block that is all below 2⁻¹⁰⁰ is zeros; one with a NaN or an infinity has it as
// its scale. Codes are xored with flip: 0, or 0x80 for kernels that take them as
// u8 with 128 added.
func QuantizeRows(dst []byte, src []float32, ld, rows, k, block, mr int, flip byte) {
	clear(dst[:k/block*BlockRecord(block, mr)])
	for b := range k / block {
		codes := dst[b*BlockRecord(block, mr):][:mr*block]
		for j := range codes {
			codes[j] = flip
		}
	}
	for i := range rows {
		for at := 0; at < k; at += block {
			record := dst[at/block*BlockRecord(block, mr):]
			x := src[i*ld+at:][:block]
			var bits uint32 // of the largest magnitude; a NaN is above infinity
			for _, v := range x {
				bits = max(bits, math.Float32bits(v)&0x7fffffff)
			}
			most := math.Float32frombits(bits)
			if most < 0x1p-100 {
				continue
			}
			var sum int32
			up := 127 / most
			if bits < 0x7f800000 {
				for j, v := range x {
					code := int8(math.RoundToEven(float64(v * up)))
					record[i*block+j] = byte(code) ^ flip
					sum += int32(code)
				}
			}
			binary.LittleEndian.PutUint32(record[mr*block+4*i:], math.Float32bits(most*(1.0/127)))
			binary.LittleEndian.PutUint32(record[mr*(block+4)+4*i:], uint32(sum))
		}
	}
}

// IntTile is the bytes of a tile's scales, and of its codes. A tile of 16 rows is
// first its scales, f16 [blocks, padded to a cache line][16], then for each block:
//
//   - dense, 8 bits: codes [block/4][16][4];
//   - dense, 4 bits: [block/8][16][4], in the low halves the first four inputs, in
//     the high halves the next four;
//   - 2:4: positions, of 32 inputs in a dword of each row [2][16], then the codes
//     of the kept inputs, in order, as a dense matrix of half as many.
//
// Codes are two's complement, see CodeRange, or −128 in dense ones. Scales should be
// finite: for an infinite one kernels of many tokens may give NaN instead. Positions are four bits a
// group, the first group lowest, as sparse24.ToPositions gives them.
func IntTile(bits, inputs, block int, sparse bool) (scales, codes int) {
	blocks := inputs / block
	codes = inputs * TileRows * bits / 8
	if sparse {
		codes = codes/2 + blocks*sparsePositions
	}
	return (blocks + blocks%2) * TileRows * 2, codes
}

// SparseBlock is the block of a 2:4 matrix, and sparsePositions the bytes of its
// positions.
const (
	SparseBlock     = 64
	sparsePositions = 2 * TileRows * 4
)

// PackInt puts one row into its lane of a dense tile.
func PackInt(tile []byte, bits, block, lane int, codes []int8, scales []uint16) {
	at, _ := IntTile(bits, len(codes), block, false)
	packScales(tile, lane, scales)
	packCodes(tile[at:], bits, lane, codes)
}

// CodeRange is the least and the largest code of so many bits. Of 4 all occur: where
// scales may be negative, their sign says which side has one more.
func CodeRange(bits int) (least, most int8) {
	if bits == 4 {
		return -8, 7
	}
	return -127, 127
}

// PackIntSparse puts one row into its lane of a 2:4 tile: codes [inputs/2],
// positions [inputs/4], scales [inputs/64].
func PackIntSparse(tile []byte, bits, lane int, codes []int8, positions []uint8, scales []uint16) {
	at, size := IntTile(bits, 2*len(codes), SparseBlock, true)
	packScales(tile, lane, scales)
	size /= len(scales)
	for b := range scales {
		block := tile[at+b*size:]
		for half := range 2 {
			word := fourbit.Join(binary.LittleEndian.Uint64(positions[b*SparseBlock/4+half*8:]))
			binary.LittleEndian.PutUint32(block[(half*TileRows+lane)*4:], word)
		}
		packCodes(block[sparsePositions:], bits, lane, codes[b*SparseBlock/2:][:SparseBlock/2])
	}
}

func packScales(tile []byte, lane int, scales []uint16) {
	for b, s := range scales {
		binary.LittleEndian.PutUint16(tile[(b*TileRows+lane)*2:], s)
	}
}

// packCodes takes whole dwords of codes.
func packCodes(dst []byte, bits, lane int, codes []int8) {
	dst = dst[4*lane:]
	if bits == 8 {
		for ; len(codes) >= 4; codes = codes[4:] {
			binary.LittleEndian.PutUint32(dst, fourCodes(codes))
			dst = dst[min(4*TileRows, len(dst)):]
		}
		return
	}
	for ; len(codes) >= 8; codes = codes[8:] {
		binary.LittleEndian.PutUint32(dst, fourCodes(codes)&0x0f0f0f0f|fourCodes(codes[4:])&0x0f0f0f0f<<4)
		dst = dst[min(4*TileRows, len(dst)):]
	}
}

func fourCodes(c []int8) uint32 {
	_ = c[3]
	return uint32(uint8(c[0])) | uint32(uint8(c[1]))<<8 | uint32(uint8(c[2]))<<16 | uint32(uint8(c[3]))<<24
}

func codeAt(src []byte, bits, lane, i int) int32 {
	if bits == 8 {
		return int32(int8(src[(i/4*TileRows+lane)*4+i%4]))
	}
	return int32(int8(src[(i/8*TileRows+lane)*4+i%4]<<(4-i/4%2*4)) >> 4)
}

// intWeights are a row's codes, zeros where a 2:4 row keeps none, and its scales.
func intWeights(tile []byte, bits, inputs, block, lane int, sparse bool) (codes []int32, scales []float32) {
	at, size := IntTile(bits, inputs, block, sparse)
	codes, scales = make([]int32, inputs), make([]float32, inputs/block)
	size /= len(scales)
	for b := range scales {
		scales[b] = float16.Frombits(binary.LittleEndian.Uint16(tile[(b*TileRows+lane)*2:])).Float32()
		from, to := tile[at+b*size:], codes[b*block:][:block]
		if !sparse {
			for i := range to {
				to[i] = codeAt(from, bits, lane, i)
			}
			continue
		}
		for g := range block / 4 {
			p := binary.LittleEndian.Uint32(from[(g/8*TileRows+lane)*4:]) >> (g % 8 * 4)
			kept := from[sparsePositions:]
			to[g*4+int(p&3)] += codeAt(kept, bits, lane, 2*g)
			to[g*4+int(p>>2&3)] += codeAt(kept, bits, lane, 2*g+1)
		}
	}
	return codes, scales
}

// UnpackInt dequantizes one row of a dense tile.
func UnpackInt(dst []float32, tile []byte, bits, block, lane int) {
	at, _ := IntTile(bits, len(dst), block, false)
	for i := range dst {
		scale := float16.Frombits(binary.LittleEndian.Uint16(tile[(i/block*TileRows+lane)*2:])).Float32()
		dst[i] = float32(codeAt(tile[at:], bits, lane, i)) * scale
	}
}

// Int is a kernel with integer weights and activations, xored with flip; k counts
// blocks.
func Int(tile []byte, bits, block int, sparse bool, x []byte, k, mr int, y []float32, ldy int, add bool, flip byte) {
	for n := range TileRows {
		codes, scales := intWeights(tile, bits, k*block, block, n, sparse)
		for i := range mr {
			var sum float32
			for b := range k {
				record := x[b*BlockRecord(block, mr):]
				var dot int32
				for j, c := range codes[b*block:][:block] {
					dot += c * int32(int8(record[i*block+j]^flip))
				}
				scale := math.Float32frombits(binary.LittleEndian.Uint32(record[mr*block+4*i:]))
				sum = fma(float32(dot)*scales[b], scale, sum)
			}
			store(&y[i*ldy+n], sum, add)
		}
	}
}
