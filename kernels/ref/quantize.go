package ref

import (
	"math"

	"github.com/x448/float16"
)

// QuantizeWeights rounds groups of x to the nearest multiples of a scale, f16, that
// maps the largest of a group to the largest code of so many bits. It returns how
// many groups it has done: the next one is not finite or too large.
func QuantizeWeights(codes []int8, scales []uint16, x []float32, group, bits int) (done int) {
	limit := float32(int(1)<<(bits-1) - 1)
	for g := range scales {
		x, codes := x[g*group:][:group], codes[g*group:][:group]
		half := float16.Fromfloat32(MaxAbs(x) / limit)
		if half.IsNaN() || half.IsInf(0) {
			return g
		}
		scales[g] = half.Bits()
		s := half.Float32()
		for i, v := range x {
			codes[i] = 0
			if s > 0 {
				codes[i] = int8(min(limit, max(-limit, float32(math.RoundToEven(float64(v/s))))))
			}
		}
	}
	return len(scales)
}
