package solve

import (
	"context"
	"math"
	"sync"

	"armor/kernels/block"
)

// The pace of the descent. The loss is a parabola along a step of A or B, so that
// one of relax < 2 times that to the minimum still leads down, and many of them
// get further. Momentum carries the core and B on along the way from the last
// sweep's end (Nesterov); it may lead up, and starts anew when it did. Together they save
// three sweeps of four; chosen on layers of Qwen2.5-Coder-0.5B and SmolLM2-135M.
const (
	relaxWrappers = 1.3 // A, B
	relaxCore     = 1.6 // where a group keeps its mask
	momentumCore  = 0.6
	momentumB     = 0.4

	// proximal is the weight of the term that holds A and B near their old
	// values, relative to the mean diagonal of the Gram matrix. It changes the
	// step and not where the steps end.
	proximal = 1e-6

	// noise is the relative loss below which f32 cannot tell a step from its
	// rounding errors.
	noise = 1e-11

	maxRises = 10
)

// descent is closed-form block coordinate descent on ‖W′ − A·S·B′‖². One sweep
// solves for A by block row, for B by block column, and for S by block pair,
// each given the others: no part of a step depends on another of the same step.
type descent struct {
	*target
	factors
	w, q   []float32        // tiles [nj, nk, bo, bi]: W′, A·S
	ga     []float32        // [nj, bo, bo]: AᵀA
	bt, gb []float32        // [nk, bi, bi]: B′ᵀ, B′·B′ᵀ
	pairs  []*block.Pairs   // [nk], of gb
	losses []float64        // [nj, nk], before the core's step
	gains  []float64        // [nj, nk], of the core's step
	spaces []workspace      // [threads]
	ready  []sync.WaitGroup // [nk], B's block is solved

	saved [2]state // the last two sweeps' ends
	pace  pace
}

// pace says how far the steps of a sweep go.
type pace struct{ wrappers, core, momentum, momentumB float32 }

// state is A, S, B′ and their loss.
type state struct {
	loss   float64
	a, b   []float32
	values []float32 // tiles [nj, nk, bo, bi/2], the kept values
	mask   []uint8
}

// workspace is one worker's memory for products of one block pair.
type workspace struct {
	scratch            block.Scratch
	e, zero, t, p      []float32 // [bo, bi], t and p also as [bi, bo]
	gram, rhs, x, step []float32 // [side, side], side = max(bo, bi)

	cores  [batch]block.Core
	before [batch]start // of the cores' step
}

// batch is the number of cores that descend together, for speed alone.
const batch = 4

// start is one core before its step.
type start struct {
	s    []float32 // [bo, bi]
	mask []uint8   // [bo, bi/4]
}

func newDescent(t *target, nowag *Layer) *descent {
	d := newFactors(t, t.start(nowag), t.scaled())
	for i := range d.saved {
		d.saved[i] = state{
			loss: math.Inf(1), a: make([]float32, len(d.a)), b: make([]float32, len(d.b)),
			values: make([]float32, len(d.s)/2), mask: make([]uint8, len(d.mask)),
		}
	}
	return d
}

// newFactors is a descent from f on that is not swept: it saves no states.
func newFactors(t *target, f factors, w []float32) *descent {
	n, side := t.bo*t.bi, max(t.bo, t.bi)
	d := &descent{
		target: t, factors: f, w: w, q: make([]float32, t.p.Out*t.p.In),
		ga: make([]float32, t.nj*t.bo*t.bo), bt: make([]float32, t.nk*t.bi*t.bi), gb: make([]float32, t.nk*t.bi*t.bi),
		pairs: make([]*block.Pairs, t.nk), losses: make([]float64, t.nj*t.nk), gains: make([]float64, t.nj*t.nk),
		spaces: make([]workspace, t.threads), ready: make([]sync.WaitGroup, t.nk),
	}
	for i := range d.spaces {
		ws := &d.spaces[i]
		for _, x := range []*[]float32{&ws.e, &ws.zero, &ws.t, &ws.p} {
			*x = make([]float32, n)
		}
		for c := range min(batch, t.nj) {
			ws.cores[c].G = make([]float32, n)
			ws.before[c] = start{make([]float32, n), make([]uint8, n/4)}
		}
		for _, x := range []*[]float32{&ws.gram, &ws.rhs, &ws.x, &ws.step} {
			*x = make([]float32, side*side)
		}
	}
	for k := range d.pairs {
		d.pairs[k] = new(block.Pairs)
	}
	return d
}

