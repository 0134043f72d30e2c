package ref

import (
	"math"

	"armor/kernels/sparse24"
)

// The products of AMX. Weights are tiles as for the other kernels; activations
// are rows of bf16, x[token][ldx]. A sum over k takes 32 inputs at a time, each
// by one TDPBF16PS, from the first on, so that it does not depend on the shape
// of the tiles that compute it.

// tileInputs is what one TDPBF16PS multiplies at most.
const tileInputs = 32

// TDPBF16PS adds to c [tokens, 16] the products of a [tokens, lda] with
// b [pairs][16][2], as the instruction does (Intel SDM): even and odd inputs in
// chains of fused multiply-adds of their own, which are added to each other and
// then to c. It rounds to nearest even and takes and gives subnormals as zeros.
func TDPBF16PS(c []float32, a []uint16, lda int, b []uint16, tokens, pairs int) {
	for i := range tokens {
		for n := range TileRows {
			var even, odd float32
			for p := range pairs {
				at := (p*TileRows + n) * 2
				even = flushFMA(fromBF16(a[i*lda+2*p]), fromBF16(b[at]), even)
				odd = flushFMA(fromBF16(a[i*lda+2*p+1]), fromBF16(b[at+1]), odd)
			}
			sum := &c[i*TileRows+n]
			*sum = flush(flush(*sum) + flush(even+odd))
		}
	}
}

// flushFMA is a·b + c. In f64 the product of two bf16 is exact, and so is the
// sum, but where it is so wide that f32 would drop the smaller one anyway. What
// is below 2⁻¹²⁶ after rounding to 24 bits is flushed.
func flushFMA(a, b, c float32) float32 {
	sum := float64(flush(a))*float64(flush(b)) + float64(flush(c))
	if math.Abs(sum) < 0x1p-126*(1-0x1p-25) {
		return float32(math.Copysign(0, sum))
	}
	return float32(sum)
}

// flush makes subnormals zeros of their sign.
func flush(x float32) float32 {
	if b := math.Float32bits(x); b&0x7f800000 == 0 {
		return math.Float32frombits(b & 0x80000000)
	}
	return x
}

// RowsBF16 rounds rows of k inputs, src [rows, ld], to bf16, dst [rows, pitch].
// Subnormals become zeros, as which TDPBF16PS would take them.
func RowsBF16(dst []uint16, pitch int, src []float32, ld, rows, k int) {
	for i := range rows {
		for j, v := range src[i*ld:][:k] {
			dst[i*pitch+j] = BF16Bits(flush(v))
		}
	}
}

// DenseBF16BF16 is a kernel with bf16 weights and activations; k counts pairs.
func DenseBF16BF16(w, x []uint16, ldx, k, tokens int, y []float32, ldy int, add bool) {
	sums := make([]float32, tokens*TileRows)
	for at := 0; at < k; at += tileInputs / 2 {
		TDPBF16PS(sums, x[2*at:], ldx, w[2*at*TileRows:], tokens, min(tileInputs/2, k-at))
	}
	storeTile(sums, tokens, y, ldy, add)
}

// SumBF16BF16 multiplies pieces of 16 inputs, each by one TDPBF16PS; of the last
// piece last pairs. x is [tokens, ldx], piece by piece.
func SumBF16BF16(w [][]uint16, last int, x []uint16, ldx, tokens int, y []float32, ldy int, add bool) {
	sums := make([]float32, tokens*TileRows)
	for i, piece := range w {
		pairs := tileInputs / 4
		if i == len(w)-1 {
			pairs = last
		}
		TDPBF16PS(sums, x[i*tileInputs/2:], ldx, piece, tokens, pairs)
	}
	storeTile(sums, tokens, y, ldy, add)
}

func storeTile(sums []float32, tokens int, y []float32, ldy int, add bool) {
	for i := range tokens {
		for n, s := range sums[i*TileRows:][:TileRows] {
			store(&y[i*ldy+n], s, add)
		}
	}
}

// ExpandBF16 makes a 2:4 tile of k groups a dense one, [2k][16][2].
func ExpandBF16(dst []uint16, positions []uint64, w []uint16, k int) {
	clear(dst[:k*sparse24.Group*TileRows])
	for g := range k {
		for n := range TileRows {
			at := int(positions[g] >> lanePlace(n))
			four := func(i int) *uint16 { return &dst[((2*g+i/2)*TileRows+n)*2+i%2] }
			kept := (g*TileRows + n) * 2
			// The first last: unused rows have 0 for both.
			*four(at >> 2 & 3) = w[kept+1]
			*four(at & 3) = w[kept]
		}
	}
}
