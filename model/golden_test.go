package model_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/runtime/sample"
)

// goldenCase is one entry of testdata/golden/*logits.json, see make_golden.py.
type goldenCase struct {
	Model     string    `json:"model"`
	Prompt    string    `json:"prompt"`
	Text      string    `json:"text"`
	IDs       []int32   `json:"ids"`
	LogSumExp []float64 `json:"logsumexp"`
	Top       []struct {
		Pos    int       `json:"pos"`
		IDs    []int32   `json:"ids"`
		Logits []float64 `json:"logits"`
	} `json:"top"`
	Greedy []int32   `json:"greedy"`
	Margin []float64 `json:"greedy_margin"`
	Last   []float64 `json:"last_logits"`
}

func goldenCases(t *testing.T, file string) map[string][]goldenCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "golden", file))
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Cases []goldenCase `json:"cases"`
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	models := map[string][]goldenCase{}
	for _, c := range g.Cases {
		models[c.Model] = append(models[c.Model], c)
	}
	return models
}

// isas are the instruction sets to test; ARMOR_REQUIRE_ISA makes a missing one
// fail.
func isas(t *testing.T) []kernels.ISA {
	t.Helper()
	if need := os.Getenv("ARMOR_REQUIRE_ISA"); need != "" {
		for _, name := range strings.Split(need, ",") {
			if _, err := kernels.ParseISA(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all []kernels.ISA
	for i := kernels.Ref; i <= kernels.BestISA(); i++ {
		all = append(all, i)
	}
	return all
}

// engine runs batches on one model.
type engine struct {
	t      testing.TB
	m      *model.Model
	pass   kernels.Pass
	kv     kernels.KV
	logits kernels.Buf
}

const testRows, testPositions = 512, 512

func newEngine(t testing.TB, path string, o kernels.Options) *engine {
	t.Helper()
	return newEngineWith(t, path, o, model.Options{})
}

func newEngineWith(t testing.TB, path string, o kernels.Options, mo model.Options) *engine {
	t.Helper()
	b, err := kernels.NewCPU(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(path, b, mo)
	if err != nil {
		t.Fatal(err)
	}
	return engineOf(t, m, o)
}

// engineOf makes an engine of a model that is loaded.
func engineOf(t testing.TB, m *model.Model, o kernels.Options) *engine {
	t.Helper()
	var err error
	e, b := &engine{t: t, m: m}, m.Backend
	if err := m.Decoder.Prepare(b, testRows, testPositions); err != nil {
		t.Fatal(err)
	}
	if e.kv, err = b.NewKV(m.Decoder.KVShape(o.Compute)); err != nil {
		t.Fatal(err)
	}
	if e.logits, err = b.NewBuf(testRows, m.Decoder.Vocab); err != nil {
		t.Fatal(err)
	}
	if e.pass, err = b.NewPass(); err != nil {
		t.Fatal(err)
	}
	return e
}

// run does one step and returns the logits of b.Out.
func (e *engine) run(b *kernels.Batch) [][]float32 {
	e.t.Helper()
	b.KV = e.kv
	if err := e.m.Decoder.Forward(e.pass, b, e.logits); err != nil {
		e.t.Fatal(err)
	}
	out := make([][]float32, len(b.Out))
	for i := range out {
		out[i] = make([]float32, e.m.Decoder.Vocab)
		if err := e.m.Backend.Download(out[i], e.logits, i); err != nil {
			e.t.Fatal(err)
		}
	}
	return out
}

// pages are those of a single sequence of n positions, in no tidy order.
func (e *engine) pages(n int) []int32 {
	e.t.Helper()
	count := kernels.PagesFor(n)
	if err := e.kv.Reserve(count); err != nil {
		e.t.Fatal(err)
	}
	pages := make([]int32, count)
	for i := range pages {
		pages[i] = int32(count - 1 - i)
	}
	return pages
}

func all(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

func TestGoldenTiny(t *testing.T) {
	for name, cases := range goldenCases(t, "tiny_logits.json") {
		for _, isa := range isas(t) {
			t.Run(fmt.Sprintf("%s/%v", name, isa), func(t *testing.T) {
				e := newEngine(t, filepath.Join("..", "testdata", "golden", name), kernels.Options{ISA: isa, Threads: 2})
				worst := 0.0
				for _, c := range cases {
					worst = max(worst, e.golden(&c, 1e-4))
				}
				t.Logf("largest difference of a logit: %.3g", worst)
			})
		}
	}
}

func TestGoldenReal(t *testing.T) {
	for name, cases := range goldenCases(t, "logits.json") {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, realModel(t, name), kernels.Options{ISA: kernels.BestISA()})
			worst := 0.0
			for _, c := range cases {
				worst = max(worst, e.golden(&c, 2e-3))
			}
			t.Logf("largest difference of a logit: %.3g", worst)
		})
	}
}

// realModel is a folder that get_models.py wrote into ARMOR_MODELS.
func realModel(t testing.TB, name string) string {
	t.Helper()
	models := os.Getenv("ARMOR_MODELS")
	if models == "" {
		t.Skip("set ARMOR_MODELS to test with real models")
	}
	return filepath.Join(models, name)
}

// golden compares all that a case holds and returns the largest difference.
func (e *engine) golden(c *goldenCase, bound float64) float64 {
	e.t.Helper()
	n := len(c.IDs)
	pages := e.pages(n + len(c.Greedy))
	logits := e.run(&kernels.Batch{Tokens: c.IDs, Seqs: []kernels.Span{{Rows: n, Pages: pages}}, Out: all(n)})
	worst := 0.0
	check := func(what string, got, want float64) {
		e.t.Helper()
		diff := math.Abs(got - want)
		worst = max(worst, diff)
		// The file has six significant digits.
		if !(diff <= bound+5e-6*math.Abs(want)) {
			e.t.Errorf("%s, %s: got %v, want %v ± %v", c.Prompt, what, got, want, bound)
		}
	}
	for i, want := range c.LogSumExp {
		check(fmt.Sprintf("logsumexp at %d", i), logSumExp(logits[i]), want)
	}
	for _, top := range c.Top {
		for i, id := range top.IDs {
			check(fmt.Sprintf("logit %d at %d", id, top.Pos), float64(logits[top.Pos][id]), top.Logits[i])
		}
	}
	for id, want := range c.Last {
		check(fmt.Sprintf("logit %d at the end", id), float64(logits[n-1][id]), want)
	}
	last := logits[n-1]
	for i, want := range c.Greedy {
		got := sample.Argmax(last)
		if got != want {
			e.t.Errorf("%s, greedy token %d: got %d, want %d (margin %v)", c.Prompt, i, got, want, c.Margin[i])
			break
		}
		if i < len(c.Greedy)-1 {
			b := kernels.Batch{Tokens: []int32{got}, Seqs: []kernels.Span{{Rows: 1, Pos: n + i, Pages: pages}}, Out: []int32{0}}
			last = e.run(&b)[0]
		}
	}
	return worst
}

func logSumExp(x []float32) float64 {
	m := float64(x[sample.Argmax(x)])
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - m)
	}
	return m + math.Log(sum)
}