func (t *target) solveBCD(ctx context.Context, o *Options) (*Result, error) {
	nowag := t.keep(NoWagP)
	d := newDescent(t, &nowag)
	r := &Result{LossStart: t.relative(t.plainLoss(&nowag))}
	if err := d.run(ctx, r, o, paceOf); err != nil {
		return nil, err
	}
	t.finish(r, &d.factors, d.w, nowag)
	return r, nil
}

// run makes the sweeps and fills in r's losses. A sweep that ends above the one
// before is taken back.
func (d *descent) run(ctx context.Context, r *Result, o *Options, paceOf func(calm int, last bool) pace) error {
	r.Curve = append(r.Curve, r.LossStart)
	last, to := &d.saved[0], &d.saved[1]
	d.keepStart(last, r.LossStart*d.total)
	calm := 0 // sweeps since the last that was taken back
	for r.Steps < o.Sweeps && r.Rises < maxRises {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Steps++
		d.pace = paceOf(calm, r.Steps == o.Sweeps)
		d.sweep(last, to)
		calm++
		if to.loss <= last.loss { // false for NaN
			last, to = to, last
		} else {
			r.Rises++
			calm = 0
			d.restore(last)
		}
		now := d.relative(last.loss)
		r.Curve = append(r.Curve, now)
		o.Progress(r.Steps, now)
		if now < noise {
			break
		}
	}
	d.restore(last)
	r.LossEnd = d.relative(d.loss())
	return nil
}

// paceOf is the pace of a sweep with so many without a rise before it. The last
// one ends at minima.
func paceOf(calm int, last bool) pace {
	if last {
		return pace{wrappers: 1, core: 1}
	}
	n := float32(calm)
	return pace{relaxWrappers, relaxCore, min(momentumCore, n/(n+3)), min(momentumB, n/(n+3))}
}

// sweep goes once over A, B and the core, from where last and the momentum have
// led. It saves where it ends in to, and then adds momentum to the core and B.
func (d *descent) sweep(last, to *state) {
	inParallel(d.threads, d.nj, func(worker, j int) { d.solveA(&d.spaces[worker], j) })
	for k := range d.ready {
		d.ready[k].Add(1)
	}
	// Tasks are claimed in order, so those of B never wait, and a core's task
	// waits at most for a B that is being solved.
	groups := (d.nj + batch - 1) / batch
	inParallel(d.threads, d.nk*(1+groups), func(worker, task int) {
		ws := &d.spaces[worker]
		if task < d.nk {
			defer d.ready[task].Done()
			d.solveB(ws, task)
			return
		}
		k, g := (task-d.nk)/groups, (task-d.nk)%groups
		d.ready[k].Wait()
		first, end := g*d.nj/groups, (g+1)*d.nj/groups
		d.stepCores(ws, first, end, k)
		for j := first; j < end; j++ {
			d.carry(&ws.before[j-first], last, to, j, k)
		}
	})
	copy(to.a, d.a)
	copy(to.b, d.b)
	for i, v := range to.b {
		d.b[i] += d.pace.momentumB * (v - last.b[i])
	}
	to.loss = max(0, sum(d.losses)-sum(d.gains))
}

// carry saves the core of block pair (j, k) in to and moves it on: groups that
// kept their mask beyond this sweep's step, and along the way from the end of
// the last sweep.
func (d *descent) carry(before *start, last, to *state, j, k int) {
	n := d.bo * d.bi / 2
	first := (j*d.nk + k) * n
	mask := d.quarter(d.mask, j, k)
	d.math.Carry(to.values[first:][:n], d.tile(d.s, j, k), mask, before.s, before.mask, last.values[first:][:n], d.quarter(last.mask, j, k), d.pace.core-1, d.pace.momentum)
	copy(d.quarter(to.mask, j, k), mask)
}

// solveA sets A_j to (W′·Pᵀ)·(P·Pᵀ)⁻¹ with P = S_j·B′ [bo, In], by its change.
func (d *descent) solveA(ws *workspace, j int) {
	m, bo := d.math, d.bo
	gram, rhs := d.systemA(ws, j)
	a := d.a[j*bo*bo:][:bo*bo]
	x, step := ws.x[:bo*bo], ws.step[:bo*bo]
	m.Transpose(x, bo, rhs, bo, bo, bo)
	solved := d.solveStep(gram, x, bo)
	m.Transpose(step, bo, x, bo, bo, bo)
	if solved && leadsDown(step, rhs) {
		move(a, step, d.pace.wrappers)
	}
	d.gramA(ws, j)
}

