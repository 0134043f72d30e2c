package solve

import (
	"math"

	"armor/kernels/block"
)

// gramA makes A_jᵀ·A_j.
func (d *descent) gramA(ws *workspace, j int) {
	m, bo := d.math, d.bo
	a, at := d.a[j*bo*bo:][:bo*bo], ws.gram[:bo*bo]
	m.Transpose(at, bo, a, bo, bo, bo)
	m.Mul(d.ga[j*bo*bo:], bo, block.Set, at, bo, 1, a, bo, bo, bo, bo)
}

// systemA gives P·Pᵀ with P = S_j·B′ [bo, In] and W′·Pᵀ − A·P·Pᵀ, both [bo, bo]:
// half the loss's slope down.
func (d *descent) systemA(ws *workspace, j int) (gram, down []float32) {
	m, bo, bi := d.math, d.bo, d.bi
	gram, down = ws.gram[:bo*bo], ws.rhs[:bo*bo]
	clear(gram)
	clear(down)
	for k := range d.nk {
		m.Transpose(ws.t, bo, d.tile(d.s, j, k), bi, bo, bi)
		w, s := d.tile(d.w, j, k), d.tile(d.s, j, min(k+1, d.nk-1))
		m.MulAhead(w, ws.p, bo, block.Set, d.b[k*bi*bi:], 1, bi, ws.t, bo, bi, bo, bi) // Pᵀ
		addGram(m, gram, ws.p, bo, bi)
		m.MulAhead(s, down, bo, block.Add, w, bi, 1, ws.p, bo, bo, bo, bi)
	}
	mirror(gram, bo)
	m.Mul(down, bo, block.Sub, d.a[j*bo*bo:], bo, 1, gram, bo, bo, bo, bo)
	return gram, down
}

// gramB makes B′_kᵀ and B′_k·B′_kᵀ.
func (d *descent) gramB(k int) {
	m, bi := d.math, d.bi
	b, bt, gb := d.b[k*bi*bi:][:bi*bi], d.bt[k*bi*bi:][:bi*bi], d.gb[k*bi*bi:][:bi*bi]
	m.Transpose(bt, bi, b, bi, bi, bi)
	m.Mul(gb, bi, block.Set, b, bi, 1, bt, bi, bi, bi, bi)
	d.pairs[k].Reset(gb, bi, bi)
}

// systemB gives Qᵀ·Q with Q = A·S_:k [Out, bi] and QᵀW′ − QᵀQ·B′, both [bi, bi].
func (d *descent) systemB(ws *workspace, k int) (gram, down []float32) {
	m, bo, bi := d.math, d.bo, d.bi
	gram, down = ws.gram[:bi*bi], ws.rhs[:bi*bi]
	clear(gram)
	clear(down)
	for j := range d.nj {
		q := d.tile(d.q, j, k)
		addGram(m, gram, q, bi, bo)
		m.MulAhead(d.tile(d.w, min(j+1, d.nj-1), k), down, bi, block.Add, q, 1, bi, d.tile(d.w, j, k), bi, bi, bi, bo)
	}
	mirror(gram, bi)
	m.Mul(down, bi, block.Sub, gram, bi, 1, d.b[k*bi*bi:], bi, bi, bi, bi)
	return gram, down
}

// addGram adds xᵀx to the lower triangle of gram [n, n], x [rows, n]; above it
// some of it is added as well.
func addGram(m block.Math, gram, x []float32, n, rows int) {
	const strip = 32
	for j := 0; j < n; j += strip {
		m.Mul(gram[j*n+j:], n, block.Add, x[j:], 1, n, x[j:], n, n-j, min(strip, n-j), rows)
	}
}

func mirror(a []float32, n int) {
	for i := range n {
		for j := range i {
			a[j*n+i] = a[i*n+j]
		}
	}
}

// solveStep replaces x [n, n] by (gram + ε·I)⁻¹·x, and gram by its factor. It
// returns false where gram is zero or too badly conditioned for f32.
func (d *descent) solveStep(gram, x []float32, n int) bool {
	trace := 0.0
	for i := range n {
		trace += float64(gram[i*n+i])
	}
	eps := float32(proximal * trace / float64(n))
	for i := range n {
		gram[i*n+i] += eps
	}
	if !(eps > 0) || !d.math.Cholesky(gram, n, n) {
		return false
	}
	d.math.CholeskySolve(gram, n, n, x, n, n)
	return true
}

// leadsDown says whether rounding errors left a step a direction of descent, of
// which rhs is the steepest.
func leadsDown(step, rhs []float32) bool {
	dot := 0.0
	for i, v := range step {
		dot += float64(v) * float64(rhs[i])
	}
	return dot > 0 && !math.IsInf(dot, 1)
}

// move adds relax times step to x.
func move(x, step []float32, relax float32) {
	for i, v := range step {
		x[i] += relax * v
	}
}
