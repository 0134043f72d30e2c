package solve

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// degenerate changes a problem into one of several awkward kinds.
var degenerate = []struct {
	name   string
	change func(p *Problem, rng *rand.Rand)
}{
	{"random", func(*Problem, *rand.Rand) {}},
	{"zero columns", func(p *Problem, rng *rand.Rand) {
		for i := range p.W {
			if i%p.In%3 == 0 || i%p.In/4 == 1 {
				p.W[i] = 0
			}
		}
	}},
	{"zero rows", func(p *Problem, rng *rand.Rand) {
		for i := range p.W {
			if i/p.In%3 == 0 {
				p.W[i] = 0
			}
		}
	}},
	{"all zero", func(p *Problem, rng *rand.Rand) { clear(p.W) }},
	{"one weight", func(p *Problem, rng *rand.Rand) { clear(p.W); p.W[5] = 3 }},
	{"no inputs", func(p *Problem, rng *rand.Rand) { clear(p.Hessian.Diag) }},
	{"bad inputs", func(p *Problem, rng *rand.Rand) {
		h := p.Hessian.Diag
		h[0], h[1], h[2], h[3] = math.NaN(), math.Inf(1), -1, 0
	}},
	{"vast inputs", func(p *Problem, rng *rand.Rand) {
		for j := range p.Hessian.Diag {
			p.Hessian.Diag[j] = math.Exp(300 * (2*rng.Float64() - 1))
		}
	}},
	{"rank one", func(p *Problem, rng *rand.Rand) {
		for i := range p.W {
			p.W[i] = float32(1+i/p.In) * float32(math.Sin(float64(1+i%p.In)))
		}
	}},
	{"constant", func(p *Problem, rng *rand.Rand) {
		for i := range p.W {
			p.W[i] = 0.25
		}
	}},
	{"large", func(p *Problem, rng *rand.Rand) { scaleW(p, 1e20) }},
	{"largest", func(p *Problem, rng *rand.Rand) { scaleW(p, 5e37) }},
	{"small", func(p *Problem, rng *rand.Rand) { scaleW(p, 1e-20) }},
	{"subnormal", func(p *Problem, rng *rand.Rand) { scaleW(p, 1e-39) }},
	{"outliers", func(p *Problem, rng *rand.Rand) {
		for i := range p.W {
			p.W[i] *= float32(math.Exp(4 * rng.NormFloat64()))
		}
	}},
	{"2:4 already", func(p *Problem, rng *rand.Rand) {
		for i := range p.W {
			if i%2 == 0 {
				p.W[i] = 0
			}
		}
	}},
}

func scaleW(p *Problem, by float32) {
	for i := range p.W {
		p.W[i] *= by
	}
}

var shapes = [][4]int{{8, 16, 0, 0}, {32, 32, 16, 16}, {12, 40, 4, 8}, {64, 24, 32, 8}, {6, 20, 0, 0}, {16, 4, 0, 0}, {5, 12, 0, 0}, {32, 64, 32, 32}}

// TestNeverWorseThanNoWag is Theorem 3.1 for what is stored: measured by
// definition in f64, no stored layer loses more than rounded NoWag-P.
func TestNeverWorseThanNoWag(t *testing.T) {
	for s, shape := range shapes {
		for _, d := range degenerate {
			for _, blocks := range []bool{false, true} {
				name := fmt.Sprintf("%v/%s/%v", shape, d.name, blocks)
				rng := rand.New(rand.NewPCG(uint64(s), 1))
				p := randomProblem(rng, shape[0], shape[1])
				d.change(p, rng)
				_, bi := DefaultBlocks(p.Out, p.In)
				if shape[3] > 0 {
					bi = shape[3]
				}
				if blocks {
					p.Hessian.Block = bi
					for range p.In / bi {
						p.Hessian.Blocks = append(p.Hessian.Blocks, gramOf(rng, bi)...)
					}
				}
				for _, solver := range Solvers {
					if solver == Adam && blocks {
						continue // its loss is of the diagonal
					}
					o := Options{Solver: solver, Sweeps: 6, Iterations: 6, BlockOut: shape[2], BlockIn: shape[3], Math: best, Threads: 2}
					r, err := Prune(context.Background(), p, o)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					base, err := Prune(context.Background(), p, Options{Method: NoWagP, Math: best, BlockOut: shape[2], BlockIn: shape[3]})
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					checkLayer(t, name, &r.Layer)
					got, want := naiveLoss(p, naiveDense(&r.Layer)), naiveLoss(p, naiveDense(&base.Layer))
					if !(got <= want) {
						t.Errorf("%s/%s: loss %v, NoWag-P's is %v", name, solver, got, want)
					}
					if math.Abs(got-r.LossRounded) > 1e-4*math.Sqrt(got)+1e-9 {
						t.Errorf("%s/%s: says loss %v, is %v", name, solver, r.LossRounded, got)
					}
					if d.name == "random" && shape[0] >= 8 && shape[1] >= 16 && r.FellBack {
						t.Errorf("%s/%s: fell back", name, solver)
					}
				}
			}
		}
	}
}

