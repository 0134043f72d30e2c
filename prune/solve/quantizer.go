package solve

import (
	"context"
	"math"

	"armor/kernels/block"
	"armor/kernels/sparse24"
)

// quantizer is the descent of a layer whose core is on a grid, and in the end its
// wrappers.
type quantizer struct {
	*descent
	grid     Grid
	wrapped  bool   // A and B are not the identity
	core     *Codes // of s, nil in bf16
	codesA   *Codes // of A, B as they are stored, nil in bf16
	codesB   *Codes
	lattices []latticeSpace // [threads]
	inputs   []float32      // [nk, bi, bi], what takes a row of B to one of B′
}

func newQuantizer(t *target, l *Layer, g Grid, w []float32) *quantizer {
	bo, bi := t.bo, t.bi
	f := factors{a: make([]float32, t.p.Out*bo), b: make([]float32, t.p.In*bi),
		s: make([]float32, t.p.Out*t.p.In), mask: make([]uint8, len(l.Mask))}
	q := &quantizer{grid: g, wrapped: l.A != nil, lattices: make([]latticeSpace, t.threads), inputs: make([]float32, t.p.In*bi)}
	inParallel(t.threads, t.p.Out, func(_, i int) {
		a := f.a[i*bo:][:bo]
		a[i%bo] = float32(1 / t.n.row[i])
		if l.A != nil {
			for c, v := range l.A[i*bo:][:bo] {
				a[c] = float32(float64(v) / t.n.row[i])
			}
		}
	})
	inParallel(t.threads, t.p.In, func(_, i int) {
		x := make([]float64, bi)
		x[i%bi] = 1
		t.scaleIn(q.inputs[i*bi:][:bi], x, i/bi)
		if l.B == nil {
			copy(f.b[i*bi:][:bi], q.inputs[i*bi:])
			return
		}
		for c, v := range l.B[i*bi:][:bi] {
			x[c] = float64(v)
		}
		t.scaleIn(f.b[i*bi:][:bi], x, i/bi)
	})
	q.descent = newFactors(t, f, w)
	q.pace = pace{wrappers: 1, core: 1}
	inParallel(t.threads, t.nj*t.nk, func(_, task int) {
		j, k := task/t.nk, task%t.nk
		s, mask := t.tile(f.s, j, k), t.quarter(f.mask, j, k)
		for i := range bo {
			row, first := s[i*bi:][:bi], ((j*bo+i)*t.p.In+k*bi)/sparse24.Group
			copy(mask[i*bi/4:], l.Mask[first:][:bi/4])
			l.expand(row, j*bo+i, k*bi)
		}
	})
	return q
}

// run gives the losses after each sweep, relative.
func (q *quantizer) run(ctx context.Context) (curve []float64, err error) {
	if q.wrapped {
		q.gauge()
	}
	q.products()
	if q.grid.Core > 0 {
		q.core = newCodes(q.grid.Core, len(q.s)/2, GroupSize/2)
	}
	sweeps := q.grid.Sweeps
	switch {
	case q.grid.Rounding == Refit:
		if q.core != nil {
			q.stepCore(func(int) level { return enters })
		}
		q.solveWrappers()
		sweeps = 0
	case q.core == nil: // it was at its best before, given A and B
		sweeps = 0
	}
	for n := range sweeps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if q.wrapped {
			q.solveWrappers()
		}
		curve = append(curve, q.relative(q.stepCore(stage(n))))
	}
	if !q.wrapped {
		return curve, nil
	}
	// Each part that is rounded is made up for by those that still can.
	q.roundA()
	if q.grid.Rounding == Refit {
		q.solveB1()
		q.roundB()
		return curve, nil
	}
	q.solveB1()
	q.stepCore(settledAll)
	q.roundB()
	for range lastSweeps {
		q.stepCore(settledAll)
		q.descendA()
		q.descendB()
	}
	curve = append(curve, q.relative(q.stepCore(settledAll)))
	return curve, nil
}

func settledAll(int) level { return settled }

// stage is the levels of a core's rows in sweep n: a half of them comes onto the grid
// in the second sweep, then a quarter, and another, so that the others make up for
// those before.
func stage(n int) func(row int) level {
	return func(row int) level {
		entry := [4]int{3, 2, 1, 1}[row%4]
		switch {
		case n < entry:
			return free
		case n == entry:
			return enters
		}
		return settled
	}
}

// leastSweeps bring all rows onto the grid and then go over them once more.
const leastSweeps = 5

// lastSweeps go over all codes when A and B are rounded.
const lastSweeps = 2

// gauge moves factors between columns of A and rows of the core, and between
// columns of the core and rows of B, so that those that share a scale are of about
// one size. The product stays the same.
func (q *quantizer) gauge() {
	const size = 1.0 / 8 // of the core's numbers: their scales, and B's, are then far from f16's limits
	bo, bi := q.bo, q.bi
	inParallel(q.threads, q.nj, func(_, j int) {
		a := q.a[j*bo*bo:][:bo*bo]
		for c := range bo {
			sum := 0.0
			for i := range bo {
				sum += float64(a[i*bo+c]) * float64(a[i*bo+c])
			}
			if !(sum > 0) {
				continue
			}
			norm := math.Sqrt(sum)
			for i := range bo {
				a[i*bo+c] = float32(float64(a[i*bo+c]) / norm)
			}
			for k := range q.nk {
				scale(q.tile(q.s, j, k)[c*bi:][:bi], float32(norm))
			}
		}
	})
	inParallel(q.threads, q.nk, func(_, k int) {
		sums, counts := make([]float64, bi), make([]int, bi)
		for j := range q.nj {
			for i, v := range q.tile(q.s, j, k) {
				if v != 0 {
					sums[i%bi] += float64(v) * float64(v)
					counts[i%bi]++
				}
			}
		}
		for c, sum := range sums {
			if counts[c] == 0 {
				continue
			}
			norm := math.Sqrt(sum/float64(counts[c])) / size
			for j := range q.nj {
				s := q.tile(q.s, j, k)
				for i := c; i < len(s); i += bi {
					s[i] = float32(float64(s[i]) / norm)
				}
			}
			scale(q.b[(k*bi+c)*bi:][:bi], float32(norm))
		}
	})
}

