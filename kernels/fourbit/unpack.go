package fourbit

import (
	"encoding/binary"
	"fmt"
)

// Unpack sets codes [n], whole 32, to the halves of src [n/2], the low one of a byte
// first: of two's complement, or with 8 added where offset is 8. src may be the second
// half of codes.
func Unpack(codes, src []byte, offset int) {
	n := len(codes)
	check(n%32 == 0 && len(src) == n/2 && (offset == 0 || offset == 8), n, len(src), offset)
	flip := byte(8 - offset)
	if n > 0 && hasAVX2 {
		unpackAVX2(&codes[0], &src[0], n, flip)
		return
	}
	wide := uint64(flip) * 0x0101010101010101
	for i := 0; i < n; i += 8 {
		eight := Split(binary.LittleEndian.Uint32(src[i/2:]))
		binary.LittleEndian.PutUint64(codes[i:], Less(eight^wide, 8))
	}
}

// UnpackBlocks sets codes [n, 32] and scales [n] from the blocks of GGUF's Q4_0, src
// [n, 18]: a scale, then bytes whose low halves are the first 16 codes, the high ones
// the others, with 8 added.
func UnpackBlocks(codes []byte, scales []uint16, src []byte) {
	n := len(scales)
	check(len(codes) == 32*n && len(src) == 18*n, n, len(codes), len(src))
	if n > 0 && hasAVX2 {
		unpackBlocksAVX2(&codes[0], &scales[0], &src[0], n)
		return
	}
	for g := range scales {
		to, from := codes[32*g:][:32], src[18*g:][:18]
		scales[g] = binary.LittleEndian.Uint16(from)
		for i := 0; i < 16; i += 8 {
			b := binary.LittleEndian.Uint64(from[2+i:])
			binary.LittleEndian.PutUint64(to[i:], Less(Low(b), 8))
			binary.LittleEndian.PutUint64(to[i+16:], Less(High(b), 8))
		}
	}
}

// Fold makes four words of each 32 codes of four bits [n, 32], the low halves of a
// word the first four of eight, the high halves the next four. Where the words of 32
// begin in dst, a multiple of step apart, step ≥ 4.
func Fold(dst []uint32, step int, codes []byte) {
	n := len(codes) / 32
	check(step >= 4 && len(codes) == 32*n && (n == 0 || len(dst) >= (n-1)*step+4), len(dst), step, len(codes))
	if n > 0 && hasAVX2 {
		foldAVX2(&dst[0], 4*step, &codes[0], n)
		return
	}
	for b := range n {
		to, from := dst[b*step:][:4], codes[32*b:][:32]
		for i := range to {
			w := Low(binary.LittleEndian.Uint64(from[8*i:]))
			to[i] = uint32(w | w>>28)
		}
	}
}

// check panics unless slices have these lengths.
func check(ok bool, a, b, c int) {
	if !ok {
		panic(fmt.Sprintf("fourbit: got %d, %d and %d", a, b, c))
	}
}