// checkLayer checks that a layer can be stored: shapes, masks, finite bf16.
func checkLayer(t *testing.T, name string, l *Layer) {
	t.Helper()
	if len(l.Mask) != l.Out*l.In/4 || len(l.Values) != l.Out*l.In/2 {
		t.Fatalf("%s: %d masks and %d values for %d × %d", name, len(l.Mask), len(l.Values), l.Out, l.In)
	}
	if l.A != nil && (len(l.A) != l.Out*l.BlockOut || len(l.B) != l.In*l.BlockIn) {
		t.Fatalf("%s: A of %d, B of %d", name, len(l.A), len(l.B))
	}
	for i, m := range l.Mask {
		if m > 5 {
			t.Fatalf("%s: mask %d is %d", name, i, m)
		}
	}
	for _, x := range [][]float32{l.A, l.B, l.Values} {
		for i, v := range x {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) || math.Float32bits(v)&0xffff != 0 {
				t.Fatalf("%s: value %d is %v, not finite in bf16", name, i, v)
			}
		}
	}
}

func TestThreadsGiveSameBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	p := randomProblem(rng, 48, 96)
	p.Hessian.Full = gramOf(rng, p.In)
	for _, o := range []Options{{}, {Solver: Adam, Iterations: 5}, {Method: SparseGPT}, {Method: Wanda}, {BlockOut: 48}} {
		o.Math, o.Sweeps, o.Seed = best, 5, 7
		var want *Result
		for _, o.Threads = range []int{1, 2, 3, 5} {
			got, err := Prune(context.Background(), p, o)
			if err != nil {
				t.Fatal(err)
			}
			got.Seconds = 0
			if want == nil {
				want = got
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: %d threads give another result than 1", o.Method, o.Solver, o.Threads)
			}
		}
	}
}

