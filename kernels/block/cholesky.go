package block

import "armor/kernels/ref"

// step is the width of the blocks in which a factorization and its solves go:
// plain code inside the blocks of the diagonal, products for all else.
const step = 16

// square is a block of the diagonal, or a triangle's inverse, [step, step].
type square [step * step]float32

// Cholesky factors a [n, n] = L·Lᵀ, of which it reads the lower triangle and
// replaces it by L; what is above is undefined afterwards. It returns false if
// a is not positive definite, and a is then of no use.
func (m Math) Cholesky(a []float32, lda, n int) bool {
	var inverse, transposed square
	var panel [step * strip]float32
	for k := 0; k < n; k += step {
		w := min(step, n-k)
		if !ref.Cholesky(a[k*lda+k:], lda, w) {
			return false
		}
		next := k + w
		if next == n {
			break
		}
		ref.InvertLower(inverse[:], step, a[k*lda+k:], lda, w)
		m.Transpose(transposed[:], step, inverse[:], step, w, w)
		for i := next; i < n; i += strip { // the rows below: times L⁻ᵀ
			rows := min(strip, n-i)
			below := a[i*lda+k:]
			m.Mul(panel[:], step, Set, below, lda, 1, transposed[:], step, rows, w, w)
			for r := range rows {
				copy(below[r*lda:][:w], panel[r*step:])
			}
		}
		for j := next; j < n; j += 2 * step { // and their products with each other
			cols := min(2*step, n-j)
			m.Transpose(panel[:], 2*step, a[j*lda+k:], lda, cols, w)
			m.Mul(a[j*lda+j:], lda, Sub, a[j*lda+k:], lda, 1, panel[:], 2*step, n-j, cols, w)
		}
	}
	return true
}

// strip is how many columns, or rows, are solved at a time, in memory of the
// stack.
const strip = 128

// CholeskySolve sets x [n, cols] to (L·Lᵀ)⁻¹·x, with l [n, n] of Cholesky.
func (m Math) CholeskySolve(l []float32, ldl, n int, x []float32, ldx, cols int) {
	var inverse square
	var copied [step * strip]float32
	// solve multiplies block k of x, w rows, with L⁻¹ or its transpose.
	solve := func(k, w, ars, acs int) {
		ref.InvertLower(inverse[:], step, l[k*ldl+k:], ldl, w)
		for j := 0; j < cols; j += strip {
			n := min(strip, cols-j)
			for r := range w {
				copy(copied[r*strip:][:n], x[(k+r)*ldx+j:])
			}
			m.Mul(x[k*ldx+j:], ldx, Set, inverse[:], ars, acs, copied[:], strip, w, n, w)
		}
	}
	for k := 0; k < n; k += step {
		w := min(step, n-k)
		m.Mul(x[k*ldx:], ldx, Sub, l[k*ldl:], ldl, 1, x, ldx, w, cols, k)
		solve(k, w, step, 1)
	}
	for k := (n - 1) / step * step; k >= 0; k -= step {
		w := min(step, n-k)
		if next := k + w; next < n {
			m.Mul(x[k*ldx:], ldx, Sub, l[next*ldl+k:], 1, ldl, x[next*ldx:], ldx, w, cols, n-next)
		}
		solve(k, w, 1, step)
	}
}
