package checkpoint

import (
	"encoding/binary"
	"math"

	"armor/kernels"
	"armor/kernels/fourbit"

	"github.com/x448/float16"
)

// The types of GGUF, element by element as gguf-py's quants.py computes them: a code
// times a scale, less a minimum, both rounded. Blocks become codes of 8 bits, eight
// at a time, with scales and minima; then all are multiplied.

// blockCodes are 256 elements.
type blockCodes struct {
	codes        [256]byte   // two's complement
	scales, less [16]float32 // of 16 or 32 elements each
}

func half(b []byte) float32 {
	h := uint32(binary.LittleEndian.Uint16(b))
	if h&0x7c00 == 0x7c00 {
		return float16.Frombits(uint16(h)).Float32()
	}
	magnitude := math.Float32frombits(h&0x7fff<<13) * 0x1p112 // the exponents' difference; exact
	return math.Float32frombits(math.Float32bits(magnitude) | h&0x8000<<16)
}

// decode32 decodes the types with blocks of 32, eight blocks at a time.
func decode32(dst []float32, d DType, src []byte) {
	_, bytes := d.Block()
	var c blockCodes
	for len(dst) > 0 {
		n := min(len(dst)/32, 8)
		for i := range n {
			b, codes := src[i*bytes:][:bytes], (*[32]byte)(c.codes[32*i:])
			c.scales[i] = half(b)
			switch d {
			case Q41:
				c.less[i] = -half(b[2:])
				lowHigh(codes, b[4:20])
			case Q51:
				c.less[i] = -half(b[2:])
				lowHigh(codes, b[8:24])
				fifthBits(codes, b[4:8])
			default:
				unpack(codes, d, b[2:])
			}
		}
		kernels.ScaleCodes(dst[:32*n], c.codes[:32*n], c.scales[:n], c.less[:n])
		dst, src = dst[32*n:], src[n*bytes:]
	}
}

// unpack sets codes from a block behind its scale, of the types without minima.
func unpack(codes *[32]byte, d DType, src []byte) {
	switch d {
	case Q40:
		lowHigh(codes, src[:16])
		lessThan(codes[:], 8)
	case Q50:
		lowHigh(codes, src[4:20])
		fifthBits(codes, src[:4])
		lessThan(codes[:], 16)
	default: // Q80
		*codes = [32]byte(src)
	}
}

// lowHigh sets the first codes to the low halves of 16 bytes, the others to the high
// ones.
func lowHigh(codes *[32]byte, src []byte) {
	for i := 0; i < 16; i += 8 {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(codes[i:], fourbit.Low(w))
		binary.LittleEndian.PutUint64(codes[i+16:], fourbit.High(w))
	}
}

// fifthBits adds 16 to codes whose bit is set.
func fifthBits(codes *[32]byte, bits []byte) {
	for i, b := range bits[:4] {
		w := binary.LittleEndian.Uint64(codes[8*i:])
		binary.LittleEndian.PutUint64(codes[8*i:], w|sixteens[b])
	}
}

// sixteens has 16 in the bytes of the bits that are set.
var sixteens = func() (all [256]uint64) {
	for b := range all {
		for i := range 8 {
			all[b] |= uint64(b>>i&1) << (8*i + 4)
		}
	}
	return all
}()

const eachByte = 0x0101010101010101

// lessThan subtracts n, at most 128, from codes below 128, whole eights.
func lessThan(codes []byte, n uint64) {
	const top = 0x80 * eachByte // keeps a byte from borrowing of the next
	for i := 0; i+8 <= len(codes); i += 8 {
		w := binary.LittleEndian.Uint64(codes[i:])
		binary.LittleEndian.PutUint64(codes[i:], ((w|top)-n*eachByte)^top)
	}
}

