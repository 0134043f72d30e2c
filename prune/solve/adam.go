package solve

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"armor/kernels/block"
	"armor/kernels/ref"
)

// learningRate is the paper's; there is no decay.
const learningRate = 1e-4

// adam is the paper's algorithm on L = ‖(W̄ − A·S·B)·diag(√h)‖². An iteration is
// one discrete step, one group of four for each block pair, and one Adam step on
// A, B and the kept values. Both use the gradient at their own point: what a
// discrete step changes is of rank one in each product, and carried into it.
type adam struct {
	*target
	factors            // b is B′ = B·diag(√h)
	w, y, ds []float32 // tiles [nj, nk, bo, bi]: W′, Aᵀ·E with E = W′ − A·S·B′, its product with B′ᵀ
	plainB   []float32 // [nk, bi, bi]: B, which Adam moves
	bt       []float32 // [nk, bi, bi]: B′ᵀ
	da, db   []float32 // as a, b: minus half the gradients
	das      []float32 // [nj, nk, bo, bo]: what each block pair adds to da
	dbs      []float32 // [nj, nk, bi, bi]: and to db

	momentA, momentB, momentS moments
	losses                    []float64 // [nj, nk]
	zero                      []float32 // [bo, bi]
	spaces                    []adamSpace
	seed                      uint64
}

// moments are Adam's running means of a gradient and of its square.
type moments struct{ first, second []float32 }

type adamSpace struct {
	p, e, pt []float32 // [bo, bi], pt [bi, bo]: S·B′, E, S·B′ transposed
	row, mix []float32 // [bi], [bo]
	sums     []float64 // of the core's gradient, see draw
}

func newAdam(t *target, o *Options, nowag *Layer) *adam {
	a := &adam{target: t, factors: t.start(nowag), w: t.scaled(), losses: make([]float64, t.nj*t.nk), zero: make([]float32, t.bo*t.bi), seed: o.Seed}
	size := len(a.s)
	a.y, a.ds = make([]float32, size), make([]float32, size)
	a.plainB, a.bt = make([]float32, len(a.b)), make([]float32, len(a.b))
	for j := range t.p.In {
		a.plainB[j*t.bi+j%t.bi] = 1
	}
	a.da, a.db = make([]float32, len(a.a)), make([]float32, len(a.b))
	a.das, a.dbs = make([]float32, t.nk*len(a.a)), make([]float32, t.nj*len(a.b))
	a.momentA, a.momentB, a.momentS = newMoments(len(a.a)), newMoments(len(a.b)), newMoments(size)
	a.spaces = make([]adamSpace, t.threads)
	for i := range a.spaces {
		n := t.bo * t.bi
		a.spaces[i] = adamSpace{
			p: make([]float32, n), e: make([]float32, n), pt: make([]float32, n),
			row: make([]float32, t.bi), mix: make([]float32, t.bo), sums: make([]float64, (n+block.AbsSumsChunk-1)/block.AbsSumsChunk),
		}
	}
	return a
}

func newMoments(n int) moments { return moments{make([]float32, n), make([]float32, n)} }

func (t *target) solveAdam(ctx context.Context, o *Options) (*Result, error) {
	began := time.Now()
	t.factor = nil // the paper's loss is of the diagonal
	nowag := t.keep(NoWagP)
	t.total = t.plainLoss(nil)
	a := newAdam(t, o, &nowag)
	r := &Result{LossStart: t.relative(t.plainLoss(&nowag))}
	for step := 1; step <= o.Iterations; step++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if o.Limit > 0 && time.Since(began) > o.Limit {
			break
		}
		loss := t.relative(a.iterate(step))
		r.Steps = step
		r.Curve = append(r.Curve, loss)
		o.Progress(step, loss)
	}
	r.LossEnd = t.relative(a.residuals(0))
	r.Curve = append(r.Curve, r.LossEnd)
	t.finish(r, &a.factors, a.w, nowag)
	return r, nil
}

// iterate makes iteration step and returns the loss before it.
func (a *adam) iterate(step int) float64 {
	m, bo, bi := a.math, a.bo, a.bi
	rate, scale := rates(step)
	a.transposeB()
	inParallel(a.threads, a.nj*a.nk, func(worker, task int) {
		j, k := task/a.nk, task%a.nk
		a.residual(&a.spaces[worker], j, k, step)
		s, at := a.tile(a.s, j, k), task*bo*bi
		m.Mul(a.dbs[task*bi*bi:], bi, block.Set, s, 1, bi, a.tile(a.y, j, k), bi, bi, bi, bo)
		m.AdamKept(s, a.quarter(a.mask, j, k), a.tile(a.ds, j, k), a.momentS.first[at:][:bo*bi], a.momentS.second[at:][:bo*bi], rate, scale)
	})
	inParallel(a.threads, a.nk+a.nj, func(_, task int) {
		if task < a.nk {
			a.stepB(task, step)
			return
		}
		j := task - a.nk
		a.sumA(j)
		at := j * bo * bo
		a.momentA.step(m, a.a[at:at+bo*bo], a.da[at:], at, step)
	})
	return sum(a.losses)
}