func TestCurveFalls(t *testing.T) {
	p := randomProblem(rand.New(rand.NewPCG(5, 6)), 64, 96)
	var told []float64
	r, err := Prune(context.Background(), p, Options{Math: best, Sweeps: 30, Progress: func(_ int, l float64) { told = append(told, l) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Curve) != 31 || r.Steps != 30 || !reflect.DeepEqual(told, r.Curve[1:]) || r.Curve[0] != r.LossStart {
		t.Fatalf("%d steps, a curve of %d, told %d", r.Steps, len(r.Curve), len(told))
	}
	for i := 1; i < len(r.Curve); i++ {
		if !(r.Curve[i] <= r.Curve[i-1]) {
			t.Errorf("sweep %d: loss %v after %v", i, r.Curve[i], r.Curve[i-1])
		}
	}
	if d := math.Abs(r.LossEnd - r.Curve[30]); d > (&target{bo: 32, bi: 32}).rounding(r.LossEnd) {
		t.Errorf("loss %v at the end, the curve says %v", r.LossEnd, r.Curve[30])
	}
	if r.LossEnd > 0.6*r.LossStart {
		t.Errorf("loss %v after 30 sweeps, %v before", r.LossEnd, r.LossStart)
	}
}

func TestAdamLowersTheLoss(t *testing.T) {
	p := randomProblem(rand.New(rand.NewPCG(7, 8)), 32, 48)
	r, err := Prune(context.Background(), p, Options{Solver: Adam, Iterations: 300, Math: best})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Curve) != 301 || r.Curve[0] > r.LossStart*(1+1e-5) || r.Curve[0] < r.LossStart*(1-1e-5) || r.Curve[300] != r.LossEnd {
		t.Errorf("a curve of %d from %v to %v, want from %v to %v", len(r.Curve), r.Curve[0], r.Curve[300], r.LossStart, r.LossEnd)
	}
	if r.LossEnd > 0.8*r.LossStart {
		t.Errorf("loss %v after 300 iterations, %v before", r.LossEnd, r.LossStart)
	}
	r, err = Prune(context.Background(), p, Options{Solver: Adam, Limit: 1, Math: best})
	if err != nil || r.Steps != 0 {
		t.Errorf("%d steps within a nanosecond, %v", r.Steps, err)
	}
}

func TestDense(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	p := randomProblem(rng, 24, 32)
	for _, o := range []Options{{Method: Magnitude}, {BlockOut: 8, BlockIn: 16, Sweeps: 2}} {
		o.Math = best
		r, err := Prune(context.Background(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range naiveDense(&r.Layer) {
			if got := r.Layer.Dense()[i]; got != float32(want) {
				t.Fatalf("weight %d is %v, want %v", i, got, float32(want))
			}
		}
		largest := 0.0
		for _, v := range r.Layer.Dense() {
			largest = max(largest, math.Abs(float64(v)))
		}
		for i, got := range r.Layer.Product(best, 3) {
			if want := r.Layer.Dense()[i]; math.Abs(float64(got-want)) > 1e-5*largest {
				t.Fatalf("in f32: weight %d is %v, want %v", i, got, want)
			}
		}
		loss, err := Loss(p, &r.Layer, Options{Math: best})
		if err != nil || loss != r.LossRounded {
			t.Errorf("loss %v, %v, want %v", loss, err, r.LossRounded)
		}
	}
}

func TestErrors(t *testing.T) {
	good := func() (*Problem, Options) {
		return randomProblem(rand.New(rand.NewPCG(1, 1)), 8, 16), Options{Math: best}
	}
	for _, c := range []struct {
		change func(p *Problem, o *Options)
		want   string
	}{
		{func(p *Problem, o *Options) { p.In = 15 }, "multiple of 4"},
		{func(p *Problem, o *Options) { p.Out = 0 }, "0 × 16"},
		{func(p *Problem, o *Options) { p.W = p.W[1:] }, "127 values, want 8 × 16"},
		{func(p *Problem, o *Options) { p.W[17] = float32(math.NaN()) }, "row 1, column 1 is NaN"},
		{func(p *Problem, o *Options) { p.Hessian.Diag = nil }, "diagonal has 0 values, want 16"},
		{func(p *Problem, o *Options) { o.Method = SparseGPT }, "needs the full Hessian"},
		{func(p *Problem, o *Options) { o.Method = "best" }, `unknown method "best"`},
		{func(p *Problem, o *Options) { o.Solver = "best" }, `unknown solver "best"`},
		{func(p *Problem, o *Options) { o.BlockOut = 3 }, "block 3 does not divide the 8 outputs"},
		{func(p *Problem, o *Options) { o.BlockIn = 6 }, "block 6"},
		{func(p *Problem, o *Options) { o.Sweeps = -1 }, "negative"},
		{func(p *Problem, o *Options) { p.Hessian.Blocks, p.Hessian.Block = make([]float32, 64), 8 }, "blocks of 8 have 64 values"},
		{func(p *Problem, o *Options) { p.Hessian.Blocks, p.Hessian.Block = make([]float32, 64), 4 }, "no multiple of the layer's, 8"},
		{func(p *Problem, o *Options) { p.Hessian.Blocks, p.Hessian.Block = make([]float32, 128), 8 }, "mean diagonal of 0"},
		{func(p *Problem, o *Options) { p.Hessian.Full = make([]float32, 5) }, "full Hessian has 5 values"},
	} {
		p, o := good()
		c.change(p, &o)
		if _, err := Prune(context.Background(), p, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	for _, o := range []Options{{}, {Solver: Adam}} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		p, _ := good()
		o.Math = best
		if _, err := Prune(ctx, p, o); err != context.Canceled {
			t.Errorf("%s cancelled: %v", o.Solver, err)
		}
	}
}

func TestDefaultBlocks(t *testing.T) {
	for _, c := range [][4]int{{896, 896, 128, 128}, {192, 576, 64, 64}, {4864, 896, 128, 128}, {1000, 24, 8, 8}, {6, 256, 2, 128}, {7, 12, 1, 4}} {
		if o, i := DefaultBlocks(c[0], c[1]); o != c[2] || i != c[3] {
			t.Errorf("%d × %d: blocks of %d and %d, want %d and %d", c[0], c[1], o, i, c[2], c[3])
		}
	}
}
