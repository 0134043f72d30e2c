// Package jinja renders chat templates as Jinja2 does in the way that Hugging
// Face transformers sets it up: an immutable sandbox with trim_blocks,
// lstrip_blocks, break and continue, {% generation %}, raise_exception,
// strftime_now and a tojson that is Python's json.dumps.
//
// A template comes with a model file and is not trusted. Everything it does is
// paid for out of two budgets, work and memory, so that no template runs for
// more than seconds; nothing it can name touches files or the network. Values
// are immutable but for namespaces, as in the sandbox.
//
// It has what chat templates use. Left out: raw, with and call blocks,
// inheritance, include and import, recursive loops, autoescape, * and ** in
// calls and as powers, % for strings, many filters and methods that no chat
// template was seen to use, integers beyond 64 bits but for passing through.
package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on a template and on one rendering.
const (
	MaxSource = 1 << 20  // bytes of source
	MaxOutput = 1 << 20  // bytes of the result, and of any string on the way
	MaxRange  = 100_000  // numbers in one range(), as in Jinja2's sandbox
	MaxDepth  = 100      // nesting in the source, macro calls, values in values
	maxName   = 256      // bytes of a name
	maxNested = 4000     // expressions and blocks being evaluated
	maxMemory = 64 << 20 // bytes made in all
	maxWork   = 1 << 28  // units: a byte looked at, 1/workNode of a node
	workNode  = 32       // units for one node of the template evaluated once
)

// Bytes that things cost besides their contents.
const (
	sizeValue = 16
	sizeSeq   = 80
	sizeDict  = 160
	sizeEntry = 96
	sizeScope = 320
)

// ErrLimit is wrapped by the errors of a template that exceeds a bound.
var ErrLimit = errors.New("template exceeds a limit")

// RaisedError is what a template reports with raise_exception.
type RaisedError struct{ Message string }

func (e *RaisedError) Error() string { return e.Message }

// Program is a compiled template, safe for concurrent use.
type Program struct {
	body  block
	words map[string]bool
}

// Compile parses a template.
func Compile(source string) (p *Program, err error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("%w: %d bytes of source, at most %d", ErrLimit, len(source), MaxSource)
	}
	if !utf8.ValidString(source) {
		return nil, errors.New("template is not UTF-8")
	}
	defer stop(&err)
	ps := parser{tokens: lex(source)}
	words := map[string]bool{}
	for _, t := range ps.tokens {
		if t.kind == tokName || t.kind == tokString {
			words[t.text] = true
		}
	}
	return &Program{ps.statements(), words}, nil
}

// Mentions reports whether the template has word as a name or as a whole
// string: what it never mentions it does not look up in a message.
func (p *Program) Mentions(word string) bool { return p.words[word] }

// Render runs the template. now is the time for strftime_now.
func (p *Program) Render(vars map[string]Value, now time.Time) (string, error) {
	m := newMachine()
	m.now = now
	return p.render(m, vars)
}

func (p *Program) render(m *machine, vars map[string]Value) (text string, err error) {
	defer func() {
		if err != nil && m.line > 0 {
			text, err = "", fmt.Errorf("template line %d: %w", m.line, err)
		}
	}()
	defer stop(&err)
	root := &scope{}
	for name, v := range vars {
		root.set(name, v)
	}
	p.body.run(m, root)
	return m.out.String(), nil
}

// failure carries an error up through parser and evaluator, where nearly every
// function can fail and none can go on.
type failure struct{ err error }

func failf(format string, a ...any) { panic(failure{fmt.Errorf(format, a...)}) }

// stop ends a failure, or any other panic, in an error.
func stop(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.err
	default:
		*err = fmt.Errorf("template: internal error: %v", r)
	}
}

// machine is the state of one rendering.
type machine struct {
	now    time.Time
	work   int // units left
	memory int // bytes left
	nested int // evaluations under way
	calls  int // macro calls under way
	line   int // of the statement under way
	out    *buffer
}

func newMachine() *machine {
	m := &machine{work: maxWork, memory: maxMemory}
	m.out = &buffer{m: m}
	return m
}

// spend pays for looking at n bytes or the like.
func (m *machine) spend(n int) {
	if n < 0 || n > m.work {
		failf("%w: too many steps", ErrLimit)
	}
	m.work -= n
}

// alloc pays for n bytes about to be made.
func (m *machine) alloc(n int) {
	m.spend(n)
	if n > m.memory {
		failf("%w: too much memory", ErrLimit)
	}
	m.memory -= n
}

// size pays for a string of n bytes about to be made.
func (m *machine) size(n int) {
	if n < 0 || n > MaxOutput {
		failf("%w: a text of more than %d bytes", ErrLimit, MaxOutput)
	}
	m.alloc(n)
}

// enter pays for one node and bounds the Go stack, whose overflow no recover
// catches; leave must follow.
func (m *machine) enter() {
	m.spend(workNode)
	if m.nested++; m.nested > maxNested {
		failf("%w: more than %d evaluations within one another", ErrLimit, maxNested)
	}
}

func (m *machine) leave() { m.nested-- }

// buffer collects text under the bounds.
type buffer struct {
	m *machine
	strings.Builder
}

func (b *buffer) add(s string) {
	if b.Len()+len(s) > MaxOutput {
		b.m.size(-1)
	}
	b.m.alloc(len(s))
	b.WriteString(s)
}

// capture runs a block and returns what it writes.
func (m *machine) capture(body block, s *scope) (string, jump) {
	saved := m.out
	m.out = &buffer{m: m}
	j := body.run(m, s)
	text := m.out.String()
	m.out = saved
	return text, j
}

// scope holds the variables of one block; its parent is where it stands in the
// source, which for a macro is where the macro was defined.
type scope struct {
	vars   map[string]Value // nil until the first is set
	parent *scope
}

func (s *scope) set(name string, v Value) {
	if s.vars == nil {
		s.vars = map[string]Value{}
	}
	s.vars[name] = v
}

func (s *scope) lookup(name string) (Value, bool) {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}