// stepB moves B_k and B′_k.
func (a *adam) stepB(k, step int) {
	bi := a.bi
	at, root := k*bi*bi, make([]float32, bi)
	for c := range root {
		root[c] = float32(a.root[k*bi+c])
	}
	b, scaled, db := a.plainB[at:][:bi*bi], a.b[at:][:bi*bi], a.db[at:][:bi*bi]
	copy(db, a.dbs[at:])
	for j := 1; j < a.nj; j++ {
		a.math.Add(db, a.dbs[(j*a.nk+k)*bi*bi:][:bi*bi])
	}
	for i := 0; i < len(db); i += bi {
		for c, r := range root {
			db[i+c] *= r
		}
	}
	a.momentB.step(a.math, b, db, at, step)
	for i := 0; i < len(b); i += bi {
		for c, r := range root {
			scaled[i+c] = b[i+c] * r
		}
	}
}

// sumA makes da of A_j.
func (a *adam) sumA(j int) {
	n := a.bo * a.bo
	da := a.da[j*n:][:n]
	copy(da, a.das[j*a.nk*n:])
	for k := 1; k < a.nk; k++ {
		a.math.Add(da, a.das[(j*a.nk+k)*n:][:n])
	}
}

// step moves x by Adam, given minus half its gradient; its moments are at at.
func (m *moments) step(t block.Math, x, down []float32, at, step int) {
	rate, scale := rates(step)
	t.Adam(x, down[:len(x)], m.first[at:][:len(x)], m.second[at:][:len(x)], rate, scale)
}

// rates are an iteration's factors of Adam's moments, which began at zero.
func rates(step int) (rate, scale float32) {
	return float32(learningRate / (1 - math.Pow(ref.Beta1, float64(step)))), float32(1 / (1 - math.Pow(ref.Beta2, float64(step))))
}

// residuals computes Y, the core's gradient and A's at the present point, and
// returns its loss. In between it makes iteration step's discrete step, unless
// that is 0.
func (a *adam) residuals(step int) float64 {
	a.transposeB()
	inParallel(a.threads, a.nj*a.nk, func(worker, task int) {
		a.residual(&a.spaces[worker], task/a.nk, task%a.nk, step)
	})
	inParallel(a.threads, a.nj, func(_, j int) { a.sumA(j) })
	return sum(a.losses)
}

func (a *adam) transposeB() {
	bi := a.bi
	inParallel(a.threads, a.nk, func(_, k int) {
		a.math.Transpose(a.bt[k*bi*bi:], bi, a.b[k*bi*bi:], bi, bi, bi)
	})
}

// residual does what residuals does, but for the sums, for block pair (j, k).
func (a *adam) residual(ws *adamSpace, j, k, step int) {
	m, bo, bi := a.math, a.bo, a.bi
	own, y, ds := a.a[j*bo*bo:][:bo*bo], a.tile(a.y, j, k), a.tile(a.ds, j, k)
	m.Mul(ws.p, bi, block.Set, a.tile(a.s, j, k), bi, 1, a.b[k*bi*bi:], bi, bo, bi, bi)
	copy(ws.e, a.tile(a.w, j, k))
	m.Mul(ws.e, bi, block.Sub, own, bo, 1, ws.p, bi, bo, bi, bo)
	a.losses[j*a.nk+k] = m.SquaredError(ws.e, a.zero)
	m.Mul(y, bi, block.Set, own, 1, bo, ws.e, bi, bo, bi, bo)
	m.Mul(ds, bi, block.Set, y, bi, 1, a.bt[k*bi*bi:], bi, bo, bi, bi)
	if step > 0 {
		a.discrete(ws, j, k, step)
	}
	m.Transpose(ws.pt, bo, ws.p, bi, bo, bi)
	m.Mul(a.das[(j*a.nk+k)*bo*bo:], bo, block.Set, ws.e, bi, 1, ws.pt, bo, bo, bo, bi)
}

