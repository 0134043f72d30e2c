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
}

// Result is what a generation came to.
type Result struct {
	Tokens  []int32
	Reason  Reason
	Prompt  int           // tokens of the prompt
	Prefill time.Duration // until the first token
	Decode  time.Duration // from the first token to the last
}

// Generate writes text piece by piece as it becomes certain. A cancelled
// context ends it with ReasonCancel and no error.
func (e *Engine) Generate(ctx context.Context, g Generation, emit func(text string) error) (Result, error) {
	out := &textOut{decoder: e.model.Tokenizer.NewDecoder(true), stop: stopper{stops: g.Stop}, emit: emit}
	r := Request{Prompt: g.Prompt, Sampling: g.Sampling, MaxTokens: g.MaxTokens, OnToken: out.token}
	if !g.IgnoreEOS {
		r.Stop = e.model.Generation.Stop
	}
	s, err := e.Add(r)
	if err != nil {
		return Result{}, err
	}
	result := Result{Prompt: len(g.Prompt)}
	begin := time.Now()
	for more := true; more; {
		if ctx.Err() != nil {
			e.Cancel(s)
			break
		}
		if more, err = e.Step(); err != nil {
			e.Cancel(s)
			return result, err
		}
		if result.Prefill == 0 && s.Prefilled() {
			result.Prefill = time.Since(begin)
		}
	}
	result.Decode = time.Since(begin) - result.Prefill
	result.Tokens, result.Reason = s.Generated(), s.Reason()
	out.flush()
	return result, out.err
}

// textOut turns tokens into text and watches for stop strings.
type textOut struct {
	decoder *tokenizer.Decoder
	stop    stopper
	emit    func(string) error
	err     error
}

func (o *textOut) token(id int32) bool {
	text, stopped := o.stop.next(o.decoder.Next(id))
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
