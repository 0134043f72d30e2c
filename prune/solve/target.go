package solve

import (
	"fmt"
	"math"

	"armor/kernels/block"
)

// target is what A·S·B′ is to come near, in the scaled space where the loss is
// plain: W′ = W̄·L, with L·Lᵀ the inputs' weights: diag(√h), or by block the
// Cholesky factor of the damped Hessian. B′ = B·L.
type target struct {
	p *Problem
	n *normal

	math    block.Math
	threads int

	bo, bi int       // block height and width
	nj, nk int       // blocks down and across
	root   []float64 // [In], √h
	weight []float64 // [In], √h over the column's norm
	factor []float64 // [nk, bi, bi], L lower triangular, or nil for diag(root)
	total  float64   // ‖W′‖²
}

// damping is what is added to a Hessian's diagonal, relative to its mean.
const damping = 0.01

func newTarget(p *Problem, o *Options) (*target, error) {
	t := &target{
		p: p, n: normalize(p, o.Threads), math: o.Math, threads: o.Threads, bo: o.BlockOut, bi: o.BlockIn,
		nj: p.Out / o.BlockOut, nk: p.In / o.BlockIn, root: make([]float64, p.In), weight: make([]float64, p.In),
	}
	for j, h := range t.n.h {
		t.root[j] = math.Sqrt(h)
		t.weight[j] = t.root[j] / t.n.col[j]
	}
	if p.Hessian.Blocks != nil {
		if err := t.factorBlocks(); err != nil {
			return nil, err
		}
	}
	t.total = t.plainLoss(nil)
	return t, nil
}

// factorBlocks makes factor of the Hessian's blocks, scaled to mean diagonal 1.
func (t *target) factorBlocks() error {
	h := &t.p.Hessian
	mean := 0.0
	at := func(i, j int) float64 { // i and j are of the same block
		return float64(h.Blocks[i*h.Block+j%h.Block])
	}
	for i := range t.p.In {
		mean += at(i, i) / float64(t.p.In)
	}
	if !(mean > 0) || math.IsInf(mean, 1) {
		return fmt.Errorf("the Hessian's blocks have a mean diagonal of %v", mean)
	}
	b := t.bi
	t.factor = make([]float64, t.nk*b*b)
	failed := make([]bool, t.nk)
	inParallel(t.threads, t.nk, func(_, k int) {
		l := t.factor[k*b*b:][:b*b]
		for i := range b {
			for j := range i + 1 {
				l[i*b+j] = at(k*b+i, k*b+j) / mean
			}
			l[i*b+i] += damping
		}
		failed[k] = !cholesky(l, b)
	})
	for k, f := range failed {
		if f {
			return fmt.Errorf("the Hessian's block at input %d is not positive semidefinite", k*b)
		}
	}
	return nil
}

// cholesky makes a [n, n], of which the lower triangle is read, its factor L
// with zeros above the diagonal; false if a is not positive definite.
func cholesky(a []float64, n int) bool {
	for j := range n {
		for i := j; i < n; i++ {
			sum := a[i*n+j]
			for p := range j {
				sum -= a[i*n+p] * a[j*n+p]
			}
			if i > j {
				a[i*n+j] = sum / a[j*n+j]
				continue
			}
			if !(sum > 0) || math.IsInf(sum, 1) {
				return false
			}
			a[j*n+j] = math.Sqrt(sum)
		}
		for p := j + 1; p < n; p++ {
			a[j*n+p] = 0
		}
	}
	return true
}

// scaleIn makes a row x [bi] of a matrix over the inputs of block k, times c,
// one in scaled space: x·diag(1/c)·L. x is overwritten.
func (t *target) scaleIn(dst []float32, x []float64, k int) {
	b := t.bi
	if t.factor == nil {
		for q, w := range t.weight[k*b:][:len(x)] {
			dst[q] = float32(x[q] * w)
		}
		return
	}
	for q, c := range t.n.col[k*b:][:len(x)] {
		x[q] /= c
	}
	l := t.factor[k*b*b:][:b*b]
	for q := range b { // row q of L ends at q: x[q] is not read after its turn
		v := x[q]
		x[q] = 0
		for s, f := range l[q*b : q*b+q+1] {
			x[s] += v * f
		}
	}
	for q, v := range x {
		dst[q] = float32(v)
	}
}

// unscaleIn is the inverse of scaleIn.
func (t *target) unscaleIn(x []float64, src []float32, k int) {
	b, col := t.bi, t.n.col[k*t.bi:]
	for q, v := range src {
		x[q] = float64(v)
	}
	if t.factor == nil {
		for q := range x {
			x[q] *= col[q] / t.root[k*b+q]
		}
		return
	}
	l := t.factor[k*b*b:][:b*b]
	for q := b - 1; q >= 0; q-- {
		x[q] /= l[q*b+q]
		for s, f := range l[q*b : q*b+q] {
			x[s] -= x[q] * f
		}
	}
	for q := range x {
		x[q] *= col[q]
	}
}

// relative makes a sum of squares a relative loss; an all-zero weight has none.
func (t *target) relative(loss float64) float64 {
	if t.total == 0 {
		return 0
	}
	return loss / t.total
}

// plainLoss is ‖(W̄ − S̄)·L‖² of a layer without A and B, S = 0 where it is nil.
func (t *target) plainLoss(l *Layer) float64 {
	p, n, rows := t.p, t.n, make([]float64, t.p.Out)
	x := make([]float64, t.threads*t.bi)
	y := make([]float32, t.threads*t.bi)
	inParallel(t.threads, p.Out, func(worker, i int) {
		x, y := x[worker*t.bi:][:t.bi], y[worker*t.bi:][:t.bi]
		sum, inverse := 0.0, 1/n.row[i]
		for k := range t.nk {
			at := i*p.In + k*t.bi
			for q, w := range p.W[at:][:t.bi] {
				x[q] = float64(w) * inverse
			}
			if l != nil {
				for g, m := range l.Mask[at/4:][:t.bi/4] {
					v := l.Values[at/2+2*g:][:2]
					x[4*g+pairs[m][0]] -= float64(v[0]) * inverse
					x[4*g+pairs[m][1]] -= float64(v[1]) * inverse
				}
			}
			t.scaleIn(y, x, k)
			for _, v := range y {
				sum += float64(v) * float64(v)
			}
		}
		rows[i] = sum
	})
	return sum(rows)
}

// scaled is W′ as tiles [nj, nk, bo, bi].
func (t *target) scaled() []float32 {
	w := make([]float32, t.p.Out*t.p.In)
	x := make([]float64, t.threads*t.bi)
	inParallel(t.threads, t.p.Out, func(worker, i int) {
		x := x[worker*t.bi:][:t.bi]
		inverse := 1 / t.n.row[i]
		for k := range t.nk {
			for q, v := range t.p.W[i*t.p.In+k*t.bi:][:t.bi] {
				x[q] = float64(v) * inverse
			}
			t.scaleIn(t.tile(w, i/t.bo, k)[i%t.bo*t.bi:][:t.bi], x, k)
		}
	})
	return w
}

// tile is block (j, k) of tiles: [bo, bi], or a quarter or a half of it.
func (t *target) tile(tiles []float32, j, k int) []float32 {
	n := t.bo * t.bi
	return tiles[(j*t.nk+k)*n:][:n:n]
}