// products makes AᵀA, A·S, B′ᵀ and B′·B′ᵀ.
func (q *quantizer) products() {
	q.productsA()
	q.productsB()
}

func (q *quantizer) productsA() {
	inParallel(q.threads, q.nj, func(worker, j int) { q.gramA(&q.spaces[worker], j) })
}

func (q *quantizer) productsB() {
	bo, bi, m := q.bo, q.bi, q.math
	inParallel(q.threads, q.nk, func(_, k int) {
		for j := range q.nj {
			m.Mul(q.tile(q.q, j, k), bi, block.Set, q.a[j*bo*bo:], bo, 1, q.tile(q.s, j, k), bi, bo, bi, bo)
		}
		q.gramB(k)
	})
}

// solveWrappers solves for A and then for B.
func (q *quantizer) solveWrappers() {
	inParallel(q.threads, q.nj, func(worker, j int) { q.solveA(&q.spaces[worker], j) })
	q.solveB1()
}

func (q *quantizer) solveB1() {
	inParallel(q.threads, q.nk, func(worker, k int) { q.solveB(&q.spaces[worker], k) })
}

// strip is the tiles side by side whose scales are their own: as many as groups of
// inputs end with a block.
func (q *quantizer) strip() int {
	n := 1
	for n*q.bi%GroupSize != 0 {
		n++
	}
	return n
}

// stepCore makes one step of the core, and returns the loss after it. products, or
// solveA and solveB, have been before it.
func (q *quantizer) stepCore(level func(row int) level) float64 {
	if q.core == nil {
		groups := (q.nj + batch - 1) / batch
		inParallel(q.threads, q.nk*groups, func(worker, task int) {
			k, g := task/groups, task%groups
			q.stepCores(&q.spaces[worker], g*q.nj/groups, (g+1)*q.nj/groups, k)
		})
	} else {
		n := q.strip()
		strips := q.nk / n
		inParallel(q.threads, q.nj*strips, func(worker, task int) {
			q.stepStrip(worker, task/strips, task%strips*n, n, level)
		})
	}
	q.products()
	return max(0, sum(q.losses)-sum(q.gains))
}

// stepStrip steps the codes of blocks (j, k) … (j, k+n-1).
func (q *quantizer) stepStrip(worker, j, k, n int, level func(row int) level) {
	m, bo, bi, ws := q.math, q.bo, q.bi, &q.spaces[worker]
	l := &lattice{rows: bo, cols: bi, ga: q.ga[j*bo*bo:][:bo*bo], codes: q.core,
		first: (j*bo*q.p.In + k*bi) / 2, stride: q.p.In / 2, kept: bi / 2, each: GroupSize / 2, levels: levelsOf(q.grid.Core), level: level}
	for at := k; at < k+n; at++ {
		copy(ws.e, q.tile(q.w, j, at))
		m.Mul(ws.e, bi, block.Sub, q.tile(q.q, j, at), bi, 1, q.b[at*bi*bi:], bi, bo, bi, bi)
		q.losses[j*q.nk+at], q.gains[j*q.nk+at] = m.SquaredError(ws.e, ws.zero), 0
		m.Mul(ws.t, bi, block.Set, q.a[j*bo*bo:], 1, bo, ws.e, bi, bo, bi, bo)
		g := make([]float32, bo*bi)
		m.Mul(g, bi, block.Sub, ws.t, bi, 1, q.bt[at*bi*bi:], bi, bo, bi, bi)
		l.tiles = append(l.tiles, latticeTile{q.tile(q.s, j, at), g, q.gb[at*bi*bi:][:bi*bi], q.quarter(q.mask, j, at)})
	}
	q.gains[j*q.nk+k] = l.descend(m, &q.lattices[worker])
}

// layer is the result in stored form.
func (q *quantizer) layer(from *Layer) Layer {
	bo, bi := q.bo, q.bi
	l := Layer{Out: from.Out, In: from.In, BlockOut: from.BlockOut, BlockIn: from.BlockIn, Mask: make([]uint8, len(from.Mask)),
		Values: make([]float32, len(from.Values)), Core: q.core, CodesA: q.codesA, CodesB: q.codesB}
	if q.core != nil {
		q.core.Values(l.Values)
	}
	inParallel(q.threads, q.nj*q.nk, func(_, task int) {
		j, k := task/q.nk, task%q.nk
		s, mask := q.tile(q.s, j, k), q.quarter(q.mask, j, k)
		for g, m := range mask {
			at := ((j*bo+4*g/bi)*q.p.In + k*bi + 4*g%bi) / 4
			l.Mask[at] = m
			if q.core == nil {
				l.Values[2*at], l.Values[2*at+1] = s[4*g+pairs[m][0]], s[4*g+pairs[m][1]]
			}
		}
	})
	if q.core == nil {
		roundBF16(l.Values)
	}
	if q.wrapped {
		l.A, l.B = q.storedA(), q.storedB()
	}
	return l
}
