package solve

import (
	"math"

	"github.com/x448/float16"
)

// Codes are numbers as integers: each is its scale times its code, of which
// -limit … limit occur, with limit 127 or 7.
type Codes struct {
	Bits   int
	Codes  []int8
	Scales []uint16 // f16, each of as many numbers as lie between
}

func newCodes(bits, n, each int) *Codes {
	return &Codes{Bits: bits, Codes: make([]int8, n), Scales: make([]uint16, n/each)}
}

// Values sets dst to the numbers, exactly.
func (c *Codes) Values(dst []float32) {
	each := len(c.Codes) / max(1, len(c.Scales))
	for g, s := range c.Scales {
		scale := float16.Frombits(s).Float32()
		for i, v := range c.Codes[g*each : (g+1)*each] {
			dst[g*each+i] = scale * float32(v)
		}
	}
}

// limit is the largest code.
func limit(bits int) float32 { return float32(int(1)<<(bits-1) - 1) }

// largestHalf is the largest finite f16.
const largestHalf = 65504

// half is the f16 nearest to a scale, and what it is.
func half(scale float32) (bits uint16, value float32) {
	h := float16.Fromfloat32(min(max(scale, 0), largestHalf))
	return h.Bits(), h.Float32()
}

// nearest rounds to the nearest whole number within ±limit, ties to even.
func nearest(x, limit float32) float32 {
	const whole = 3 << 22 // adding it leaves no room for a fraction
	x = min(max(x, -limit), limit)
	return float32(x+whole) - whole
}

// plainScale maps the largest of x to the largest code.
func plainScale(x []float32, limit float32) float32 {
	most := float32(0)
	for _, v := range x {
		most = max(most, v, -v)
	}
	_, t := half(most / limit)
	return t
}

// shares are what searchScale tries of the plain scale: a smaller one cuts off the
// largest numbers and is finer for the others.
var shares = map[float32][]float32{
	127: {1, 0.96, 0.92, 0.88, 0.84, 0.8},
	7:   {1.1, 1.05, 1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5},
}

// searchScale finds a scale for x with little Σ weight·(x − scale·code)².
func searchScale(x, weight []float32, limit float32) float32 {
	most := plainScale(x, limit)
	best, least := most, float32(math.Inf(1))
	for _, share := range shares[limit] {
		_, t := half(most * share)
		for range 2 {
			if !(t > 0) {
				break
			}
			inverse := 1 / t
			var sum, xq, qq float32
			for i, v := range x {
				q := nearest(v*inverse, limit)
				e := v - t*q
				sum += weight[i] * e * e
				xq += weight[i] * v * q
				qq += weight[i] * q * q
			}
			if sum < least {
				best, least = t, sum
			}
			if !(qq > 0) {
				break
			}
			_, t = half(xq / qq) // the best for these codes
		}
	}
	return best
}
