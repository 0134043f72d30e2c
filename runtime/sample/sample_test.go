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
	s := New(p, nil)
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
		{"min-p 0.3", Params{Temperature: 1, MinP: 0.3}, []float64{0, 40. / 85, 0, 30. / 85, 15. / 85}},
		{"min-p after top-p", Params{Temperature: 1, TopP: 0.8, MinP: 0.5}, []float64{0, 4. / 7, 0, 3. / 7, 0}},
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
		s := New(p, nil)
		for range 500 {
			if id := s.Next(logits); !allowed[id] {
				t.Fatalf("%+v: drew %d, which is not among the %d allowed", p, id, len(allowed))
			}
		}
	}
}

func TestPenalties(t *testing.T) {
	near := func(got, want float32) bool { return math.Abs(float64(got-want)) < 1e-6 }
	s := New(Params{Repeat: 2}, []int32{0, 1})
	logits := []float32{3, -1, 2, 0}
	if got := s.Next(logits); got != 2 || !near(logits[0], 1.5) || !near(logits[1], -2) {
		t.Errorf("repeat: chose %d of %v", got, logits)
	}
	logits = []float32{0, 0, 2, 1.5}
	if got := s.Next(logits); got != 3 || !near(logits[2], 1) {
		t.Errorf("repeat of a generated token: chose %d of %v", got, logits)
	}
	s = New(Params{Presence: 1, Frequency: 0.25}, []int32{0})
	for i, want := range []float32{5, 5 - 1.25, 5 - 1.5} {
		logits = []float32{1, 5}
		if got := s.Next(logits); got != 1 || !near(logits[1], want) || logits[0] != 1 {
			t.Errorf("draw %d: chose %d of %v, want a logit of %v", i, got, logits, want)
		}
	}
}

func TestLogprobs(t *testing.T) {
	top, chosen := Logprobs(logitsOf(0.1, 0.6, 0.3), 2, 0)
	if len(top) != 2 || top[0].ID != 1 || top[1].ID != 2 || chosen.ID != 0 {
		t.Fatalf("got %v, %v", top, chosen)
	}
	for i, p := range []float64{0.6, 0.3} {
		if math.Abs(math.Exp(top[i].Logprob)-p) > 1e-6 {
			t.Errorf("token %d: got %v, want %v", i, math.Exp(top[i].Logprob), p)
		}
	}
	if math.Abs(math.Exp(chosen.Logprob)-0.1) > 1e-6 {
		t.Errorf("chosen: got %v", math.Exp(chosen.Logprob))
	}
}

func TestSeed(t *testing.T) {
	logits := logitsOf(0.2, 0.2, 0.2, 0.2, 0.2)
	a, b, c := New(Params{Temperature: 1, Seed: 7}, nil), New(Params{Temperature: 1, Seed: 7}, nil), New(Params{Temperature: 1, Seed: 8}, nil)
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
			if id := New(p, nil).Next(logits); id < 0 || int(id) >= len(logits) {
				t.Errorf("%v, %+v: drew %d", logits, p, id)
			}
		}
	}
	if got := Argmax([]float32{nan, 2, 2}); got != 1 {
		t.Errorf("argmax: got %d, want 1, the first of equal ones", got)
	}
}

func TestCheck(t *testing.T) {
	for _, p := range []Params{{Temperature: -1}, {Temperature: float32(math.NaN())}, {Temperature: float32(math.Inf(1))}, {TopK: -1}, {TopP: 1.5}, {TopP: -0.1}, {MinP: 2}, {Repeat: -1}, {Presence: float32(math.NaN())}, {Frequency: float32(math.Inf(1))}} {
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
	s := New(Params{Temperature: 0.8, TopK: 40, TopP: 0.95}, nil)
	for b.Loop() {
		s.Next(logits)
	}
}
