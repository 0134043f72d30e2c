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
	var scales, less [16]byte // float16
	for len(dst) > 0 {
		n := min(len(dst)/32, 8)
		for i := range n {
			b, codes := src[i*bytes:][:bytes], (*[32]byte)(c.codes[32*i:])
			copy(scales[2*i:], b[:2])
			switch d {
			case Q41:
				less[2*i], less[2*i+1] = b[2], b[3]^0x80
				lowHigh(codes, b[4:20])
			case Q51:
				less[2*i], less[2*i+1] = b[2], b[3]^0x80
				lowHigh(codes, b[8:24])
				fifthBits(codes, b[4:8])
			default:
				unpack(codes, d, b[2:])
			}
		}
		kernels.WidenF16(c.scales[:8], scales[:])
		kernels.WidenF16(c.less[:8], less[:])
		kernels.ScaleCodes(dst[:32*n], c.codes[:32*n], 0, c.scales[:n], c.less[:n])
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

// lessThan subtracts n, at most 128, from codes below 128, whole eights.
func lessThan(codes []byte, n uint64) {
	for i := 0; i+8 <= len(codes); i += 8 {
		w := binary.LittleEndian.Uint64(codes[i:])
		binary.LittleEndian.PutUint64(codes[i:], fourbit.Less(w, n))
	}
}

// decode256 decodes the types with blocks of 256, the "K quants".
func decode256(dst []float32, d DType, src []byte) {
	_, bytes := d.Block()
	var c blockCodes
	for ; len(dst) > 0; dst, src = dst[256:], src[bytes:] {
		b, parts, offset := src[:bytes], 16, int32(0)
		switch d {
		case Q2K:
			c.q2K(b)
		case Q3K:
			c.q3K(b)
			offset = 4
		case Q4K:
			c.q45K(b[:16], nil, b[16:144])
			parts = 8
		case Q5K:
			c.q45K(b[:16], b[16:48], b[48:176])
			parts = 8
		case Q6K:
			c.q6K(b)
			offset = 32
		}
		kernels.ScaleCodes(dst[:256], c.codes[:], offset, c.scales[:parts], c.less[:parts])
	}
}

// fields are those of eight times 32 codes: the lowest bits of per times 32 bytes, then
// those above them, and so on; then of the next bytes.
func fields(per, bits int) *[8]kernels.BitField {
	var f [8]kernels.BitField
	in := 8 / bits * per // fields of the same bytes
	for i := range f {
		f[i] = kernels.BitField{At: uint8(i/in*per*32 + i%per*32), Shift: uint8(i % in / per * bits)}
	}
	return &f
}

// Where types of 256 have their bits.
var (
	ones  = fields(1, 1)
	twos  = fields(1, 2)
	fours = fields(1, 4)
	lows  = fields(2, 4)
)

// q2K is 16 bytes of scale and minimum of 16 elements each, 64 bytes of four codes,
// and what scales and minima are multiples of (f16).
func (c *blockCodes) q2K(b []byte) {
	scale, least := half(b[80:]), half(b[82:])
	for s, x := range b[:16] {
		c.scales[s], c.less[s] = scale*float32(x&15), least*float32(x>>4)
	}
	kernels.BitFields(c.codes[:], b[16:80], twos[:], 3, 0, false)
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
	kernels.BitFields(c.codes[:], codes, twos[:], 3, 0, false)
	kernels.BitFields(c.codes[:], high, ones[:], 1, 2, true)
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
	}
	kernels.BitFields(c.codes[:], codes, fours[:], 15, 0, false)
	if high != nil {
		kernels.BitFields(c.codes[:], high, ones[:], 1, 4, true)
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
	kernels.BitFields(c.codes[:], low, lows[:], 15, 0, false)
	kernels.BitFields(c.codes[:], high, twos[:], 3, 4, true)
}
