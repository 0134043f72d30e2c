// Package runtime generates text: an Engine batches sequences into forward
// passes over a paged KV cache.
package runtime

import (
	"errors"
	"fmt"
	"slices"

	"armor/kernels"
	"armor/model"
	"armor/runtime/sample"
)

// Options are an Engine's limits; zero values are defaults.
type Options struct {
	Context int   // positions of a sequence: the model's, at most 8192
	Rows    int   // rows of one forward pass: 512
	Seqs    int   // sequences that run at once: 16
	KVBytes int64 // all pages: what Seqs full sequences need
	KV      KV
}

// Engine runs requests. It is for one goroutine.
type Engine struct {
	model   *model.Model
	pass    kernels.Pass
	pages   *pagePool
	logits  kernels.Buf // [Seqs, vocab]
	row     []float32   // [vocab]
	options Options

	waiting []*Sequence
	running []*Sequence // the oldest first
	batch   kernels.Batch
	stepped []*Sequence // the batch's sequences, in its order
}

// DefaultContext bounds the context unless a user asks for more.
const DefaultContext = 8192

// New makes an engine on a loaded model.
func New(m *model.Model, o Options) (*Engine, error) {
	if o.Context < 0 || o.Context > m.Decoder.Context {
		return nil, fmt.Errorf("context: got %d positions, want 1 to the model's %d", o.Context, m.Decoder.Context)
	}
	if o.Context == 0 {
		o.Context = min(m.Decoder.Context, DefaultContext)
	}
	if o.Rows == 0 {
		o.Rows = 512
	}
	if o.Seqs == 0 {
		o.Seqs = 16
	}
	e := &Engine{model: m, options: o, row: make([]float32, m.Decoder.Vocab)}
	kv, err := m.Backend.NewKV(m.Decoder.KVShape(o.KV.DType(m.Backend.Compute())))
	if err != nil {
		return nil, err
	}
	if o.KVBytes == 0 {
		o.KVBytes = int64(kernels.PagesFor(o.Context)) * int64(o.Seqs) * kv.PageBytes()
	}
	if e.pages, err = newPagePool(kv, o.KVBytes); err != nil {
		return nil, err
	}
	if e.logits, err = m.Backend.NewBuf(o.Seqs, m.Decoder.Vocab); err != nil {
		return nil, err
	}
	if err := m.Decoder.Prepare(m.Backend, o.Rows, o.Context); err != nil {
		return nil, err
	}
	if e.pass, err = m.Backend.NewPass(); err != nil {
		return nil, err
	}
	e.batch.KV = kv
	return e, nil
}

// Context is the longest sequence.
func (e *Engine) Context() int { return e.options.Context }

// Request asks for tokens after a prompt.
type Request struct {
	Prompt    []int32
	Sampling  sample.Params
	MaxTokens int              // 0: to the end of the context
	Stop      []int32          // tokens that end the sequence, not given to OnToken
	Logprobs  int              // with each token: this many alternatives, -1: no logprobs at all
	OnToken   func(Token) bool // called in Step; false ends the sequence
	Keep      bool             // the keys and values stay for Resume, until Free
}

// Token is one generated token.
type Token struct {
	ID     int32
	Chosen sample.Logprob   // where Logprobs was not -1
	Top    []sample.Logprob // the Logprobs most likely
}

// Reason says why a sequence ended.
type Reason string

const (
	ReasonStop    Reason = "stop"    // a stop token, or OnToken's false
	ReasonLength  Reason = "length"  // MaxTokens
	ReasonContext Reason = "context" // no position is left
	ReasonCancel  Reason = "cancel"
)

// Sequence is a request's state.
type Sequence struct {
	request Request
	sampler *sample.Sampler
	tokens  []int32 // prompt, then what was generated
	stored  int     // tokens whose keys and values are in pages
	next    int     // tokens of this step
	reused  int     // tokens of the prompt that were stored already
	pages   []int32
	reason  Reason
}

// Generated are the tokens after the prompt.
func (s *Sequence) Generated() []int32 { return s.tokens[len(s.request.Prompt):] }

// Reason is empty while the sequence runs.
func (s *Sequence) Reason() Reason { return s.reason }

// Prefilled says whether the whole prompt has been read.
func (s *Sequence) Prefilled() bool { return s.stored >= len(s.request.Prompt) }

// Reused is the number of the prompt's tokens that were not read again.
func (s *Sequence) Reused() int { return s.reused }

// ErrPrompt is wrapped by what Add returns for a prompt that cannot run.
var ErrPrompt = errors.New("prompt")

