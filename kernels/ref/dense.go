package ref

import "math"

// The packed layouts that all dense kernels share. Weights: 16 output rows a
// tile, w[tile][k][16] as f32 or w[tile][k/2][16][2] as bf16. Activations: a
// panel of mr tokens, x[k][mr] as f32 or x[k/2][mr][2] as bf16.
//
// A kernel computes, for every row n of the tiles and token i of the panel,
//
//	y[i*ldy+n] (+)= Σ_k w[n,k]·x[i,k]
//
// summing over k in order in one accumulator, so that a result does not depend
// on how many tokens or rows are computed beside it.

// TileRows is the number of output rows in one tile.
const TileRows = 16

// DenseF32F32 is a kernel with f32 weights and activations; k counts inputs.
func DenseF32F32(w, x []float32, k, mr int, y []float32, ldy int, add bool) {
	for i := range mr {
		for n := range TileRows {
			var sum float32
			for j := range k {
				sum = fma(w[j*TileRows+n], x[j*mr+i], sum)
			}
			store(&y[i*ldy+n], sum, add)
		}
	}
}

// DenseBF16F32 has bf16 weights and f32 activations; k counts pairs of inputs.
func DenseBF16F32(w []uint16, x []float32, k, mr int, y []float32, ldy int, add bool) {
	for i := range mr {
		for n := range TileRows {
			var sum float32
			for j := range k {
				at := (j*TileRows + n) * 2
				sum = fma(fromBF16(w[at]), x[2*j*mr+i], sum)
				sum = fma(fromBF16(w[at+1]), x[(2*j+1)*mr+i], sum)
			}
			store(&y[i*ldy+n], sum, add)
		}
	}
}

func fma(a, b, c float32) float32 {
	p, d := float64(a)*float64(b), float64(c) // p is exact
	s := p + d
	if bits := math.Float64bits(s); bits&1 == 0 && math.Abs(s) <= math.MaxFloat64 {
		// What the sum lost, exactly; to odd, so that it is not rounded twice.
		t := s - p
		if lost := (p - (s - t)) + (d - t); lost != 0 {
			if (lost > 0) == (s > 0) {
				bits++
			} else {
				bits--
			}
			s = math.Float64frombits(bits)
		}
	}
	return float32(s)
}

func fromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

func store(y *float32, sum float32, add bool) {
	if add {
		sum += *y
	}
	*y = sum
}
