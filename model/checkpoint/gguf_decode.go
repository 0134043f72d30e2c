package checkpoint

import (
	"encoding/binary"

	"github.com/x448/float16"
)

// The types of GGUF, element by element as gguf-py's quants.py computes them. A
// conversion float32(a*b) keeps the compiler from fusing the product with a sum,
// in that statement or a later one: the reference rounds twice.

func half(b []byte) float32 {
	return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()
}

// decode32 decodes the types with blocks of 32.
func decode32(dst []float32, d DType, src []byte) {
	_, bytes := d.Block()
	for ; len(dst) > 0; dst, src = dst[32:], src[bytes:] {
		y, b := dst[:32], src[:bytes]
		switch d {
		case Q41:
			decodeQ41(y, b)
		case Q51:
			decodeQ51(y, b)
		default:
			var codes [32]int8
			unpack(codes[:], d, b[2:])
			scale := half(b)
			for i, c := range codes {
				y[i] = scale * float32(c)
			}
		}
	}
}

// decodeQ41 is scale, minimum (f16), 16 bytes of two codes.
func decodeQ41(y []float32, b []byte) {
	scale, least := half(b), half(b[2:])
	for i, c := range b[4:20] {
		y[i] = float32(scale*float32(c&15)) + least
		y[i+16] = float32(scale*float32(c>>4)) + least
	}
}

// decodeQ51 is scale, minimum (f16), the fifth bits of all codes, the others.
func decodeQ51(y []float32, b []byte) {
	scale, least, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i, c := range b[8:24] {
		y[i] = float32(scale*float32(c&15|byte(high>>i&1)<<4)) + least
		y[i+16] = float32(scale*float32(c>>4|byte(high>>(i+16)&1)<<4)) + least
	}
}

// decode256 decodes the types with blocks of 256, the "K quants".
func decode256(dst []float32, d DType, src []byte) {
	_, bytes := d.Block()
	for ; len(dst) > 0; dst, src = dst[256:], src[bytes:] {
		y, b := dst[:256], src[:bytes]
		switch d {
		case Q2K:
			decodeQ2K(y, b)
		case Q3K:
			decodeQ3K(y, b)
		case Q4K:
			decodeQ45K(y, b[:16], nil, b[16:144])
		case Q5K:
			decodeQ45K(y, b[:16], b[16:48], b[48:176])
		case Q6K:
			decodeQ6K(y, b)
		}
	}
}

// decodeQ2K is 16 bytes of scale and minimum of 16 elements each, 64 bytes of
// four codes, and what scales and minima are multiples of (f16).
func decodeQ2K(y []float32, b []byte) {
	scales, codes := b[:16], b[16:80]
	scale, least := half(b[80:]), half(b[82:])
	for s, x := range scales { // codes of 16 elements are 2 bits of 16 bytes
		d, m := scale*float32(x&15), float32(least*float32(x>>4))
		q, shift := codes[s/8*32+s%2*16:][:16], s%8/2*2
		for i, c := range q {
			y[s*16+i] = float32(d*float32(c>>shift&3)) - m
		}
	}
}

// decodeQ3K is the third bits of all codes, 64 bytes of four codes, 16 scales of
// 6 bits, and what they are multiples of (f16).
func decodeQ3K(y []float32, b []byte) {
	high, codes, packed := b[:32], b[32:96], b[96:108]
	scale := half(b[108:])
	for s := range 16 {
		x := packed[s%8]>>(s/8*4)&15 | packed[8+s%4]>>(s/4*2)&3<<4
		d := scale * float32(int(x)-32)
		q, shift := codes[s/8*32+s%2*16:][:16], s%8/2*2
		h, bit := high[s%2*16:][:16], s/2
		for i, c := range q {
			y[s*16+i] = d * float32(int(c>>shift&3|h[i]>>bit&1<<2)-4)
		}
	}
}

// decodeQ45K has in head what scales and minima are multiples of (f16) and 8 of
// each in 6 bits, in high (Q5_K) the fifth bits, in codes 128 bytes of two.
func decodeQ45K(y []float32, head, high, codes []byte) {
	scale, least, packed := half(head), half(head[2:]), head[4:16]
	for s := range 8 {
		x, m := packed[s%4]&63, packed[4+s%4]&63
		if s >= 4 {
			x = packed[4+s]&15 | packed[s-4]>>2&48
			m = packed[4+s]>>4 | packed[s]>>2&48
		}
		d, dm := scale*float32(x), float32(least*float32(m))
		q, shift := codes[s/2*32:][:32], s%2*4
		for i, c := range q {
			c = c >> shift & 15
			if high != nil {
				c |= high[i] >> s & 1 << 4
			}
			y[s*32+i] = float32(d*float32(c)) - dm
		}
	}
}

// decodeQ6K is the lower four bits of all codes, their upper two, 16 scales of 8
// bits, and what they are multiples of (f16).
func decodeQ6K(y []float32, b []byte) {
	low, high, scales := b[:128], b[128:192], b[192:208]
	scale := half(b[208:])
	for s, x := range scales {
		d := scale * float32(int8(x))
		l, lowShift := low[s/8*64+s%4*16:][:16], s%8/4*4
		h, highShift := high[s/8*32+s%2*16:][:16], s%8/2*2
		for i, c := range l {
			y[s*16+i] = d * float32(int(c>>lowShift&15|h[i]>>highShift&3<<4)-32)
		}
	}
}
