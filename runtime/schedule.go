package runtime

import (
	"slices"

	"armor/kernels"
)

// schedule fills the batch: first one row for each sequence that generates,
// then prompts, the oldest first, as far as rows and pages go.
func (e *Engine) schedule() error {
	e.admit()
	b := &e.batch
	b.Tokens, b.Seqs, b.Out, e.stepped = b.Tokens[:0], b.Seqs[:0], b.Out[:0], e.stepped[:0]
	rows := e.options.Rows
	for _, prompts := range []bool{false, true} {
		for i := 0; i < len(e.running); i++ {
			s := e.running[i]
			left := len(s.tokens) - s.stored
			if n := min(left, rows); n > 0 && left > 1 == prompts {
				ok, err := e.place(s, n)
				if err != nil {
					return err
				}
				if ok {
					rows -= n
				}
			}
		}
	}
	return nil
}

// admit moves waiting sequences to the running ones while there is room for
// their next tokens.
func (e *Engine) admit() {
	for len(e.waiting) > 0 && len(e.running) < e.options.Seqs {
		s := e.waiting[0]
		if !e.pages.canAllocate(kernels.PagesFor(len(s.tokens) + 1)) {
			return
		}
		e.waiting = e.waiting[1:]
		e.running = append(e.running, s)
	}
}

// place puts n more tokens of s into the batch, taking pages from the youngest
// sequences if need be. It reports whether s found room.
func (e *Engine) place(s *Sequence, n int) (bool, error) {
	for !e.pages.canAllocate(kernels.PagesFor(s.stored+n) - len(s.pages)) {
		youngest := e.running[len(e.running)-1]
		if len(e.running) == 1 { // all pages are not enough
			e.finish(s, ReasonContext)
			return false, nil
		}
		if slices.Contains(e.stepped, youngest) {
			return false, nil // s waits until that one has ended
		}
		e.preempt(youngest)
		if youngest == s {
			return false, nil
		}
	}
	var err error
	if s.pages, err = e.pages.allocate(s.pages, s.stored+n); err != nil {
		return false, err
	}
	b := &e.batch
	s.next = n
	b.Seqs = append(b.Seqs, kernels.Span{Rows: n, Pos: s.stored, Pages: s.pages})
	b.Tokens = append(b.Tokens, s.tokens[s.stored:s.stored+n]...)
	if s.stored+n == len(s.tokens) {
		b.Out = append(b.Out, int32(len(b.Tokens)-1))
	}
	e.stepped = append(e.stepped, s)
	return true, nil
}

// preempt takes the youngest sequence's pages; it reads its tokens again later.
func (e *Engine) preempt(s *Sequence) {
	e.running = e.running[:len(e.running)-1]
	s.pages = e.pages.release(s.pages)
	s.stored = 0
	e.waiting = append([]*Sequence{s}, e.waiting...)
}
