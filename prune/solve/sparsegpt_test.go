package solve

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
)

// naiveSparseGPT is the method column by column in f64: the inverse of the
// Hessian of the columns that remain is made anew for each column.
func naiveSparseGPT(p *Problem) (w []float64, kept []bool) {
	n := p.In
	mean := 0.0
	for j := range n {
		mean += float64(p.Hessian.Full[j*n+j]) / float64(n)
	}
	w, kept = widen(p.W), make([]bool, len(p.W))
	inverse := func(from int) []float64 { // of rows and columns from on
		m := n - from
		h, one := make([]float64, m*m), make([]float64, m*m)
		for i := range m {
			for j := range m {
				h[i*m+j] = float64(p.Hessian.Full[(from+i)*n+from+j]) / mean
			}
			h[i*m+i] += 0.01
			one[i*m+i] = 1
		}
		return solveNaive(h, one, m, m)
	}
	for j := range n {
		inv, m := inverse(j), n-j
		if j%4 == 0 {
			var diag [4]float64 // U_jj² is the corner of the inverse from j on
			for q := range diag {
				diag[q] = inverse(j + q)[0]
			}
			for i := range p.Out {
				var score [4]float64
				for q := range score {
					v := w[i*n+j+q]
					score[q] = v * v / diag[q]
				}
				for _, q := range pairs[bestMask(&score)] {
					kept[i*n+j+q] = true
				}
			}
		}
		for i := range p.Out {
			if kept[i*n+j] {
				continue
			}
			e := w[i*n+j] / inv[0]
			for c := range m {
				w[i*n+j+c] -= e * inv[c]
			}
			w[i*n+j] = 0
		}
	}
	return w, kept
}

func TestSparseGPT(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 1))
	for _, in := range []int{8, 36, 144} {
		p := randomProblem(rng, 6, in)
		p.Hessian.Full = gramOf(rng, in)
		r, err := Prune(context.Background(), p, Options{Method: SparseGPT, Math: best})
		if err != nil {
			t.Fatal(err)
		}
		checkLayer(t, "sparsegpt", &r.Layer)
		want, kept := naiveSparseGPT(p)
		for i, got := range naiveDense(&r.Layer) {
			if (got != 0) != kept[i] {
				t.Fatalf("%d inputs: weight %d is %v, kept is %v", in, i, got, kept[i])
			}
			// bf16 rounds by 2⁻⁸ at most, f32 before it by far less.
			if math.Abs(got-want[i]) > math.Abs(want[i])/256+1e-4 {
				t.Fatalf("%d inputs: weight %d is %v, want %v", in, i, got, want[i])
			}
		}
	}
}

func TestSparseGPTDeadInput(t *testing.T) {
	p := randomProblem(rand.New(rand.NewPCG(22, 1)), 4, 16)
	p.Hessian.Full = gramOf(rand.New(rand.NewPCG(23, 1)), 16)
	for j := range 16 {
		p.Hessian.Full[5*16+j], p.Hessian.Full[j*16+5] = 0, 0
	}
	r, err := Prune(context.Background(), p, Options{Method: SparseGPT, Math: best})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range r.Layer.Dense() {
		if i%16 == 5 && v != 0 {
			t.Errorf("row %d keeps %v of an input that is always zero", i/16, v)
		}
	}
}

// TestBaselines compares masks and values with the definition of each score.
func TestBaselines(t *testing.T) {
	rng := rand.New(rand.NewPCG(24, 1))
	p := randomProblem(rng, 12, 20)
	n := normalize(p, 1)
	for _, method := range []Method{Magnitude, Wanda, NoWagP} {
		r, err := Prune(context.Background(), p, Options{Method: method, Math: best})
		if err != nil {
			t.Fatal(err)
		}
		checkLayer(t, string(method), &r.Layer)
		dense := r.Layer.Dense()
		for at, w := range p.W {
			score := func(at int) float64 {
				v, i, j := math.Abs(float64(p.W[at])), at/p.In, at%p.In
				switch method {
				case Wanda:
					return v * math.Sqrt(p.Hessian.Diag[j])
				case NoWagP:
					return math.Pow(v/n.row[i]/n.col[j], 2) * p.Hessian.Diag[j]
				}
				return v
			}
			larger := 0
			for q := range 4 {
				if score(at/4*4+q) > score(at) {
					larger++
				}
			}
			want := []float32{w}
			roundBF16(want)
			if larger >= 2 {
				want[0] = 0
			}
			if dense[at] != want[0] {
				t.Fatalf("%s: weight %d is %v, want %v", method, at, dense[at], want[0])
			}
		}
		if got := naiveLoss(p, naiveDense(&r.Layer)); math.Abs(got-r.LossRounded) > 1e-6 {
			t.Errorf("%s: says loss %v, is %v", method, r.LossRounded, got)
		}
		if r.LossStart > r.LossEnd+1e-12 {
			t.Errorf("%s: loss %v below NoWag-P's %v", method, r.LossEnd, r.LossStart)
		}
	}
}
