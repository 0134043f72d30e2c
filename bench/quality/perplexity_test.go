package quality

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/tokenizer"
	"armor/runtime"
)

func load(t *testing.T, path string, compute kernels.DType) *model.Model {
	t.Helper()
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Compute: compute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(path, b, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func golden(name string) string { return filepath.Join("..", "..", "testdata", "golden", name) }

// TestGolden compares with Hugging Face on windows of 512, in both modes.
func TestGolden(t *testing.T) {
	models := os.Getenv("ARMOR_MODELS")
	if models == "" {
		t.Skip("set ARMOR_MODELS to test with real models")
	}
	data, err := os.ReadFile(golden("perplexity.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Cases []struct {
			Model   string  `json:"model"`
			PPL     float64 `json:"perplexity"`
			Half    float64 `json:"perplexity_second_half"`
			Tokens  int     `json:"text_tokens"`
			Windows []any   `json:"windows"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(golden("ppl_text.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range g.Cases {
		for compute, bound := range map[kernels.DType]float64{kernels.F32: 0.001, kernels.BF16: 0.005} {
			m := load(t, filepath.Join(models, c.Model), compute)
			ids := m.Tokenizer.Encode(string(text), tokenizer.Options{})
			if len(ids) != c.Tokens {
				t.Fatalf("%s: got %d tokens, want %d", c.Model, len(ids), c.Tokens)
			}
			for mode, want := range map[Mode]float64{ModeHF: c.PPL, ModeLlamaCPP: c.Half} {
				r, err := Perplexity(context.Background(), m, nil, ids, Options{Window: 512, Windows: len(c.Windows), Mode: mode, BOS: -1}, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s, %v, %s: %.5f, Hugging Face %.5f (%+.4f %%)", c.Model, compute, mode, r.PPL, want, 100*(r.PPL/want-1))
				if math.Abs(r.PPL/want-1) > bound {
					t.Errorf("%s, %v, %s: got %v, want %v within %v", c.Model, compute, mode, r.PPL, want, bound)
				}
			}
			m.Backend.Close()
		}
	}
}

func testTokens(n, vocab int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i * i * 31 % vocab)
	}
	return ids
}

// TestAgainst: a model is no distance from itself, and another one is where the
// definition says.
func TestAgainst(t *testing.T) {
	a, b := load(t, golden("tiny-llama"), kernels.F32), load(t, golden("tiny-qwen2"), kernels.F32)
	ids := testTokens(700, a.Decoder.Vocab)
	o := Options{Window: 300, Mode: ModeHF}
	r, err := Perplexity(context.Background(), a, a, ids, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.Against.KL) > 1e-9 || r.Against.Top1 != 1 || r.Against.Ratio != 1 || r.Against.PPL != r.PPL {
		t.Errorf("against itself: %+v", r.Against)
	}
	if r, err = Perplexity(context.Background(), a, b, ids, o, nil); err != nil {
		t.Fatal(err)
	}
	alone, err := Perplexity(context.Background(), b, nil, ids, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Against.PPL != alone.PPL || math.Abs(r.Against.Ratio*alone.PPL/r.PPL-1) > 1e-9 {
		t.Errorf("got %+v, the other alone %v", r.Against, alone.PPL)
	}
	if r.Windows != 2 || r.Tokens != 598 || !(r.Against.KL > 0.1) {
		t.Errorf("got %d windows, %d tokens, KL %v", r.Windows, r.Tokens, r.Against.KL)
	}
}

// TestKL checks one row against the definition in float64.
func TestKL(t *testing.T) {
	a, b := load(t, golden("tiny-llama"), kernels.F32), load(t, golden("tiny-qwen2"), kernels.F32)
	tokens := testTokens(9, a.Decoder.Vocab)
	var runs []*runner
	var probs [][]float64
	for _, m := range []*model.Model{a, b} {
		r, err := newRunner(m, runtime.KVAuto, 9)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.run(tokens, 0, 9, 8); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
		x := make([]float32, m.Decoder.Vocab)
		if err := m.Backend.Download(x, r.logits, 0); err != nil {
			t.Fatal(err)
		}
		p, sum := make([]float64, len(x)), 0.0
		for i, v := range x {
			p[i] = math.Exp(float64(v))
			sum += p[i]
		}
		for i := range p {
			p[i] /= sum
		}
		probs = append(probs, p)
	}
	rows, err := compare(runs, []int32{77})
	if err != nil {
		t.Fatal(err)
	}
	kl := 0.0
	for i, q := range probs[1] {
		kl += q * math.Log(q/probs[0][i])
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-5*(1+math.Abs(want)) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	near("KL", rows[0].kl, kl)
	near("nll", rows[0].nll, -math.Log(probs[0][77]))
	near("other nll", rows[0].other, -math.Log(probs[1][77]))
}

// TestStride: with a stride every token from the second on is scored once.
func TestStride(t *testing.T) {
	m := load(t, golden("tiny-llama"), kernels.F32)
	ids := testTokens(200+3*50, m.Decoder.Vocab)
	r, err := Perplexity(context.Background(), m, nil, ids, Options{Window: 200, Stride: 50, Mode: ModeHF}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Windows != 4 || r.Tokens != len(ids)-1 {
		t.Errorf("got %d windows, %d tokens; want 4 and %d", r.Windows, r.Tokens, len(ids)-1)
	}
	if _, err := Perplexity(context.Background(), m, nil, ids[:199], Options{Window: 200, Mode: ModeHF}, nil); !errors.Is(err, ErrShort) {
		t.Errorf("a short text: got %v", err)
	}
}
