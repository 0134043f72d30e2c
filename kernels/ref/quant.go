package ref

import (
	"github.com/x448/float16"
)

// Quantized weights have a scale for each row and QuantGroup inputs; a weight is
// scale·code in f32. A tile of 16 rows is first its scales, f16
// [groups, padded to an even number][16], then its codes, two's complement: for
// each row a dword holds 4 inputs of 8 bits or 8 of 4, the first lowest,
// [inputs/4 or /8][16].

// QuantGroup is the number of inputs that share a scale.
const QuantGroup = 32

// QuantTile is the number of bytes of a tile's scales, and of its codes.
func QuantTile(bits, inputs int) (scales, codes int) {
	groups := inputs / QuantGroup
	return (groups + groups%2) * TileRows * 2, inputs * TileRows * bits / 8
}

// PackQuant puts one row into its lane of a tile. codes are within bits, scales
// are f16, one for each group.
func PackQuant(tile []byte, bits, lane int, codes []int8, scales []uint16) {
	size, _ := QuantTile(bits, len(codes))
	for g, s := range scales {
		tile[(g*TileRows+lane)*2], tile[(g*TileRows+lane)*2+1] = byte(s), byte(s>>8)
	}
	per := 32 / bits
	for i := 0; i < len(codes); i += per {
		var word uint32
		for j, c := range codes[i : i+per] {
			word |= uint32(c) & (1<<bits - 1) << (j * bits)
		}
		at := size + (i/per*TileRows+lane)*4
		tile[at], tile[at+1], tile[at+2], tile[at+3] = byte(word), byte(word>>8), byte(word>>16), byte(word>>24)
	}
}

// UnpackQuant dequantizes one row of a tile.
func UnpackQuant(dst []float32, tile []byte, bits, lane int) {
	size, _ := QuantTile(bits, len(dst))
	per := 32 / bits
	for i := range dst {
		at := (i/QuantGroup*TileRows + lane) * 2
		scale := float16.Frombits(uint16(tile[at]) | uint16(tile[at+1])<<8).Float32()
		at = size + (i/per*TileRows+lane)*4
		word := uint32(tile[at]) | uint32(tile[at+1])<<8 | uint32(tile[at+2])<<16 | uint32(tile[at+3])<<24
		code := int32(word<<(32-bits*(i%per+1))) >> (32 - bits)
		dst[i] = float32(code) * scale
	}
}

// DenseQuantF32 is a kernel with quantized weights and f32 activations; k
// counts groups. Its sums are those of DenseF32F32 on the dequantized weights.
func DenseQuantF32(tile []byte, bits int, x []float32, k, mr int, y []float32, ldy int, add bool) {
	w := make([]float32, k*QuantGroup)
	for n := range TileRows {
		UnpackQuant(w, tile, bits, n)
		for i := range mr {
			var sum float32
			for j, v := range w {
				sum = fma(v, x[j*mr+i], sum)
			}
			store(&y[i*ldy+n], sum, add)
		}
	}
}
