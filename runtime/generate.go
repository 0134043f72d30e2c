package runtime

import (
	"context"
	"strings"
	"time"

	"armor/model/tokenizer"
	"armor/runtime/sample"
)

// Generation asks for text after a prompt.
type Generation struct {
	Prompt    []int32
	Sampling  sample.Params
	MaxTokens int      // 0: to the end of the context
	Stop      []string // strings that end the text; they are not part of it
	IgnoreEOS bool
	Logprobs  int // as in Request
}

// Result is what a generation came to.
type Result struct {
	Tokens  []Token
	Reason  Reason
	Prompt  int           // tokens of the prompt
	Reused  int           // of them, those that were known already
	Prefill time.Duration // until the first token
	Decode  time.Duration // from the first token to the last
}

// IDs are the generated tokens.
func (r *Result) IDs() []int32 {
	ids := make([]int32, len(r.Tokens))
	for i, t := range r.Tokens {
		ids[i] = t.ID
	}
	return ids
}

// Generate writes text piece by piece as it becomes certain. A cancelled
// context ends it with ReasonCancel and no error.
func (e *Engine) Generate(ctx context.Context, g Generation, emit func(text string) error) (Result, error) {
	var c Conversation
	defer e.End(&c)
	return e.Continue(ctx, &c, g, emit)
}

// Conversation is one sequence over several generations: each reads only the
// tokens of its prompt that the sequence does not begin with already.
type Conversation struct{ seq *Sequence }

// Continue is Generate within a conversation.
func (e *Engine) Continue(ctx context.Context, c *Conversation, g Generation, emit func(text string) error) (Result, error) {
	out := &textOut{decoder: e.model.Tokenizer.NewDecoder(true), stop: stopper{stops: g.Stop}, emit: emit}
	r := Request{Prompt: g.Prompt, Sampling: g.Sampling, MaxTokens: g.MaxTokens, Logprobs: g.Logprobs, OnToken: out.token, Keep: true}
	if !g.IgnoreEOS {
		r.Stop = e.model.Generation.Stop
	}
	var err error
	if c.seq == nil {
		c.seq, err = e.Add(r)
	} else {
		err = e.Resume(c.seq, r)
	}
	if err != nil {
		return Result{}, err
	}
	result := Result{Prompt: len(g.Prompt)}
	begin := time.Now()
	for more := true; more; {
		if ctx.Err() != nil {
			e.Cancel(c.seq)
			break
		}
		if more, err = e.Step(); err != nil {
			e.Cancel(c.seq)
			return result, err
		}
		if result.Prefill == 0 && c.seq.Prefilled() {
			result.Prefill = time.Since(begin)
		}
	}
	result.Decode = time.Since(begin) - result.Prefill
	result.Tokens, result.Reason, result.Reused = out.tokens, c.seq.Reason(), c.seq.Reused()
	out.flush()
	return result, out.err
}

// End frees what a conversation holds.
func (e *Engine) End(c *Conversation) {
	if c.seq != nil {
		e.Free(c.seq)
		c.seq = nil
	}
}

// textOut turns tokens into text and watches for stop strings.
type textOut struct {
	decoder *tokenizer.Decoder
	stop    stopper
	emit    func(string) error
	tokens  []Token
	err     error
}

func (o *textOut) token(t Token) bool {
	o.tokens = append(o.tokens, t)
	text, stopped := o.stop.next(o.decoder.Next(t.ID))
	o.write(text)
	return !stopped && o.err == nil
}

func (o *textOut) flush() {
	text, stopped := o.stop.next(o.decoder.Flush())
	if !stopped {
		text += o.stop.rest()
	}
	o.write(text)
}

func (o *textOut) write(text string) {
	if text != "" && o.err == nil {
		o.err = o.emit(text)
	}
}

// stopper finds stop strings in a stream of text, however it is cut, and holds
// back what may be the beginning of one.
type stopper struct {
	stops []string
	held  string
	done  bool
}

// next takes more text and returns what is certain; stopped is set once a stop
// string was found, and nothing follows then.
func (s *stopper) next(text string) (certain string, stopped bool) {
	if s.done {
		return "", true
	}
	s.held += text
	first := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); stop != "" && i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		s.done = true
		certain, s.held = s.held[:first], ""
		return certain, true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > keep; n-- {
			if strings.HasSuffix(s.held, stop[:n]) {
				keep = n
			}
		}
	}
	certain, s.held = s.held[:len(s.held)-keep], s.held[len(s.held)-keep:]
	return certain, false
}

func (s *stopper) rest() string {
	text := s.held
	s.held = ""
	return text
}
