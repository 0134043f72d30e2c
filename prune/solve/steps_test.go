package solve

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// randomDescent is a solver amid its work: A, B and the core's values random.
func randomDescent(t *testing.T, seed uint64, blocks bool) *descent {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	p := randomProblem(rng, 24, 32)
	if blocks {
		p.Hessian.Block = 16
		p.Hessian.Blocks = append(gramOf(rng, 16), gramOf(rng, 16)...)
	}
	o := Options{Math: best, BlockOut: 8, BlockIn: 16, Threads: 1}
	if err := o.complete(p); err != nil {
		t.Fatal(err)
	}
	target, err := newTarget(p, &o)
	if err != nil {
		t.Fatal(err)
	}
	nowag := target.keep(NoWagP)
	d := newDescent(target, &nowag)
	for _, x := range [][]float32{d.a, d.b} {
		for i := range x {
			x[i] += 0.2 * float32(rng.NormFloat64())
		}
	}
	for i, v := range d.s {
		if v != 0 {
			d.s[i] += 0.05 * float32(rng.NormFloat64())
		}
	}
	d.pace = pace{wrappers: 1, core: 1}
	return d
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// naive is ‖W′ − A·S·B′‖² in f64.
func (d *descent) naive() float64 {
	loss := 0.0
	for j := range d.nj {
		for k := range d.nk {
			as := mulNaive(widen(d.a[j*d.bo*d.bo:][:d.bo*d.bo]), widen(d.tile(d.s, j, k)), d.bo, d.bi, d.bo)
			asb := mulNaive(as, widen(d.b[k*d.bi*d.bi:][:d.bi*d.bi]), d.bo, d.bi, d.bi)
			for i, w := range d.tile(d.w, j, k) {
				loss += (float64(w) - asb[i]) * (float64(w) - asb[i])
			}
		}
	}
	return loss
}

// near compares x with the f64 solution of a system whose condition loses three
// of f32's seven digits at most here.
func near(t *testing.T, what string, x []float32, want []float64) {
	t.Helper()
	size := 0.0
	for _, v := range want {
		size = max(size, math.Abs(v))
	}
	for i, v := range want {
		if math.Abs(float64(x[i])-v) > 1e-4*size {
			t.Fatalf("%s: element %d is %v, want %v", what, i, x[i], v)
		}
	}
}

func TestSolveAIsLeastSquares(t *testing.T) {
	for _, blocks := range []bool{false, true} {
		d := randomDescent(t, 11, blocks)
		for j := range d.nj {
			gram, rhs := make([]float64, d.bo*d.bo), make([]float64, d.bo*d.bo)
			for k := range d.nk {
				p := mulNaive(widen(d.tile(d.s, j, k)), widen(d.b[k*d.bi*d.bi:][:d.bi*d.bi]), d.bo, d.bi, d.bi)
				for i, v := range mulNaive(p, transposeNaive(p, d.bo, d.bi), d.bo, d.bo, d.bi) {
					gram[i] += v
				}
				for i, v := range mulNaive(p, transposeNaive(widen(d.tile(d.w, j, k)), d.bo, d.bi), d.bo, d.bo, d.bi) {
					rhs[i] += v
				}
			}
			want := transposeNaive(solveNaive(gram, rhs, d.bo, d.bo), d.bo, d.bo)
			before := d.naive()
			d.solveA(&d.spaces[0], j)
			near(t, "A", d.a[j*d.bo*d.bo:][:d.bo*d.bo], want)
			if after := d.naive(); !(after < before) {
				t.Errorf("loss %v after A's step, %v before", after, before)
			}
		}
	}
}

func TestSolveBIsLeastSquares(t *testing.T) {
	for _, blocks := range []bool{false, true} {
		d := randomDescent(t, 12, blocks)
		for k := range d.nk {
			gram, rhs := make([]float64, d.bi*d.bi), make([]float64, d.bi*d.bi)
			for j := range d.nj {
				q := mulNaive(widen(d.a[j*d.bo*d.bo:][:d.bo*d.bo]), widen(d.tile(d.s, j, k)), d.bo, d.bi, d.bo)
				qt := transposeNaive(q, d.bo, d.bi)
				for i, v := range mulNaive(qt, q, d.bi, d.bi, d.bo) {
					gram[i] += v
				}
				for i, v := range mulNaive(qt, widen(d.tile(d.w, j, k)), d.bi, d.bi, d.bo) {
					rhs[i] += v
				}
			}
			want := solveNaive(gram, rhs, d.bi, d.bi)
			before := d.naive()
			d.solveB(&d.spaces[0], k)
			near(t, "B", d.b[k*d.bi*d.bi:][:d.bi*d.bi], want)
			if after := d.naive(); !(after < before) {
				t.Errorf("loss %v after B's step, %v before", after, before)
			}
		}
	}
}

// TestStepsBeyondTheMinimum: with relax below 2 a step still goes down.
func TestStepsBeyondTheMinimum(t *testing.T) {
	d := randomDescent(t, 13, false)
	d.pace.wrappers = 1.9
	before := d.naive()
	for j := range d.nj {
		d.solveA(&d.spaces[0], j)
		after := d.naive()
		if !(after < before) {
			t.Errorf("loss %v after a long step of A, %v before", after, before)
		}
		before = after
	}
	for k := range d.nk {
		d.solveB(&d.spaces[0], k)
		after := d.naive()
		if !(after < before) {
			t.Errorf("loss %v after a long step of B, %v before", after, before)
		}
		before = after
	}
}

// TestStepCores: the step lowers the loss by what it says, and the group that it
// visits last is then the best of all masks and values.
func TestStepCores(t *testing.T) {
	for _, blocks := range []bool{false, true} {
		d := randomDescent(t, 14, blocks)
		for j := range d.nj {
			d.solveA(&d.spaces[0], j)
		}
		for k := range d.nk {
			d.solveB(&d.spaces[0], k)
		}
		for j := range d.nj {
			for k := range d.nk {
				before := d.naive()
				d.stepCores(&d.spaces[0], j, j+1, k)
				gain := d.gains[j*d.nk+k]
				after := d.naive()
				if math.Abs(before-gain-after) > 1e-5*before || !(gain > 0) {
					t.Fatalf("loss %v to %v, a decrease of %v was promised", before, after, gain)
				}
				s, mask := d.tile(d.s, j, k), d.quarter(d.mask, j, k)
				last := len(mask) - 1
				for g, m := range mask {
					for q := range 4 {
						if q != pairs[m][0] && q != pairs[m][1] && s[4*g+q] != 0 {
							t.Fatalf("group %d keeps %v with mask %d", g, s[4*g:4*g+4], m)
						}
					}
				}
				least, at := math.Inf(1), 0
				for m := range pairs {
					if l := d.bestWith(s[4*last:4*last+4], m); l < least {
						least, at = l, m
					}
				}
				if at != int(mask[last]) || after > least*(1+1e-5) {
					t.Errorf("the last group has mask %d and loss %v, best is %d with %v", mask[last], after, at, least)
				}
			}
		}
	}
}

// bestWith is the least loss with mask m in a group of the core: the minimum of
// the parabola that six evaluations of the loss determine.
func (d *descent) bestWith(group []float32, m int) float64 {
	old := [4]float32(group)
	defer copy(group, old[:])
	p, q := pairs[m][0], pairs[m][1]
	f := func(x, y float32) float64 {
		clear(group)
		group[p], group[q] = x, y
		return d.naive()
	}
	c, fx, fy := f(0, 0), f(1, 0), f(0, 1)
	xx, yy := (fx+f(-1, 0))/2-c, (fy+f(0, -1))/2-c
	x, y := fx-c-xx, fy-c-yy
	xy := f(1, 1) - c - x - y - xx - yy
	det := 4*xx*yy - xy*xy
	return c - (yy*x*x-xy*x*y+xx*y*y)/det
}

// TestCarry: a sweep saves where it ended, whatever momentum makes of the core
// then, and that state comes back.
func TestCarry(t *testing.T) {
	d := randomDescent(t, 15, false)
	d.keepStart(&d.saved[0], d.loss())
	d.pace = pace{1.5, 1.3, 0.7, 0.5}
	d.sweep(&d.saved[0], &d.saved[1])
	d.sweep(&d.saved[1], &d.saved[0])
	if a, b := d.loss(), d.saved[0].loss; math.Abs(a-b) < 1e-5*b {
		t.Errorf("momentum left the loss at %v", a)
	}
	for i, want := range []float64{d.saved[0].loss, d.saved[1].loss} {
		d.restore(&d.saved[i])
		if now := d.loss(); math.Abs(now-want) > 1e-5*want {
			t.Errorf("loss %v of what was saved, want %v", now, want)
		}
	}
}

// TestRisesAreTakenBack: steps far beyond the minimum let the loss rise, and
// what counts in the end is the best state.
func TestRisesAreTakenBack(t *testing.T) {
	d := randomDescent(t, 18, false)
	r := &Result{LossStart: d.relative(d.loss())}
	o := &Options{Sweeps: 12, Progress: func(int, float64) {}}
	wild := func(calm int, last bool) pace { return pace{wrappers: 1 + float32(calm), core: 1} }
	if err := d.run(context.Background(), r, o, wild); err != nil {
		t.Fatal(err)
	}
	if r.Rises == 0 || r.Rises == r.Steps {
		t.Fatalf("%d rises in %d steps", r.Rises, r.Steps)
	}
	for i := 1; i < len(r.Curve); i++ {
		if !(r.Curve[i] <= r.Curve[i-1]) {
			t.Errorf("loss %v after %v", r.Curve[i], r.Curve[i-1])
		}
	}
	if want := r.Curve[r.Steps]; math.Abs(r.LossEnd-want) > 1e-5*want {
		t.Errorf("loss %v at the end, want %v", r.LossEnd, want)
	}
}

func newTestAdam(t *testing.T) *adam {
	d := randomDescent(t, 16, false)
	a := newAdam(d.target, &Options{Seed: 5}, &Layer{Values: make([]float32, len(d.s)/2), Mask: make([]uint8, len(d.s)/4)})
	a.factors = d.factors
	for i, v := range a.b {
		a.plainB[i] = v / float32(d.root[i/(d.bi*d.bi)*d.bi+i%d.bi])
	}
	return a
}

// TestAdamGradients compares the gradients with differences of the loss, which
// is a parabola in each element.
func TestAdamGradients(t *testing.T) {
	a := newTestAdam(t)
	d := &descent{target: a.target, factors: a.factors, w: a.w}
	a.residuals(0)
	check := func(what string, x *float32, down float32) {
		t.Helper()
		old := *x
		*x = old + 0.01
		up := d.naive()
		*x = old - 0.01
		low := d.naive()
		*x = old
		if want := (low - up) / 0.04; math.Abs(float64(down)-want) > 1e-3*(math.Abs(want)+0.1) {
			t.Errorf("%s: %v, want %v", what, down, want)
		}
	}
	for i := 0; i < len(a.a); i += 7 {
		check("A", &a.a[i], a.da[i])
	}
	for i := 0; i < len(a.s); i += 13 {
		check("S", &a.s[i], a.ds[i])
	}
}

// TestAdamDiscrete: after a discrete step all that it carries along is what
// computing it anew gives, and the loss is lower.
func TestAdamDiscrete(t *testing.T) {
	a := newTestAdam(t)
	before := a.residuals(1)
	y, ds, da := widen(a.y), widen(a.ds), widen(a.da)
	after := a.residuals(0)
	if !(after < before) {
		t.Errorf("loss %v after the discrete step, %v before", after, before)
	}
	near(t, "Y", a.y, y)
	near(t, "the core's gradient", a.ds, ds)
	near(t, "A's gradient", a.da, da)
}

// TestBestPair compares with a fine grid of values around every optimum.
func TestBestPair(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 1))
	for range 200 {
		var x [4][6]float64
		for p := range x {
			for q := range x[p] {
				x[p][q] = rng.NormFloat64()
			}
		}
		var gg [4][4]float64
		var target [4]float64
		for p := range 4 {
			target[p] = rng.NormFloat64()
			for q := range 4 {
				for i := range 6 {
					gg[p][q] += x[p][i] * x[q][i]
				}
			}
		}
		f := func(v [4]float64) float64 {
			sum := 0.0
			for p := range 4 {
				sum -= 2 * v[p] * target[p]
				for q := range 4 {
					sum += 2 * v[p] * gg[p][q] * v[q]
				}
			}
			return sum
		}
		v, m, ok := bestPair(2, &gg, &target)
		if !ok {
			t.Fatal("no pair")
		}
		least := f(v)
		for other, pq := range pairs {
			sub := []float64{2 * gg[pq[0]][pq[0]], 2 * gg[pq[0]][pq[1]], 2 * gg[pq[1]][pq[0]], 2 * gg[pq[1]][pq[1]]}
			u := solveNaive(sub, []float64{target[pq[0]], target[pq[1]]}, 2, 1)
			var w [4]float64
			w[pq[0]], w[pq[1]] = u[0], u[1]
			if f(w) < least-1e-9*math.Abs(least) {
				t.Errorf("mask %d reaches %v, mask %d was chosen with %v", other, f(w), m, least)
			}
		}
	}
}
