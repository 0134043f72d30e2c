package ref

import "math"

// Codes are integers kept as bytes, beside one scale for all of a vector: a
// value is scale·code.

// QuantizeInt8 sets codes to x/scale, rounded to even, and returns the scale: the
// largest magnitude is 127 of it, or 0 where it would be subnormal. What is not
// finite makes the scale not finite.
func QuantizeInt8(codes []int8, x []float32) (scale float32) {
	var most float32
	for _, v := range x {
		most = max(most, float32(math.Abs(float64(v))))
	}
	scale = most / 127
	if scale < 0x1p-126 {
		scale = 0
	}
	if !(scale > 0 && scale <= math.MaxFloat32) {
		clear(codes)
		return scale
	}
	for i, v := range x {
		codes[i] = int8(math.RoundToEven(float64(v / scale)))
	}
	return scale
}

// CodesToBF16 gives codes as bf16, which holds them exactly.
func CodesToBF16(dst []uint16, src []int8) {
	for i, c := range src[:len(dst)] {
		dst[i] = BF16Bits(float32(c))
	}
}
