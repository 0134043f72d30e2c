package runtime_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/tokenizer"
	"armor/runtime"
	"armor/runtime/sample"
)

func load(t testing.TB, name string) *model.Model {
	t.Helper()
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Compute: kernels.BF16, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, err := model.Load(filepath.Join("..", "testdata", "golden", name), b, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newEngine(t testing.TB, m *model.Model, o runtime.Options) *runtime.Engine {
	t.Helper()
	e, err := runtime.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func drain(t testing.TB, e *runtime.Engine) int {
	t.Helper()
	for steps := 1; ; steps++ {
		more, err := e.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return steps
		}
		if steps > 100000 {
			t.Fatal("the engine does not end")
		}
	}
}

func request(rng *rand.Rand, vocab int) runtime.Request {
	r := runtime.Request{
		Prompt:    make([]int32, 1+rng.IntN(90)),
		Sampling:  sample.Params{Temperature: 1, TopK: 50, Seed: rng.Uint64()},
		MaxTokens: 1 + rng.IntN(60),
		Logprobs:  -1,
	}
	for i := range r.Prompt {
		r.Prompt[i] = int32(rng.IntN(vocab))
	}
	return r
}

// TestBatch runs sequences of different lengths at once, some joining late and
// with too few pages for all: each gets the tokens it gets alone.
func TestBatch(t *testing.T) {
	for _, kv := range []runtime.KV{runtime.KVAuto, runtime.KVInt8} {
		t.Run(kv.String(), func(t *testing.T) { testBatch(t, kv) })
	}
}

func testBatch(t *testing.T, kv runtime.KV) {
	m := load(t, "tiny-llama")
	rng := rand.New(rand.NewPCG(1, 2))
	var requests []runtime.Request
	var want [][]int32
	alone := newEngine(t, m, runtime.Options{Seqs: 1, KV: kv})
	for range 20 {
		r := request(rng, m.Decoder.Vocab)
		requests = append(requests, r)
		s, err := alone.Add(r)
		if err != nil {
			t.Fatal(err)
		}
		drain(t, alone)
		if len(s.Generated()) != r.MaxTokens || s.Reason() != runtime.ReasonLength {
			t.Fatalf("alone: %d tokens, %q; want %d", len(s.Generated()), s.Reason(), r.MaxTokens)
		}
		want = append(want, slices.Clone(s.Generated()))
	}
	pageBytes := int64(kernels.PageTokens * 2 * m.Decoder.KVHeads * m.Decoder.HeadDim * 2 * m.Decoder.Config.Layers)
	for name, o := range map[string]runtime.Options{
		"roomy":     {},
		"few rows":  {Rows: 13, Seqs: 5},
		"few pages": {KVBytes: 14 * pageBytes, Seqs: 6, Rows: 40},
	} {
		t.Run(name, func(t *testing.T) {
			o.KV = kv
			e := newEngine(t, m, o)
			var seqs []*runtime.Sequence
			for i, r := range requests {
				s, err := e.Add(r)
				if err != nil {
					t.Fatal(err)
				}
				seqs = append(seqs, s)
				if i%3 == 0 {
					if _, err := e.Step(); err != nil {
						t.Fatal(err)
					}
				}
			}
			drain(t, e)
			for i, s := range seqs {
				if !slices.Equal(s.Generated(), want[i]) {
					t.Errorf("sequence %d: got %v, alone %v", i, s.Generated(), want[i])
				}
			}
		})
	}
}

// TestPagesExhausted: a sequence that outgrows all pages ends and says why.
func TestPagesExhausted(t *testing.T) {
	m := load(t, "tiny-llama")
	pageBytes := int64(kernels.PageTokens * 2 * m.Decoder.KVHeads * m.Decoder.HeadDim * 2 * m.Decoder.Config.Layers)
	e := newEngine(t, m, runtime.Options{KVBytes: 3 * pageBytes})
	s, err := e.Add(runtime.Request{Prompt: []int32{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, e)
	// The last token's own position is never stored.
	if got := 3 + len(s.Generated()); s.Reason() != runtime.ReasonContext || got != 3*kernels.PageTokens+1 {
		t.Errorf("got %d tokens, %q", got, s.Reason())
	}
}

func TestContext(t *testing.T) {
	m := load(t, "tiny-llama")
	e := newEngine(t, m, runtime.Options{Context: 40})
	s, err := e.Add(runtime.Request{Prompt: []int32{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, e)
	if got := 3 + len(s.Generated()); s.Reason() != runtime.ReasonContext || got != 41 {
		t.Errorf("got %d tokens, %q; want 41 and %q", got, s.Reason(), runtime.ReasonContext)
	}
	for _, prompt := range [][]int32{nil, make([]int32, 41), {-1}, {int32(m.Decoder.Vocab)}} {
		if _, err := e.Add(runtime.Request{Prompt: prompt}); !errors.Is(err, runtime.ErrPrompt) {
			t.Errorf("prompt of %d tokens: got %v", len(prompt), err)
		}
	}
	if _, err := runtime.New(m, runtime.Options{Context: m.Decoder.Context + 1}); err == nil {
		t.Error("a context beyond the model's was accepted")
	}
}

// generate runs greedily and returns the text.
func generate(t *testing.T, e *runtime.Engine, m *model.Model, g runtime.Generation) (string, runtime.Result) {
	t.Helper()
	g.Prompt = m.Tokenizer.Encode("The capital of France is", tokenizer.Options{})
	g.IgnoreEOS = true
	var out strings.Builder
	r, err := e.Generate(context.Background(), g, func(s string) error {
		out.WriteString(s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), r
}

func TestGenerateStops(t *testing.T) {
	m := load(t, "tiny-qwen2")
	e := newEngine(t, m, runtime.Options{})
	whole, r := generate(t, e, m, runtime.Generation{MaxTokens: 60})
	if len(r.Tokens) != 60 || r.Reason != runtime.ReasonLength || whole != m.Tokenizer.Decode(r.IDs(), true) {
		t.Fatalf("got %d tokens, %q, %q", len(r.Tokens), r.Reason, whole)
	}
	runes := []rune(whole)
	for from := 0; from+3 < len(runes); from += 7 {
		stop := string(runes[from : from+3])
		got, r := generate(t, e, m, runtime.Generation{MaxTokens: 60, Stop: []string{"never in it", stop}})
		want, _, _ := strings.Cut(whole, stop)
		if got != want || r.Reason != runtime.ReasonStop {
			t.Errorf("stop %q: got %q, %q; want %q", stop, got, r.Reason, want)
		}
	}
}

func TestGenerateCancel(t *testing.T) {
	m := load(t, "tiny-qwen2")
	e := newEngine(t, m, runtime.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	r, err := e.Generate(ctx, runtime.Generation{Prompt: []int32{1, 2}, IgnoreEOS: true}, func(string) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	if err != nil || r.Reason != runtime.ReasonCancel || len(r.Tokens) == 0 {
		t.Errorf("got %v, %+v", err, r)
	}
	boom := errors.New("the pipe is closed")
	if _, err := e.Generate(context.Background(), runtime.Generation{Prompt: []int32{1, 2}, IgnoreEOS: true}, func(string) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
}

// TestConversation: what a conversation has read already is not read again, and
// changes nothing.
func TestConversation(t *testing.T) {
	m := load(t, "tiny-qwen3")
	e := newEngine(t, m, runtime.Options{})
	quiet := func(string) error { return nil }
	var c runtime.Conversation
	prompt := []int32{1, 2, 3, 4, 5}
	for turn := range 10 {
		g := runtime.Generation{Prompt: prompt, MaxTokens: 7, IgnoreEOS: true, Logprobs: 2}
		got, err := e.Continue(context.Background(), &c, g, quiet)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := e.Generate(context.Background(), g, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.IDs(), fresh.IDs()) || got.Tokens[0].Chosen != fresh.Tokens[0].Chosen || len(got.Tokens[0].Top) != 2 {
			t.Fatalf("turn %d: got %v, without the conversation %v", turn, got.Tokens, fresh.Tokens)
		}
		// All but the last generated token, which was never read, is known.
		if want := len(prompt) - 4; turn > 0 && got.Reused != want {
			t.Errorf("turn %d: %d of %d tokens reused, want %d", turn, got.Reused, len(prompt), want)
		}
		prompt = append(slices.Concat(prompt, got.IDs()), 7, int32(turn), 9)
	}
	// A prompt that parts earlier is read from there on.
	g := runtime.Generation{Prompt: append(slices.Clone(prompt[:20]), 400), MaxTokens: 3, IgnoreEOS: true}
	if r, err := e.Continue(context.Background(), &c, g, quiet); err != nil || r.Reused != 20 {
		t.Errorf("got %v, %d tokens reused, want 20", err, r.Reused)
	}
	e.End(&c)
	if r, err := e.Continue(context.Background(), &c, g, quiet); err != nil || r.Reused != 0 {
		t.Errorf("after End: got %v, %d tokens reused, want 0", err, r.Reused)
	}
}