// decode256 decodes the types with blocks of 256, the "K quants".
func decode256(dst []float32, d DType, src []byte) {
	_, bytes := d.Block()
	var c blockCodes
	for ; len(dst) > 0; dst, src = dst[256:], src[bytes:] {
		b, parts := src[:bytes], 16
		switch d {
		case Q2K:
			c.q2K(b)
		case Q3K:
			c.q3K(b)
		case Q4K:
			c.q45K(b[:16], nil, b[16:144])
			parts = 8
		case Q5K:
			c.q45K(b[:16], b[16:48], b[48:176])
			parts = 8
		case Q6K:
			c.q6K(b)
		}
		kernels.ScaleCodes(dst[:256], c.codes[:], c.scales[:parts], c.less[:parts])
	}
}

// bitsOf sets 32 codes to the bits of mask of 32 bytes, shifted.
func bitsOf(codes, src []byte, shift int, mask uint64) {
	codes, src, mask = codes[:32], src[:32], mask*eachByte
	for i := 0; i < 32; i += 8 {
		w := binary.LittleEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(codes[i:], w>>shift&mask)
	}
}

// addBits adds the bits of mask of 32 bytes, shifted, to 32 codes, up places higher.
func addBits(codes, src []byte, shift int, mask uint64, up int) {
	codes, src, mask = codes[:32], src[:32], mask*eachByte
	for i := 0; i < 32; i += 8 {
		w := binary.LittleEndian.Uint64(codes[i:])
		add := binary.LittleEndian.Uint64(src[i:]) >> shift & mask
		binary.LittleEndian.PutUint64(codes[i:], w|add<<up)
	}
}

// q2K is 16 bytes of scale and minimum of 16 elements each, 64 bytes of four codes,
// and what scales and minima are multiples of (f16).
func (c *blockCodes) q2K(b []byte) {
	scale, least := half(b[80:]), half(b[82:])
	for s, x := range b[:16] {
		c.scales[s], c.less[s] = scale*float32(x&15), least*float32(x>>4)
	}
	for i := range 8 { // codes of 32 elements are 2 bits of 32 bytes
		bitsOf(c.codes[32*i:], b[16+i/4*32:], i%4*2, 3)
	}
}

// q3K is the third bits of all codes, 64 bytes of four codes, 16 scales of 6 bits,
// and what they are multiples of (f16).
func (c *blockCodes) q3K(b []byte) {
	high, codes, packed := b[:32], b[32:96], b[96:108]
	scale := half(b[108:])
	for s := range 16 {
		x := packed[s%8]>>(s/8*4)&15 | packed[8+s%4]>>(s/4*2)&3<<4
		c.scales[s] = scale * float32(int(x)-32)
	}
	for i := range 8 {
		bitsOf(c.codes[32*i:], codes[i/4*32:], i%4*2, 3)
		addBits(c.codes[32*i:], high, i, 1, 2)
	}
	lessThan(c.codes[:], 4)
}

// q45K has in head what scales and minima are multiples of (f16) and 8 of each in 6
// bits, in high (Q5_K) the fifth bits, in codes 128 bytes of two.
func (c *blockCodes) q45K(head, high, codes []byte) {
	scale, least, packed := half(head), half(head[2:]), head[4:16]
	for s := range 8 {
		x, m := packed[s%4]&63, packed[4+s%4]&63
		if s >= 4 {
			x = packed[4+s]&15 | packed[s-4]>>2&48
			m = packed[4+s]>>4 | packed[s]>>2&48
		}
		c.scales[s], c.less[s] = scale*float32(x), least*float32(m)
		bitsOf(c.codes[32*s:], codes[s/2*32:], s%2*4, 15)
		if high != nil {
			addBits(c.codes[32*s:], high, s, 1, 4)
		}
	}
}

// q6K is the lower four bits of all codes, their upper two, 16 scales of 8 bits, and
// what they are multiples of (f16).
func (c *blockCodes) q6K(b []byte) {
	low, high := b[:128], b[128:192]
	scale := half(b[208:])
	for s, x := range b[192:208] {
		c.scales[s] = scale * float32(int8(x))
	}
	for i := range 8 {
		bitsOf(c.codes[32*i:], low[i/4*64+i%2*32:], i%4/2*4, 15)
		addBits(c.codes[32*i:], high[i/4*32:], i%4*2, 3, 4)
	}
	lessThan(c.codes[:], 32)
}