// solveB sets B′_k to (QᵀQ)⁻¹·(QᵀW′) with Q = A·S_:k [Out, bi], by its change.
func (d *descent) solveB(ws *workspace, k int) {
	m, bo, bi := d.math, d.bo, d.bi
	for j := range d.nj {
		m.MulAhead(d.tile(d.s, min(j+1, d.nj-1), k), d.tile(d.q, j, k), bi, block.Set, d.a[j*bo*bo:], bo, 1, d.tile(d.s, j, k), bi, bo, bi, bo)
	}
	gram, rhs := d.systemB(ws, k)
	b := d.b[k*bi*bi:][:bi*bi]
	step := ws.step[:bi*bi]
	copy(step, rhs)
	if d.solveStep(gram, step, bi) && leadsDown(step, rhs) {
		move(b, step, d.pace.wrappers)
	}
	d.gramB(k)
}

// stepCores lowers the loss of block pairs (first, k) … (end-1, k) by their
// cores, leaving in losses and gains the loss before and by how much, and in
// ws.before the cores.
func (d *descent) stepCores(ws *workspace, first, end, k int) {
	m, bo, bi := d.math, d.bo, d.bi
	cores := ws.cores[:end-first]
	for i := range cores {
		c, j := &cores[i], first+i
		copy(ws.e, d.tile(d.w, j, k))
		m.Mul(ws.e, bi, block.Sub, d.tile(d.q, j, k), bi, 1, d.b[k*bi*bi:], bi, bo, bi, bi)
		d.losses[j*d.nk+k] = m.SquaredError(ws.e, ws.zero)
		next := min(j+1, end-1)
		m.MulAhead(d.tile(d.w, next, k), ws.t, bi, block.Set, d.a[j*bo*bo:], 1, bo, ws.e, bi, bo, bi, bo)
		clear(c.G)
		m.MulAhead(d.tile(d.s, next, k), c.G, bi, block.Sub, ws.t, bi, 1, d.bt[k*bi*bi:], bi, bo, bi, bi)
		c.S, c.LDS, c.Mask, c.LDG = d.tile(d.s, j, k), bi, d.quarter(d.mask, j, k), bi
		c.GA, c.LDGA = d.ga[j*bo*bo:][:bo*bo], bo
		copy(ws.before[i].s, c.S)
		copy(ws.before[i].mask, c.Mask)
	}
	m.DescendBatch(d.pairs[k], cores, d.gb[k*bi*bi:], bi, bo, bi, &ws.scratch)
	for i := range cores {
		d.gains[(first+i)*d.nk+k] = cores[i].Gain
	}
}

// loss is ‖W′ − A·S·B′‖².
func (d *descent) loss() float64 {
	m, bo, bi := d.math, d.bo, d.bi
	inParallel(d.threads, d.nj*d.nk, func(worker, task int) {
		ws, j, k := &d.spaces[worker], task/d.nk, task%d.nk
		m.Mul(ws.t, bi, block.Set, d.a[j*bo*bo:], bo, 1, d.tile(d.s, j, k), bi, bo, bi, bo)
		m.Mul(ws.e, bi, block.Set, ws.t, bi, 1, d.b[k*bi*bi:], bi, bo, bi, bi)
		d.losses[task] = m.SquaredError(d.tile(d.w, j, k), ws.e)
	})
	return sum(d.losses)
}

// keepStart saves NoWag-P, of a given loss.
func (d *descent) keepStart(to *state, loss float64) {
	to.loss = loss
	copy(to.a, d.a)
	copy(to.b, d.b)
	copy(to.mask, d.mask)
	for g, m := range d.mask {
		to.values[2*g], to.values[2*g+1] = d.s[4*g+pairs[m][0]], d.s[4*g+pairs[m][1]]
	}
}

func (d *descent) restore(from *state) {
	copy(d.a, from.a)
	copy(d.b, from.b)
	copy(d.mask, from.mask)
	clear(d.s)
	for g, m := range d.mask {
		d.s[4*g+pairs[m][0]], d.s[4*g+pairs[m][1]] = from.values[2*g], from.values[2*g+1]
	}
}

// quarter is block (j, k) of tiles of a byte for each group: [bo, bi/4].
func (t *target) quarter(tiles []uint8, j, k int) []uint8 {
	n := t.bo * t.bi / 4
	return tiles[(j*t.nk+k)*n:][:n:n]
}
