package ref

import "math"

// Codes are integers kept as bytes, beside one scale for all of a vector: a
// value is scale·code.

// QuantizeInt8 sets codes to x/scale, rounded to even, and returns the scale: the
// largest magnitude is 127 of it, or 0 where it would be subnormal. What is not
// finite makes the scale not finite.
func QuantizeInt8(codes []int8, x []float32) (scale float32) {
	scale, usable := Int8Scale(MaxAbs(x))
	if !usable {
		clear(codes)
		return scale
	}
	Int8Codes(codes, x, scale)
	return scale
}

// MaxAbs is the largest |x|, 0 of none, NaN if there is one.
func MaxAbs(x []float32) float32 {
	var most float32
	for _, v := range x {
		most = max(most, float32(math.Abs(float64(v))))
	}
	return most
}

// Int8Scale is the scale for values of up to most, and whether values can be
// divided by it.
func Int8Scale(most float32) (scale float32, usable bool) {
	scale = most / 127
	if scale < 0x1p-126 {
		scale = 0
	}
	return scale, scale > 0 && scale <= math.MaxFloat32
}

// Int8Codes sets codes to x/scale, rounded to even.
func Int8Codes(codes []int8, x []float32, scale float32) {
	for i, v := range x {
		codes[i] = int8(math.RoundToEven(float64(v / scale)))
	}
}

// CodesToBF16 gives codes as bf16, which holds them exactly.
func CodesToBF16(dst []uint16, src []int8) {
	for i, c := range src[:len(dst)] {
		dst[i] = BF16Bits(float32(c))
	}
}

// BitField is 32 bytes from At on, shifted down.
type BitField struct{ At, Shift uint8 }

// BitFields sets 32 codes for each field to the bits of mask of its bytes, up places
// higher, or adds them.
func BitFields(codes, src []byte, fields []BitField, mask byte, up int, add bool) {
	for n, f := range fields {
		to := codes[32*n:][:32]
		for i, b := range src[f.At:][:32] {
			b = b >> f.Shift & mask << up
			if add {
				b |= to[i]
			}
			to[i] = b
		}
	}
}

// ScaleCodes sets dst to scale·(code − offset) − less, rounded twice, of each so many
// codes in two's complement.
func ScaleCodes(dst []float32, codes []byte, offset int32, scales, less []float32, each int) {
	for g, s := range scales {
		to, m := dst[g*each:][:each], less[g]
		for i, c := range codes[g*each:][:each] {
			to[i] = float32(s*float32(int32(int8(c))-offset)) - m // the conversion keeps the two from being fused
		}
	}
}

// KeyScores turns products of q with 16 keys' codes into those with the keys, which
// are scales[i]·codes + c.
func KeyScores(y, scales *[16]float32, q, c []float32) {
	var s sums
	for i, v := range q {
		s[i%32] = fma(v, c[i], s[i%32])
	}
	dot := s.total()
	for i := range y {
		y[i] = float32(y[i]*scales[i]) + dot
	}
}

// HadamardBlock is the size of the blocks of Hadamard for vectors of n: the largest
// power of two that divides n.
func HadamardBlock(n int) int { return n & -n }

// Hadamard multiplies each block of x with the Hadamard matrix H of its size, in
// place: Hx·Hy is the block's size times x·y, but what was large in one place of x
// is spread over all.
func Hadamard(x []float32) {
	for h := 1; h < HadamardBlock(len(x)); h *= 2 {
		for i := 0; i < len(x); i += 2 * h {
			for j := i; j < i+h; j++ {
				a, b := x[j], x[j+h]
				x[j], x[j+h] = a+b, a-b
			}
		}
	}
}