// Add queues a request.
func (e *Engine) Add(r Request) (*Sequence, error) {
	if err := e.check(&r); err != nil {
		return nil, err
	}
	s := &Sequence{}
	e.queue(s, r)
	return s, nil
}

func (e *Engine) check(r *Request) error {
	if len(r.Prompt) == 0 {
		return fmt.Errorf("%w: got no tokens, want at least one", ErrPrompt)
	}
	if len(r.Prompt) > e.options.Context {
		return fmt.Errorf("%w: got %d tokens, want at most the context of %d", ErrPrompt, len(r.Prompt), e.options.Context)
	}
	if kernels.PagesFor(len(r.Prompt)+1) > e.pages.limit {
		return fmt.Errorf("%w: %d tokens need more than all %d KV pages", ErrPrompt, len(r.Prompt), e.pages.limit)
	}
	for _, id := range r.Prompt {
		if id < 0 || int(id) >= e.model.Decoder.Vocab {
			return fmt.Errorf("%w: token %d is not in the vocabulary of %d", ErrPrompt, id, e.model.Decoder.Vocab)
		}
	}
	return r.Sampling.Check()
}

func (e *Engine) queue(s *Sequence, r Request) {
	s.request, s.reason, s.reused = r, "", s.stored
	s.sampler = sample.New(r.Sampling, r.Prompt)
	s.tokens = slices.Clone(r.Prompt)
	e.waiting = append(e.waiting, s)
}

// Resume runs another request on a sequence that ended with Keep: the tokens
// that both begin with are not read again, but for the last, whose logits are
// wanted.
func (e *Engine) Resume(s *Sequence, r Request) error {
	if s.reason == "" {
		return errors.New("the sequence is still running")
	}
	if err := e.check(&r); err != nil {
		return err
	}
	common := 0
	for common < min(s.stored, len(r.Prompt)-1) && s.tokens[common] == r.Prompt[common] {
		common++
	}
	s.stored = common
	e.queue(s, r)
	return nil
}

// Free gives back what a sequence with Keep holds.
func (e *Engine) Free(s *Sequence) {
	s.pages = e.pages.release(s.pages)
	s.stored = 0
}

// Cancel ends a sequence before the next Step.
func (e *Engine) Cancel(s *Sequence) {
	if s.reason == "" {
		e.finish(s, ReasonCancel)
	}
}

func (e *Engine) finish(s *Sequence, r Reason) {
	s.reason = r
	if !s.request.Keep {
		e.Free(s)
	}
	gone := func(o *Sequence) bool { return o == s }
	e.waiting = slices.DeleteFunc(e.waiting, gone)
	e.running = slices.DeleteFunc(e.running, gone)
}

// Step runs one forward pass over as many sequences as fit, and gives each that
// has read its prompt one more token. It reports whether there is more to do.
func (e *Engine) Step() (bool, error) {
	if err := e.schedule(); err != nil {
		return false, err
	}
	if len(e.stepped) == 0 {
		return false, nil
	}
	if err := e.model.Decoder.Forward(e.pass, &e.batch, e.logits); err != nil {
		return false, err
	}
	if err := e.advance(); err != nil {
		return false, err
	}
	return len(e.running)+len(e.waiting) > 0, nil
}

// advance samples a token for each sequence whose logits were computed.
func (e *Engine) advance() error {
	out := 0
	for _, s := range e.stepped {
		s.stored += s.next
		if s.stored < len(s.tokens) {
			continue // the prompt goes on in the next step
		}
		if err := e.model.Backend.Download(e.row, e.logits, out); err != nil {
			return err
		}
		out++
		e.accept(s, e.sample(s))
	}
	return nil
}

// sample chooses from the logits in row.
func (e *Engine) sample(s *Sequence) Token {
	n := s.request.Logprobs
	if n < 0 {
		return Token{ID: s.sampler.Next(e.row)}
	}
	raw := slices.Clone(e.row) // the sampler's penalties are not part of them
	t := Token{ID: s.sampler.Next(e.row)}
	t.Top, t.Chosen = sample.Logprobs(raw, n, t.ID)
	return t
}

func (e *Engine) accept(s *Sequence, t Token) {
	r := &s.request
	if slices.Contains(r.Stop, t.ID) {
		e.finish(s, ReasonStop)
		return
	}
	s.tokens = append(s.tokens, t.ID)
	switch {
	case r.OnToken != nil && !r.OnToken(t):
		e.finish(s, ReasonStop)
	case r.MaxTokens > 0 && len(s.Generated()) >= r.MaxTokens:
		e.finish(s, ReasonLength)
	case len(s.tokens) > e.options.Context:
		e.finish(s, ReasonContext)
	}
}