// TestGoldenBF16 takes the golden tokens one by one, so that a near tie does
// not end the comparison: wherever the margin exceeds 0.1, the choice agrees.
func TestGoldenBF16(t *testing.T) {
	for name, cases := range goldenCases(t, "logits.json") {
		t.Run(name, func(t *testing.T) {
			path := realModel(t, name)
			for _, isa := range isas(t)[1:] {
				e := newEngine(t, path, kernels.Options{ISA: isa, Compute: kernels.BF16})
				for _, c := range cases {
					e.goldenBF16(&c)
				}
			}
		})
	}
}

func (e *engine) goldenBF16(c *goldenCase) {
	e.t.Helper()
	tokens := append(append([]int32{}, c.IDs...), c.Greedy[:len(c.Greedy)-1]...)
	out := all(len(tokens))[len(c.IDs)-1:]
	logits := e.run(&kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: len(tokens), Pages: e.pages(len(tokens))}}, Out: out})
	for i, want := range c.Greedy {
		if got := sample.Argmax(logits[i]); got != want && c.Margin[i] > 0.1 {
			e.t.Errorf("%s, %s, greedy token %d: got %d, want %d (margin %v)", e.m.Backend.Name(), c.Prompt, i, got, want, c.Margin[i])
		}
	}
}