// discrete draws a group of block pair (j, k) with probability proportional to
// the L1 norm of the dense core's gradient ds, gives it the best of the six
// masks with its best values, and carries the change into P, E, Y and ds.
func (a *adam) discrete(ws *adamSpace, j, k, step int) {
	m, bo, bi := a.math, a.bo, a.bi
	s, y, ds := a.tile(a.s, j, k), a.tile(a.y, j, k), a.tile(a.ds, j, k)
	rng := rand.New(rand.NewPCG(a.seed, uint64(step)<<32|uint64(j*a.nk+k)))
	g := draw(m, ds, ws.sums, rng)
	if g < 0 {
		return
	}
	i, c := 4*g/bi, 4*g%bi
	own, b, bt := a.a[j*bo*bo:][:bo*bo], a.b[k*bi*bi:][:bi*bi], a.bt[k*bi*bi:][:bi*bi]

	// With the group zero the residual is R = E + a·(s·G), a column i of A and G
	// four rows of B′: the best s solves (aᵀa)(G·Gᵀ)s = G·Rᵀa.
	aa, gg, target := 0.0, [4][4]float64{}, [4]float64{}
	for r := range bo {
		aa += float64(own[r*bo+i]) * float64(own[r*bo+i])
	}
	r0, r1, r2, r3 := b[c*bi:][:bi], b[(c+1)*bi:][:bi], b[(c+2)*bi:][:bi], b[(c+3)*bi:][:bi]
	for x := range bi { // ten sums that do not wait for each other
		u, v, w, z := float64(r0[x]), float64(r1[x]), float64(r2[x]), float64(r3[x])
		gg[0][0] += u * u
		gg[0][1] += u * v
		gg[0][2] += u * w
		gg[0][3] += u * z
		gg[1][1] += v * v
		gg[1][2] += v * w
		gg[1][3] += v * z
		gg[2][2] += w * w
		gg[2][3] += w * z
		gg[3][3] += z * z
	}
	for p := range 4 {
		for q := range p {
			gg[p][q] = gg[q][p]
		}
	}
	group := s[4*g : 4*g+4]
	for p := range 4 {
		target[p] = float64(ds[4*g+p])
		for q := range 4 {
			target[p] += aa * gg[p][q] * float64(group[q])
		}
	}
	values, mask, ok := bestPair(aa, &gg, &target)
	if !ok {
		return
	}
	var change [4]float32
	for q, v := range values {
		change[q] = float32(v) - group[q]
		group[q] = float32(v)
	}
	a.quarter(a.mask, j, k)[g] = mask

	// P, E, Y, ds change by e_i, −a, −Aᵀa each times change·G, the last times B′ᵀ.
	m.Mul(ws.row, bi, block.Set, change[:], 4, 1, b[c*bi:], bi, 1, bi, 4)
	m.Mul(ws.mix, bo, block.Set, own[i:], 1, bo, own, bo, 1, bo, bo)
	m.Mul(ws.p[i*bi:], bi, block.Add, change[:], 4, 1, b[c*bi:], bi, 1, bi, 4)
	m.Mul(ws.e, bi, block.Sub, own[i:], bo, 1, ws.row, bi, bo, bi, 1)
	m.Mul(y, bi, block.Sub, ws.mix, 1, 1, ws.row, bi, bo, bi, 1)
	m.Mul(ws.pt, bi, block.Set, ws.row, bi, 1, bt, bi, 1, bi, bi)
	m.Mul(ds, bi, block.Sub, ws.mix, 1, 1, ws.pt, bi, bo, bi, 1)
}

// draw is a group of four with probability proportional to its L1 norm, or -1
// where all are zero or one is not finite. It leaves the norms of chunks in sums.
func draw(m block.Math, x []float32, sums []float64, rng *rand.Rand) int {
	m.AbsSums(sums, x)
	total := sum(sums)
	if !(total > 0) || math.IsInf(total, 1) {
		return -1
	}
	left, at := rng.Float64()*total, 0
	for i, s := range sums {
		if s > 0 {
			at = i * block.AbsSumsChunk
		}
		if left < s {
			break
		}
		left -= s
	}
	chunk := x[at:min(len(x), at+block.AbsSumsChunk)]
	g := 0
	for ; 4*g+4 < len(chunk); g++ {
		v := chunk[4*g:][:4]
		n := math.Abs(float64(v[0])) + math.Abs(float64(v[1])) + math.Abs(float64(v[2])) + math.Abs(float64(v[3]))
		if left < n {
			break
		}
		left -= n
	}
	return at/4 + g
}

// bestPair minimises aa·vᵀ·gg·v − 2·vᵀ·target over v with two nonzeros. It fails
// where no pair has a solution.
func bestPair(aa float64, gg *[4][4]float64, target *[4]float64) (values [4]float64, mask uint8, ok bool) {
	best := 0.0
	for m, pq := range pairs {
		p, q := pq[0], pq[1]
		pp, pr, qq := aa*gg[p][p], aa*gg[p][q], aa*gg[q][q]
		det := pp*qq - pr*pr
		if !(det > 1e-10*pp*qq) {
			continue
		}
		v := (qq*target[p] - pr*target[q]) / det
		u := (pp*target[q] - pr*target[p]) / det
		if gain := v*target[p] + u*target[q]; gain > best {
			best, mask, ok = gain, uint8(m), true
			values = [4]float64{}
			values[p], values[q] = v, u
		}
	}
	return values, mask, ok
}
