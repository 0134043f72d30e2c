package sample

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

func logitsOf(p ...float64) []float32 {
	x := make([]float32, len(p))
	for i, v := range p {
		x[i] = float32(math.Log(v))
	}
	return x
}

// frequencies draws many tokens.
func frequencies(t *testing.T, p Params, logits []float32) []float64 {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	const draws = 20000
	s := New(p)
	f := make([]float64, len(logits))
	for range draws {
		f[s.Next(logits)]++
	}
	for i := range f {
		f[i] /= draws
	}
	return f
}

func TestDistribution(t *testing.T) {
	base := []float64{0.05, 0.4, 0.1, 0.3, 0.15}
	for _, c := range []struct {
		name string
		p    Params
		want []float64
	}{
		{"all", Params{Temperature: 1}, base},
		{"greedy", Params{}, []float64{0, 1, 0, 0, 0}},
		{"top-k 2", Params{Temperature: 1, TopK: 2}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		{"top-k 3", Params{Temperature: 1, TopK: 3}, []float64{0, 40. / 85, 0, 30. / 85, 15. / 85}},
		{"top-p 0.5", Params{Temperature: 1, TopP: 0.5}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		{"top-p 0.3", Params{Temperature: 1, TopP: 0.3}, []float64{0, 1, 0, 0, 0}},
		{"top-p after top-k", Params{Temperature: 1, TopK: 3, TopP: 0.5}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
		{"temperature 0.5", Params{Temperature: 0.5}, []float64{.0025 / .285, .16 / .285, .01 / .285, .09 / .285, .0225 / .285}},
		{"top-k of more", Params{Temperature: 1, TopK: 50}, base},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, f := range frequencies(t, c.p, logitsOf(base...)) {
				// Five standard errors of 20,000 draws.
				if bound := 5 * math.Sqrt(c.want[i]*(1-c.want[i])/20000); math.Abs(f-c.want[i]) > bound {
					t.Errorf("token %d: drawn %.4f, want %.4f ± %.4f", i, f, c.want[i], bound)
				}
			}
		})
	}
}

// TestNucleus compares the tokens that can be drawn with a plain sort.
func TestNucleus(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		logits := make([]float32, 200)
		for i := range logits {
			logits[i] = float32(rng.NormFloat64() * 2)
		}
		p := Params{Temperature: 0.7, TopK: rng.IntN(40), TopP: float32(rng.IntN(99)+1) / 100, Seed: rng.Uint64()}
		order := make([]int, len(logits))
		for i := range order {
			order[i] = i
		}
		sort.Slice(order, func(a, b int) bool { return logits[order[a]] > logits[order[b]] })
		if p.TopK > 0 {
			order = order[:p.TopK]
		}
		mass := 0.0
		for _, i := range order {
			mass += math.Exp(float64(logits[i]) / 0.7)
		}
		allowed, held := map[int32]bool{}, 0.0
		for _, i := range order {
			if held >= float64(p.TopP)*mass*(1+1e-6) {
				break
			}
			allowed[int32(i)] = true
			held += math.Exp(float64(logits[i]) / 0.7)
		}
		s := New(p)
		for range 500 {
			if id := s.Next(logits); !allowed[id] {
				t.Fatalf("%+v: drew %d, which is not among the %d allowed", p, id, len(allowed))
			}
		}
	}
}

func TestSeed(t *testing.T) {
	logits := logitsOf(0.2, 0.2, 0.2, 0.2, 0.2)
	a, b, c := New(Params{Temperature: 1, Seed: 7}), New(Params{Temperature: 1, Seed: 7}), New(Params{Temperature: 1, Seed: 8})
	differs := false
	for range 100 {
		x, y, z := a.Next(logits), b.Next(logits), c.Next(logits)
		if x != y {
			t.Fatal("the same seed drew different tokens")
		}
		differs = differs || x != z
	}
	if !differs {
		t.Error("another seed drew the same tokens")
	}
}

func TestOddLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, logits := range [][]float32{{nan, 1, nan}, {nan}, {inf, 1, inf}, {-inf, -inf}, {-inf, 3, nan, inf}} {
		for _, p := range []Params{{}, {Temperature: 1}, {Temperature: 1, TopK: 2}, {Temperature: 1, TopP: 0.5}, {Temperature: 1e-30}} {
			if id := New(p).Next(logits); id < 0 || int(id) >= len(logits) {
				t.Errorf("%v, %+v: drew %d", logits, p, id)
			}
		}
	}
	if got := Argmax([]float32{nan, 2, 2}); got != 1 {
		t.Errorf("argmax: got %d, want 1, the first of equal ones", got)
	}
}

func TestCheck(t *testing.T) {
	for _, p := range []Params{{Temperature: -1}, {Temperature: float32(math.NaN())}, {Temperature: float32(math.Inf(1))}, {TopK: -1}, {TopP: 1.5}, {TopP: -0.1}} {
		if p.Check() == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
}

func BenchmarkTopK(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 151936)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
	}
	s := New(Params{Temperature: 0.8, TopK: 40, TopP: 0.95})
	for b.Loop() {
		s.Next(logits)
	}
}
