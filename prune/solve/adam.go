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

	momentA, momentB, momentS moments
	losses                    []float64 // [nj, nk]
	spaces                    []adamSpace
	seed                      uint64
}

// moments are Adam's running means of a gradient and of its square.
type moments struct{ first, second []float32 }

type adamSpace struct {
	p, e, pt []float32 // [bo, bi], pt [bi, bo]: S·B′, E, its transpose
	row, mix []float32 // [bi], [bo]
}

func newAdam(t *target, o *Options, nowag *Layer) *adam {
	a := &adam{target: t, factors: t.start(nowag), w: t.scaled(), losses: make([]float64, t.nj*t.nk), seed: o.Seed}
	size := len(a.s)
	a.y, a.ds = make([]float32, size), make([]float32, size)
	a.plainB, a.bt = make([]float32, len(a.b)), make([]float32, len(a.b))
	for j := range t.p.In {
		a.plainB[j*t.bi+j%t.bi] = 1
	}
	a.da, a.db = make([]float32, len(a.a)), make([]float32, len(a.b))
	a.momentA, a.momentB, a.momentS = newMoments(len(a.a)), newMoments(len(a.b)), newMoments(size)
	a.spaces = make([]adamSpace, t.threads)
	for i := range a.spaces {
		n := t.bo * t.bi
		a.spaces[i] = adamSpace{
			p: make([]float32, n), e: make([]float32, n), pt: make([]float32, n),
			row: make([]float32, t.bi), mix: make([]float32, t.bo),
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
	loss := a.residuals(step)
	m, bo, bi := a.math, a.bo, a.bi
	inParallel(a.threads, a.nk, func(_, k int) {
		db := a.db[k*bi*bi:][:bi*bi]
		clear(db)
		for j := range a.nj {
			s, ds := a.tile(a.s, j, k), a.tile(a.ds, j, k)
			m.Mul(db, bi, block.Add, s, 1, bi, a.tile(a.y, j, k), bi, bi, bi, bo)
			keepOnly(ds, a.quarter(a.mask, j, k)) // the gradient of what is kept
			at := (j*a.nk + k) * bo * bi
			a.momentS.step(m, s, ds, at, step)
			keepOnly(s, a.quarter(a.mask, j, k)) // old moments move the rest, too
		}
		for i := range db {
			db[i] *= float32(a.root[k*bi+i%bi])
		}
		b := a.plainB[k*bi*bi:][:bi*bi]
		a.momentB.step(m, b, db, k*bi*bi, step)
		for i, v := range b {
			a.b[k*bi*bi+i] = v * float32(a.root[k*bi+i%bi])
		}
	})
	inParallel(a.threads, a.nj, func(_, j int) {
		at := j * bo * bo
		a.momentA.step(m, a.a[at:at+bo*bo], a.da[at:], at, step)
	})
	return loss
}

// kept has all bits set where a mask keeps a value.
var kept = [6][4]uint32{{^uint32(0), ^uint32(0)}, {^uint32(0), 0, ^uint32(0)}, {^uint32(0), 0, 0, ^uint32(0)},
	{0, ^uint32(0), ^uint32(0)}, {0, ^uint32(0), 0, ^uint32(0)}, {0, 0, ^uint32(0), ^uint32(0)}}

// keepOnly sets to zero what the masks do not keep, without a branch.
func keepOnly(x []float32, masks []uint8) {
	for g, mask := range masks {
		k, v := &kept[mask], x[4*g:][:4]
		v[0] = math.Float32frombits(math.Float32bits(v[0]) & k[0])
		v[1] = math.Float32frombits(math.Float32bits(v[1]) & k[1])
		v[2] = math.Float32frombits(math.Float32bits(v[2]) & k[2])
		v[3] = math.Float32frombits(math.Float32bits(v[3]) & k[3])
	}
}

// step moves x by Adam, given minus half its gradient; its moments are at at.
func (m *moments) step(t block.Math, x, down []float32, at, step int) {
	first, second := m.first[at:][:len(x)], m.second[at:][:len(x)]
	rate := learningRate / (1 - math.Pow(ref.Beta1, float64(step)))
	scale := float32(1 / (1 - math.Pow(ref.Beta2, float64(step))))
	t.Adam(x, down[:len(x)], first, second, float32(rate), scale)
}

// residuals computes Y, the core's gradient and A's at the present point, and
// returns its loss. In between it makes iteration step's discrete step, unless
// that is 0.
func (a *adam) residuals(step int) float64 {
	m, bo, bi := a.math, a.bo, a.bi
	inParallel(a.threads, a.nk, func(_, k int) {
		m.Transpose(a.bt[k*bi*bi:], bi, a.b[k*bi*bi:], bi, bi, bi)
	})
	inParallel(a.threads, a.nj, func(worker, j int) {
		ws, own, da := &a.spaces[worker], a.a[j*bo*bo:][:bo*bo], a.da[j*bo*bo:][:bo*bo]
		clear(da)
		for k := range a.nk {
			y, ds := a.tile(a.y, j, k), a.tile(a.ds, j, k)
			m.Mul(ws.p, bi, block.Set, a.tile(a.s, j, k), bi, 1, a.b[k*bi*bi:], bi, bo, bi, bi)
			m.Mul(ws.e, bi, block.Set, own, bo, 1, ws.p, bi, bo, bi, bo)
			w := a.tile(a.w, j, k)
			a.losses[j*a.nk+k] = m.SquaredError(w, ws.e)
			for i, v := range w {
				ws.e[i] = v - ws.e[i]
			}
			m.Mul(y, bi, block.Set, own, 1, bo, ws.e, bi, bo, bi, bo)
			m.Mul(ds, bi, block.Set, y, bi, 1, a.bt[k*bi*bi:], bi, bo, bi, bi)
			if step > 0 {
				a.discrete(ws, j, k, step)
			}
			m.Transpose(ws.pt, bo, ws.p, bi, bo, bi)
			m.Mul(da, bo, block.Add, ws.e, bi, 1, ws.pt, bo, bo, bo, bi)
		}
	})
	return sum(a.losses)
}

// discrete draws a group of block pair (j, k) with probability proportional to
// the L1 norm of the dense core's gradient ds, gives it the best of the six
// masks with its best values, and carries the change into P, E, Y and ds.
func (a *adam) discrete(ws *adamSpace, j, k, step int) {
	m, bo, bi := a.math, a.bo, a.bi
	s, y, ds := a.tile(a.s, j, k), a.tile(a.y, j, k), a.tile(a.ds, j, k)
	rng := rand.New(rand.NewPCG(a.seed, uint64(step)<<32|uint64(j*a.nk+k)))
	g := draw(ds, rng)
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
	for p := range 4 {
		for q := range 4 {
			for x := range bi {
				gg[p][q] += float64(b[(c+p)*bi+x]) * float64(b[(c+q)*bi+x])
			}
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
	m.Mul(ws.mix, 1, block.Set, own, 1, bo, own[i:], bo, bo, 1, bo)
	m.Mul(ws.p[i*bi:], bi, block.Add, change[:], 4, 1, b[c*bi:], bi, 1, bi, 4)
	m.Mul(ws.e, bi, block.Sub, own[i:], bo, 1, ws.row, bi, bo, bi, 1)
	m.Mul(y, bi, block.Sub, ws.mix, 1, 1, ws.row, bi, bo, bi, 1)
	m.Mul(ws.pt, bi, block.Set, ws.row, bi, 1, bt, bi, 1, bi, bi)
	m.Mul(ds, bi, block.Sub, ws.mix, 1, 1, ws.pt, bi, bo, bi, 1)
}

// draw is a group of four with probability proportional to its L1 norm, or -1
// where all are zero or one is not finite.
func draw(x []float32, rng *rand.Rand) int {
	norm := func(g int) float64 {
		v := x[4*g:][:4]
		return math.Abs(float64(v[0])) + math.Abs(float64(v[1])) + math.Abs(float64(v[2])) + math.Abs(float64(v[3]))
	}
	total := 0.0
	for g := range len(x) / 4 {
		total += norm(g)
	}
	if !(total > 0) || math.IsInf(total, 1) {
		return -1
	}
	left := rng.Float64() * total
	for g := range len(x) / 4 {
		n := norm(g)
		if left < n {
			return g
		}
		left -= n
	}
	return len(x)/4 - 1
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
