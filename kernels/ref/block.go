package ref

import "math"

// What a product does to its destination: c = a·b, c += a·b, c -= a·b.
const (
	BlockSet = iota
	BlockAdd
	BlockSub
)

// BlockMul computes c [rows, cols] op= a [rows, inner] · b [inner, cols], summing
// over inner in order. Element (i, p) of a is a[i·ars + p·acs].
func BlockMul(c []float32, ldc, op int, a []float32, ars, acs int, b []float32, ldb, rows, cols, inner int) {
	for i := range rows {
		for j := range cols {
			var sum float32
			for p := range inner {
				sum = fma(a[i*ars+p*acs], b[p*ldb+j], sum)
			}
			switch op {
			case BlockSet:
				c[i*ldc+j] = sum
			case BlockAdd:
				c[i*ldc+j] += sum
			case BlockSub:
				c[i*ldc+j] -= sum
			}
		}
	}
}

// BlockTranspose sets dst [cols, rows] to the transpose of src [rows, cols].
func BlockTranspose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	for i := range rows {
		for j := range cols {
			dst[j*ldd+i] = src[i*lds+j]
		}
	}
}

// BlockSquaredError is Σ (a-b)², differences in f32 and the sum in f64.
func BlockSquaredError(a, b []float32) float64 {
	var sum float64
	for i, v := range a {
		d := float64(v - b[i])
		sum += d * d
	}
	return sum
}

// Cholesky replaces the lower triangle of a [n, n] by L, a = L·Lᵀ. It returns
// false where a is not positive definite.
func Cholesky(a []float32, lda, n int) bool {
	for i := range n {
		row := a[i*lda:][:i+1]
		for j := range row {
			sum := row[j]
			for p, v := range a[j*lda:][:j] {
				sum -= row[p] * v
			}
			switch {
			case j < i:
				row[j] = sum / a[j*lda+j]
			case sum > 0 && sum <= math.MaxFloat32:
				row[j] = float32(math.Sqrt(float64(sum)))
			default:
				return false
			}
		}
	}
	return true
}

// InvertLower sets inv [n, n] to the inverse of the lower triangle l [n, n].
func InvertLower(inv []float32, ldi int, l []float32, ldl, n int) {
	for i := range n {
		scale := 1 / l[i*ldl+i]
		row := inv[i*ldi:][:n]
		clear(row)
		row[i] = scale
		for p, v := range l[i*ldl:][:i] {
			for j, u := range inv[p*ldi:][:p+1] {
				row[j] -= scale * v * u
			}
		}
	}
}

// Masks are the pairs of places that a 2:4 mask keeps of a group of four.
var Masks = [6][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}

// DescendRow makes one step on every group of four of a 2:4 row s [cols]. A
// change e of s changes the loss by curvature·(e·gb·eᵀ + 2·g·e), with gb [cols,
// cols], rows ld apart, and g [cols]. With the group's values at 0, r =
// gb₄ₓ₄·s - g; mask {p, q} has the minimiser gb_pq⁻¹·r_pq and the gain
// r_pqᵀ·gb_pq⁻¹·r_pq. The best mask, the lowest at a tie, replaces the present
// values if it gains more than they do.
//
// diag [4, cols] has gb[c, c^j] at [j, c]; inv [cols/4, 3, 8] the elements pp, pq
// and qq of PairInverse of the masks. The whole change times gb is put in d
// [cols]. It returns the decrease over the curvature, which is not finite if
// any value or change is not, and the number of masks that changed.
func DescendRow(s []float32, mask []uint8, g, d, gb []float32, ld int, diag, inv []float32) (gain float32, changed int) {
	cols := len(s)
	clear(d)
	for k := range mask {
		at := 4 * k
		v := s[at : at+4 : at+4]
		var r [4]float32
		var present float32
		for c := range r {
			grad := g[at+c] + d[at+c]
			r[c] = -grad
			for j := range r {
				r[c] = fma(diag[j*cols+at+c], v[c^j], r[c])
			}
			present = fma(r[c]-grad, v[c], present)
		}
		best, pick, vp, vq := present, -1, float32(0), float32(0)
		m := inv[24*k : 24*k+24]
		for i, pq := range Masks {
			rp, rq := r[pq[0]], r[pq[1]]
			p := fma(m[i], rp, m[8+i]*rq)
			q := fma(m[16+i], rq, m[8+i]*rp)
			if w := fma(rp, p, rq*q); w > best {
				best, pick, vp, vq = w, i, p, q
			}
		}
		if pick < 0 {
			continue
		}
		if int(mask[k]) != pick {
			mask[k] = uint8(pick)
			changed++
		}
		gain += best - present
		var to [4]float32
		to[Masks[pick][0]], to[Masks[pick][1]] = vp, vq
		for c := range to {
			delta := to[c] - v[c]
			v[c] = to[c]
			for j, b := range gb[(at+c)*ld:][:cols] {
				d[j] = fma(delta, b, d[j])
			}
		}
	}
	return gain + finite(s) + finite(d), changed
}

// Carry saves the kept values of a 2:4 core s [n] in values [n/2] and moves them
// on: by beyond times their change since from [n] where a group has the mask it
// had there, and by momentum times that since kept values was [n/2] where it has
// the mask of those. Masks are [n/4].
func Carry(values, s []float32, mask []uint8, from []float32, maskFrom []uint8, was []float32, maskWas []uint8, beyond, momentum float32) {
	for g, m := range mask {
		four, old := (*[4]float32)(s[4*g:]), (*[4]float32)(from[4*g:])
		at, before := (*[2]float32)(values[2*g:]), (*[2]float32)(was[2*g:])
		for i, p := range Masks[m] {
			v := four[p&3]
			at[i] = v
			var b, c float32
			if m == maskFrom[g] {
				b = beyond * (v - old[p&3])
			}
			if m == maskWas[g] {
				c = momentum * (v - before[i])
			}
			four[p&3] = v + float32(b+c)
		}
	}
}

// finite is 0, or NaN if any of x is not finite.
func finite(x []float32) float32 {
	var z float32
	for _, v := range x {
		z += v * 0
	}
	return z
}

// PairInverse gives the elements pp, pq and qq of the inverse of the symmetric
// positive semidefinite [[pp, pq], [pq, qq]]. Where the two nearly depend on
// each other it inverts the larger of pp and qq alone, so that the gain that
// the inverse predicts is still one that its minimiser reaches.
func PairInverse(pp, pq, qq float64) (ipp, ipq, iqq float32) {
	const independent = 1.0 / (1 << 14) // of 1 - ρ²; an f32 Gram matrix errs by about 2⁻²⁰
	det := pp*qq - pq*pq
	var inv [3]float32
	switch {
	case pp > 0 && qq > 0 && det >= independent*pp*qq:
		inv = [3]float32{float32(qq / det), float32(-pq / det), float32(pp / det)}
	case pp >= qq && pp > 0:
		inv[0] = float32(1 / pp)
	case qq > 0:
		inv[2] = float32(1 / qq)
	}
	if z := finite(inv[:]); math.IsNaN(float64(z)) {
		return 0, 0, 0
	}
	return inv[0], inv[1], inv[2]
}
