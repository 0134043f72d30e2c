package solve

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"armor/kernels"
	"armor/kernels/block"
)

// BenchmarkSweep reports nanoseconds a weight of one bcd sweep.
func BenchmarkSweep(b *testing.B) {
	for isa := kernels.AVX2; isa <= min(kernels.BestISA(), kernels.AVX512); isa++ {
		for _, shape := range [][3]int{{1024, 2048, 128}, {896, 896, 128}, {576, 576, 64}, {1536, 576, 64}, {192, 576, 64}} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%v/%dx%d/%d/%d", isa, shape[0], shape[1], shape[2], threads), func(b *testing.B) {
					p := randomProblem(rand.New(rand.NewPCG(1, 2)), shape[0], shape[1])
					o := Options{Math: block.New(isa), Threads: threads, BlockOut: shape[2], BlockIn: shape[2]}
					if err := o.complete(p); err != nil {
						b.Fatal(err)
					}
					t, err := newTarget(p, &o)
					if err != nil {
						b.Fatal(err)
					}
					nowag := t.keep(NoWagP)
					d := newDescent(t, &nowag)
					d.pace = paceOf(10, false)
					d.keepStart(&d.saved[0], t.total)
					last, to := &d.saved[0], &d.saved[1] // as run does: away from a start that stays, momentum leads to denormals
					for b.Loop() {
						d.sweep(last, to)
						last, to = to, last
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(p.W)), "ns/weight")
				})
			}
		}
	}
}

// BenchmarkPrune is a whole layer by bcd with the default 20 sweeps.
func BenchmarkPrune(b *testing.B) {
	for _, shape := range [][2]int{{896, 896}, {576, 576}, {1536, 576}} {
		b.Run(fmt.Sprintf("%dx%d", shape[0], shape[1]), func(b *testing.B) {
			p := randomProblem(rand.New(rand.NewPCG(1, 2)), shape[0], shape[1])
			for b.Loop() {
				if _, err := Prune(context.Background(), p, Options{Math: best}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(p.W)), "ns/weight")
		})
	}
}

// BenchmarkQuantize is the descent to int4 cores and int8 wrappers.
func BenchmarkQuantize(b *testing.B) {
	p := randomProblem(rand.New(rand.NewPCG(1, 2)), 576, 576)
	o := Options{Math: best, BlockOut: 64, BlockIn: 64, Sweeps: 3, Threads: 1}
	r, err := Prune(context.Background(), p, o)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Quantize(context.Background(), p, &r.Layer, Grid{Core: 4, Wrappers: 8}, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(p.W)), "ns/weight")
}

// BenchmarkAdam reports what an iteration costs in evaluations of A·S·B, the
// ratio of the medians of both in turn.
func BenchmarkAdam(b *testing.B) {
	for isa := kernels.AVX2; isa <= min(kernels.BestISA(), kernels.AVX512); isa++ {
		b.Run(fmt.Sprintf("%v/896x896/128", isa), func(b *testing.B) {
			p := randomProblem(rand.New(rand.NewPCG(1, 2)), 896, 896)
			o := Options{Math: block.New(isa), Threads: 2, BlockOut: 128, BlockIn: 128}
			if err := o.complete(p); err != nil {
				b.Fatal(err)
			}
			t, err := newTarget(p, &o)
			if err != nil {
				b.Fatal(err)
			}
			nowag := t.keep(NoWagP)
			a := newAdam(t, &o, &nowag)
			d := newFactors(t, a.factors, a.w)
			var iterations, evaluations []time.Duration
			for step := 0; b.Loop(); step++ {
				began := time.Now()
				a.iterate(step + 1)
				between := time.Now()
				d.loss()
				iterations = append(iterations, between.Sub(began))
				evaluations = append(evaluations, time.Since(between))
			}
			slices.Sort(iterations)
			slices.Sort(evaluations)
			iteration, evaluation := iterations[b.N/2], evaluations[b.N/2]
			b.ReportMetric(float64(iteration.Microseconds()), "µs/iteration")
			b.ReportMetric(float64(iteration)/float64(evaluation), "evaluations")
		})
	}
}
