// Package quality measures how well a model predicts text, and how far one
// model is from another.
package quality

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"armor/kernels"
	"armor/model"
	"armor/runtime"
)

// Mode is which tokens of a window are scored.
type Mode string

const (
	// ModeHF scores all but the first token of windows that do not overlap, or
	// with a stride the last Stride tokens of windows that do.
	ModeHF Mode = "hf"
	// ModeLlamaCPP scores the second half of each window, and begins each with
	// the BOS token where the model has one, as llama.cpp's perplexity tool does.
	ModeLlamaCPP Mode = "llamacpp"
)

// Options of a measurement.
type Options struct {
	Window  int // tokens
	Stride  int // ModeHF only; 0: Window
	Windows int // the first so many; 0: all
	Mode    Mode
	KV      runtime.KV // of the model, not of the other
	BOS     int32      // ModeLlamaCPP: put in place of each window's first token; -1: none
}

// Result of a measurement. Sums are in nats.
type Result struct {
	Windows int     `json:"windows"`
	Tokens  int     `json:"tokens"` // scored
	NLL     float64 `json:"nll"`    // mean over the scored tokens
	PPL     float64 `json:"ppl"`
	Error   float64 `json:"ppl_error"` // standard error of PPL over the tokens

	// Against another model, where one was given.
	Against *Against `json:"against,omitempty"`

	// WindowNLL is the sum over each window's scored tokens.
	WindowNLL    []float64 `json:"window_nll"`
	WindowTokens []int     `json:"window_tokens"`
	Seconds      float64   `json:"seconds"`
}

// Against compares with another model over the same tokens.
type Against struct {
	PPL        float64 `json:"ppl"`
	KL         float64 `json:"kl"`        // mean of KL(other ‖ this)
	KLError    float64 `json:"kl_error"`  // standard error over the tokens
	Top1       float64 `json:"top1"`      // share of tokens where the most likely agree
	Ratio      float64 `json:"ppl_ratio"` // this / other
	RatioError float64 `json:"ppl_ratio_error"`
}

// ErrShort is returned for a text that does not fill a window.
var ErrShort = errors.New("the text is too short")

// Perplexity runs m over the windows of ids, and other, if it is not nil, over
// the same windows. progress is called after each window.
func Perplexity(ctx context.Context, m, other *model.Model, ids []int32, o Options, progress func(done, all int, r *Result)) (*Result, error) {
	if o.Stride == 0 || o.Mode == ModeLlamaCPP {
		o.Stride = o.Window
	}
	if o.Window < 2 || o.Stride < 1 || o.Stride > o.Window {
		return nil, fmt.Errorf("windows of %d tokens every %d: want at least 2, and a stride of 1 to the window", o.Window, o.Stride)
	}
	n := (len(ids)-o.Window)/o.Stride + 1
	if len(ids) < o.Window {
		return nil, fmt.Errorf("%w: got %d tokens, want at least a window of %d", ErrShort, len(ids), o.Window)
	}
	if o.Windows > 0 {
		n = min(n, o.Windows)
	}
	runs := make([]*runner, 0, 2)
	for _, m := range []*model.Model{m, other} {
		if m != nil {
			kv := o.KV
			if len(runs) > 0 {
				kv = runtime.KVAuto
			}
			r, err := newRunner(m, kv, o.Window)
			if err != nil {
				return nil, err
			}
			runs = append(runs, r)
		}
	}
	begin := time.Now()
	sums := &sums{hasOther: other != nil}
	result := &Result{}
	for w := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		tokens := append([]int32{}, ids[w*o.Stride:][:o.Window]...)
		first := 1 // token that is scored first
		switch {
		case o.Mode == ModeLlamaCPP:
			first = o.Window/2 + 1
			if o.BOS >= 0 {
				tokens[0] = o.BOS
			}
		case w > 0:
			first = max(1, o.Window-o.Stride)
		}
		before := sums.nll
		if err := score(runs, tokens, first, sums); err != nil {
			return nil, err
		}
		result.WindowNLL = append(result.WindowNLL, sums.nll-before)
		result.WindowTokens = append(result.WindowTokens, o.Window-first)
		sums.result(result)
		result.Windows, result.Seconds = w+1, time.Since(begin).Seconds()
		if progress != nil {
			progress(w+1, n, result)
		}
	}
	return result, nil
}

