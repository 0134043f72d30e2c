package solve

import (
	"math"

	"armor/kernels/ref"

	"github.com/x448/float16"
)

// Codes are numbers as integers: each is its scale times its code. Of 8 bits
// -127 … 127 occur, of 4 bits -8 … 7.
type Codes struct {
	Bits   int
	Codes  []int8
	Scales []uint16 // f16, of 8 bits not negative; each of as many numbers as lie between
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

// levels are the codes there are: whole numbers from least to most. Of 4 bits a
// scale may be negative, which gives the one more code to the other side.
type levels struct{ least, most float32 }

func levelsOf(bits int) levels {
	least, most := ref.CodeRange(bits)
	return levels{float32(least), float32(most)}
}

// signed says whether scales may be negative.
func (l levels) signed() bool { return -l.least > l.most }

// largestHalf is the largest finite f16.
const largestHalf = 65504

// half is the f16 nearest to a scale that may be, and what it is.
func (l levels) half(scale float32) (bits uint16, value float32) {
	least := float32(0)
	if l.signed() {
		least = -largestHalf
	}
	h := float16.Fromfloat32(min(max(scale, least), largestHalf))
	return h.Bits(), h.Float32()
}

// nearest rounds to the nearest level, ties to even.
func (l levels) nearest(x float32) float32 {
	const whole = 3 << 22 // adding it leaves no room for a fraction
	x = min(max(x, l.least), l.most)
	return float32(x+whole) - whole
}

// plainScale maps the number of x that is largest in magnitude to the code that is.
func (l levels) plainScale(x []float32) float32 {
	most := float32(0)
	for _, v := range x {
		if max(v, -v) > max(most, -most) {
			most = v
		}
	}
	to := l.least
	if !l.signed() {
		most, to = max(most, -most), l.most
	}
	if most == 0 {
		return 0
	}
	_, t := l.half(most / to)
	return t
}

// The shares of the plain scale that searchScale tries: a smaller one cuts off the
// largest numbers and is finer for the others; a negative one is of the other sign.
var (
	shares8 = []float32{1, 0.96, 0.92, 0.88, 0.84, 0.8}
	shares4 = []float32{1.26, 1.2, 1.13, 1.06, 1, 0.94, 0.87, 0.8, 0.74, 0.69, 0.63, 0.57,
		-1.26, -1.2, -1.13, -1.06, -1, -0.94, -0.87, -0.8, -0.74, -0.69, -0.63, -0.57}
)

// searchScale finds a scale for x with little Σ weight·(x − scale·code)².
func (l levels) searchScale(x, weight []float32) float32 {
	most := l.plainScale(x)
	best, least := most, float32(math.Inf(1))
	shares := shares8
	if l.signed() {
		shares = shares4
	}
	for _, share := range shares {
		_, t := l.half(most * share)
		for range 2 {
			if t == 0 {
				break
			}
			inverse := 1 / t
			var sum, xq, qq float32
			for i, v := range x {
				q := l.nearest(v * inverse)
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
			_, t = l.half(xq / qq) // the best for these codes
		}
	}
	return best
}
