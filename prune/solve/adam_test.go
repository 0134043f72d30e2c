package solve

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"armor/kernels"
	"armor/kernels/block"
)

// TestAdamSameOnEveryISA: an iteration's kernels are exact, so that masks, values
// and moments stay the same from plain Go to AVX-512; only losses are summed in
// other orders.
func TestAdamSameOnEveryISA(t *testing.T) {
	for _, shape := range [][4]int{{64, 96, 32, 32}, {24, 32, 8, 16}, {12, 40, 4, 8}} {
		p := randomProblem(rand.New(rand.NewPCG(7, 8)), shape[0], shape[1])
		var want *adam
		for isa := kernels.Ref; isa <= min(kernels.BestISA(), kernels.AVX512); isa++ {
			o := Options{Math: block.New(isa), BlockOut: shape[2], BlockIn: shape[3], Seed: 3}
			if err := o.complete(p); err != nil {
				t.Fatal(err)
			}
			target, err := newTarget(p, &o)
			if err != nil {
				t.Fatal(err)
			}
			target.total = target.plainLoss(nil)
			nowag := target.keep(NoWagP)
			got := newAdam(target, &o, &nowag)
			for step := 1; step <= 20; step++ {
				got.iterate(step)
			}
			if want == nil {
				want = got
				continue
			}
			if !reflect.DeepEqual(got.factors, want.factors) || !reflect.DeepEqual(got.momentS, want.momentS) {
				t.Errorf("%v: %v gives another core, A or B than plain Go", shape, isa)
			}
		}
	}
}

// TestAdamKeepsMasks: what a mask does not keep is zero after every iteration.
func TestAdamKeepsMasks(t *testing.T) {
	a := newTestAdam(t)
	for step := 1; step <= 10; step++ {
		a.iterate(step)
		for g, m := range a.mask {
			for q := range 4 {
				if q != pairs[m][0] && q != pairs[m][1] && a.s[4*g+q] != 0 {
					t.Fatalf("iteration %d: group %d keeps %v with mask %d", step, g, a.s[4*g:4*g+4], m)
				}
			}
		}
	}
}

// TestDraw compares the frequencies of groups with their norms: those of 40,000
// draws are within five standard deviations.
func TestDraw(t *testing.T) {
	const draws = 40000
	for _, n := range []int{4, 32, 64, 160} {
		rng := rand.New(rand.NewPCG(19, uint64(n)))
		x, total := make([]float32, n), 0.0
		for i := range x {
			if i/4%3 != 1 { // others are never drawn
				x[i] = float32(rng.NormFloat64())
			}
			total += math.Abs(float64(x[i]))
		}
		times, sums := make([]int, n/4), make([]float64, (n+block.AbsSumsChunk-1)/block.AbsSumsChunk)
		for range draws {
			times[draw(best, x, sums, rng)]++
		}
		for g, got := range times {
			share := 0.0
			for _, v := range x[4*g:][:4] {
				share += math.Abs(float64(v)) / total
			}
			want, deviation := draws*share, math.Sqrt(draws*share*(1-share))
			if math.Abs(float64(got)-want) > 5*deviation {
				t.Errorf("group %d of %d is drawn %d times, want %.0f", g, n/4, got, want)
			}
		}
	}
	sums := make([]float64, 1)
	for _, v := range []float32{0, float32(math.NaN()), float32(math.Inf(-1))} {
		if g := draw(best, []float32{0, v, 0, 0}, sums, rand.New(rand.NewPCG(1, 1))); g != -1 {
			t.Errorf("group %d of %v", g, v)
		}
	}
}