// sums over all scored tokens.
type sums struct {
	n             int
	nll, nll2     float64
	other         float64
	ratio, ratio2 float64 // of nll − other's nll
	kl, kl2       float64
	agree         int
	hasOther      bool
}

func (s *sums) result(r *Result) {
	n := float64(s.n)
	r.Tokens, r.NLL = s.n, s.nll/n
	r.PPL = math.Exp(r.NLL)
	r.Error = r.PPL * standardError(s.nll, s.nll2, n)
	if s.hasOther {
		a := &Against{PPL: math.Exp(s.other / n), KL: s.kl / n, KLError: standardError(s.kl, s.kl2, n), Top1: float64(s.agree) / n}
		a.Ratio = math.Exp(s.ratio / n)
		a.RatioError = a.Ratio * standardError(s.ratio, s.ratio2, n)
		r.Against = a
	}
}

// standardError is that of a mean of n values with the given sums of values and
// of their squares.
func standardError(sum, squares, n float64) float64 {
	if n < 2 {
		return math.NaN()
	}
	mean := sum / n
	return math.Sqrt(max(0, squares/n-mean*mean) / (n - 1))
}

// chunkRows is how many rows of logits exist at a time.
const chunkRows = 128

// runner runs windows through one model.
type runner struct {
	m      *model.Model
	pass   kernels.Pass
	kv     kernels.KV
	logits kernels.Buf // [chunkRows, vocab]
	pages  []int32
}

func newRunner(m *model.Model, kv runtime.KV, window int) (*runner, error) {
	if window > m.Decoder.Context {
		return nil, fmt.Errorf("windows of %d tokens: the model's context is %d", window, m.Decoder.Context)
	}
	r := &runner{m: m}
	if err := m.Decoder.Prepare(m.Backend, chunkRows, window); err != nil {
		return nil, err
	}
	var err error
	if r.pass, err = m.Backend.NewPass(); err != nil {
		return nil, err
	}
	if r.kv, err = m.Backend.NewKV(m.Decoder.KVShape(kv.DType(m.Backend.Compute()))); err != nil {
		return nil, err
	}
	if r.logits, err = m.Backend.NewBuf(chunkRows, m.Decoder.Vocab); err != nil {
		return nil, err
	}
	n := kernels.PagesFor(window)
	for i := range n {
		r.pages = append(r.pages, int32(i))
	}
	return r, r.kv.Reserve(n)
}

// run computes rows from … to-1 of a window; logits are kept from row first on.
func (r *runner) run(tokens []int32, from, to, first int) error {
	b := kernels.Batch{Tokens: tokens[from:to], Seqs: []kernels.Span{{Rows: to - from, Pos: from, Pages: r.pages}}, KV: r.kv}
	for row := max(from, first); row < to; row++ {
		b.Out = append(b.Out, int32(row-from))
	}
	return r.m.Decoder.Forward(r.pass, &b, r.logits)
}

// score adds the tokens first … of a window to the sums.
func score(runs []*runner, tokens []int32, first int, s *sums) error {
	last := len(tokens) - 1 // row whose logits nothing is compared with
	for from := 0; from < last; from += chunkRows {
		to := min(from+chunkRows, last)
		for _, r := range runs {
			if err := r.run(tokens, from, to, first-1); err != nil {
				return err
			}
		}
		begin := max(from, first-1)
		if begin >= to {
			continue
		}
		rows, err := compare(runs, tokens[begin+1:to+1])
		if err != nil {
			return err
		}
		for _, row := range rows {
			s.add(row)
		}
	}
	return nil
}
