package solve

import (
	"math"
	goruntime "runtime"

	"armor/kernels/block"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

// factors are A, S, B′ of the scaled space, in f32.
type factors struct {
	a    []float32 // [nj, bo, bo]
	b    []float32 // [nk, bi, bi]
	s    []float32 // tiles [nj, nk, bo, bi]
	mask []uint8   // tiles [nj, nk, bo, bi/4]
}

// start is NoWag-P as factors: A = I, B′ = L, S of W̄ at nowag's mask.
func (t *target) start(nowag *Layer) factors {
	f := factors{
		a: make([]float32, t.p.Out*t.bo), b: make([]float32, t.p.In*t.bi),
		s: make([]float32, t.p.Out*t.p.In), mask: make([]uint8, t.p.Out*t.p.In/4),
	}
	for i := range t.p.Out {
		f.a[i*t.bo+i%t.bo] = 1
	}
	for j := range t.p.In {
		row := f.b[j*t.bi:][:t.bi]
		row[j%t.bi] = float32(t.root[j])
		if t.factor != nil {
			for q, v := range t.factor[j*t.bi:][:t.bi] {
				row[q] = float32(v)
			}
		}
	}
	inParallel(t.threads, t.nj*t.nk, func(_, task int) {
		j, k := task/t.nk, task%t.nk
		s, mask := t.tile(f.s, j, k), t.quarter(f.mask, j, k)
		for g := range mask {
			i, c := j*t.bo+4*g/t.bi, k*t.bi+4*g%t.bi
			at := (i*t.p.In + c) / 4
			mask[g] = nowag.Mask[at]
			for n, q := range pairs[mask[g]] {
				s[4*g+q] = float32(float64(nowag.Values[2*at+n]) / (t.n.row[i] * t.n.col[c+q]))
			}
		}
	})
	return f
}

// baseline is the result of a plain 2:4 layer before rounding.
func (t *target) baseline(l Layer) *Result {
	nowag := t.keep(NoWagP)
	r := &Result{LossStart: t.relative(t.plainLoss(&nowag)), LossEnd: t.relative(t.plainLoss(&l))}
	roundBF16(l.Values)
	r.Layer, r.LossRounded = l, t.relative(t.plainLoss(&l))
	return r
}

// finish rounds f to the stored layer, or nowag where that is not better. w is
// W′ as tiles.
func (t *target) finish(r *Result, f *factors, w []float32, nowag Layer) {
	r.Layer = t.fold(f)
	r.LossRounded = t.relative(t.productLoss(&r.Layer, w))
	roundBF16(nowag.Values)
	plain := t.relative(t.plainLoss(&nowag))
	// False for NaN as well.
	if !(r.LossRounded+t.rounding(r.LossRounded) <= plain) {
		r.Layer, r.LossRounded, r.FellBack = nowag, plain, true
	}
}

// rounding is what f32 may make of a relative loss: each product errs, relative
// to ‖W′‖, like two sums of as many terms as a block has, with a margin of 8.
func (t *target) rounding(loss float64) float64 {
	e := 8 * 2 * math.Sqrt(float64(max(t.bo, t.bi))) * 0x1p-24
	return 2*e*math.Sqrt(loss) + e*e
}

// fold takes the rows' norms into A and the columns' norms and weights into B,
// and rounds. A power of two for each block makes the rows of A and B of norm
// about 1, so that S is about of the size of W.
func (t *target) fold(f *factors) Layer {
	bo, bi := t.bo, t.bi
	l := Layer{
		Out: t.p.Out, In: t.p.In, BlockOut: bo, BlockIn: bi, A: make([]float32, len(f.a)), B: make([]float32, len(f.b)),
		Values: make([]float32, len(f.s)/2), Mask: make([]uint8, len(f.mask)),
	}
	scaleA, scaleB := make([]int, t.nj), make([]int, t.nk) // exponents, moved into S
	inParallel(t.threads, t.nj, func(_, j int) {
		x := make([]float64, bo*bo)
		for i := range bo {
			for q, v := range f.a[(j*bo+i)*bo:][:bo] {
				x[i*bo+q] = float64(v) * t.n.row[j*bo+i]
			}
		}
		scaleA[j] = toScale(l.A[j*bo*bo:], x, bo)
	})
	inParallel(t.threads, t.nk, func(_, k int) {
		x := make([]float64, bi*bi)
		for i := range bi {
			t.unscaleIn(x[i*bi:][:bi], f.b[(k*bi+i)*bi:][:bi], k)
		}
		scaleB[k] = toScale(l.B[k*bi*bi:], x, bi)
	})
	inParallel(t.threads, t.nj*t.nk, func(_, task int) {
		j, k := task/t.nk, task%t.nk
		s, mask := t.tile(f.s, j, k), t.quarter(f.mask, j, k)
		scale := math.Ldexp(1, scaleA[j]+scaleB[k])
		for g, m := range mask {
			at := ((j*bo+4*g/bi)*t.p.In + k*bi + 4*g%bi) / 4
			l.Mask[at] = m
			l.Values[2*at] = float32(float64(s[4*g+pairs[m][0]]) * scale)
			l.Values[2*at+1] = float32(float64(s[4*g+pairs[m][1]]) * scale)
		}
	})
	roundBF16(l.A)
	roundBF16(l.B)
	roundBF16(l.Values)
	return l
}

// toScale sets dst to x [n, n] over a power of two near the norm of x's rows,
// and returns the exponent.
func toScale(dst []float32, x []float64, n int) int {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	_, exp := math.Frexp(math.Sqrt(sum / float64(n)))
	for i, v := range x {
		dst[i] = float32(math.Ldexp(v, -exp))
	}
	return exp
}

// roundBF16 rounds to the nearest bf16, ties to even, and what is beyond the
// largest to that.
func roundBF16(x []float32) {
	largest := math.Float32frombits(0x7f7f0000)
	ref.RoundBF16(x, x)
	for i, v := range x {
		if math.IsInf(float64(v), 0) {
			x[i] = float32(math.Copysign(float64(largest), float64(v)))
		}
	}
}

// productLoss is ‖W′ − A·S·B′‖² of a stored layer with A and B, W′ as tiles.
func (t *target) productLoss(l *Layer, w []float32) float64 {
	m, bo, bi, n := t.math, t.bo, t.bi, t.bo*t.bi
	a, b := make([]float32, len(l.A)), make([]float32, len(l.B))
	inParallel(t.threads, t.p.Out, func(_, i int) {
		for q, v := range l.A[i*bo:][:bo] {
			a[i*bo+q] = float32(float64(v) / t.n.row[i])
		}
	})
	inParallel(t.threads, t.p.In, func(_, i int) {
		x := make([]float64, bi)
		for q, v := range l.B[i*bi:][:bi] {
			x[q] = float64(v)
		}
		t.scaleIn(b[i*bi:][:bi], x, i/bi)
	})
	losses, spaces := make([]float64, t.nj*t.nk), make([]float32, 3*n*t.threads)
	inParallel(t.threads, t.nj*t.nk, func(worker, task int) {
		space, j, k := spaces[3*n*worker:][:3*n], task/t.nk, task%t.nk
		s, as, asb := space[:n], space[n:2*n], space[2*n:]
		for i := range bo {
			l.expand(s[i*bi:][:bi], j*bo+i, k*bi)
		}
		m.Mul(as, bi, block.Set, a[j*bo*bo:], bo, 1, s, bi, bo, bi, bo)
		m.Mul(asb, bi, block.Set, as, bi, 1, b[k*bi*bi:], bi, bo, bi, bi)
		losses[task] = m.SquaredError(t.tile(w, j, k), asb)
	})
	return sum(losses)
}

// expand sets dst to row i from column j on, zeros with it.
func (l *Layer) expand(dst []float32, i, j int) {
	first, groups := (i*l.In+j)/sparse24.Group, len(dst)/sparse24.Group
	sparse24.Unpack(dst, l.Values[sparse24.Kept*first:][:sparse24.Kept*groups], l.Mask[first:][:groups])
}

// Product is Dense in f32 arithmetic, on so many threads (0: all): for measuring.
func (l *Layer) Product(m block.Math, threads int) []float32 {
	w := make([]float32, l.Out*l.In)
	if l.A == nil {
		l.expand(w, 0, 0)
		return w
	}
	if threads == 0 {
		threads = goruntime.GOMAXPROCS(0)
	}
	bo, bi := l.BlockOut, l.BlockIn
	n := bo * bi
	space := make([]float32, 2*n*threads)
	inParallel(threads, l.Out/bo*(l.In/bi), func(worker, task int) {
		s, as := space[2*n*worker:][:n], space[2*n*worker+n:][:n]
		j, k := task/(l.In/bi), task%(l.In/bi)
		for i := range bo {
			l.expand(s[i*bi:][:bi], j*bo+i, k*bi)
		}
		m.Mul(as, bi, block.Set, l.A[j*bo*bo:], bo, 1, s, bi, bo, bi, bo)
		m.Mul(w[j*bo*l.In+k*bi:], l.In, block.Set, as, bi, 1, l.B[k*bi*bi:], bi, bo, bi, bi)
	})
	return w
}

// Dense is Ŵ [Out, In], multiplied out in f64 and rounded to f32.
func (l *Layer) Dense() []float32 {
	w := make([]float32, l.Out*l.In)
	if l.A == nil {
		l.expand(w, 0, 0)
		return w
	}
	bo, bi := l.BlockOut, l.BlockIn
	inParallel(goruntime.GOMAXPROCS(0), l.Out, func(_, i int) {
		as, out, row := make([]float64, l.In), make([]float64, l.In), make([]float32, l.In)
		for q, a := range l.A[i*bo:][:bo] {
			l.expand(row, i/bo*bo+q, 0)
			for c, s := range row {
				as[c] += float64(a) * float64(s)
			}
		}
		for p, v := range as {
			for c, b := range l.B[p*bi:][:bi] {
				out[p/bi*bi+c] += v * float64(b)
			}
		}
		for c, v := range out {
			w[i*l.In+c] = float32(v)
		}
	})
	return w
}

// Loss is the relative loss of any layer of p's sizes in NoWag's normalization:
// Σ h_j·(W̄ − Ŵ̄)²_ij / Σ h_j·W̄²_ij, or with p.Hessian.Blocks
// Σ_k tr((W̄ − Ŵ̄)_k·H_k·(W̄ − Ŵ̄)_kᵀ) / Σ_k tr(W̄_k·H_k·W̄_kᵀ), H damped.
func Loss(p *Problem, l *Layer, o Options) (float64, error) {
	if l.A != nil {
		o.BlockOut, o.BlockIn = l.BlockOut, l.BlockIn
	}
	if err := o.complete(p); err != nil {
		return 0, err
	}
	if err := p.check(&o); err != nil {
		return 0, err
	}
	t, err := newTarget(p, &o)
	if err != nil {
		return 0, err
	}
	if l.A == nil {
		return t.relative(t.plainLoss(l)), nil
	}
	return t.relative(t.productLoss(l, t.scaled())), nil
}

func sum(x []float64) float64 {
	total := 0.0
	for _, v := range x {
		total += v
	}
	return total
}
