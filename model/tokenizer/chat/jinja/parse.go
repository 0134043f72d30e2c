package jinja

import (
	"fmt"
	"slices"
)

// A template is compiled into functions.
type (
	stmt  func(m *machine, s *scope) jump
	block []stmt
	expr  func(m *machine, s *scope) Value
)

// jump says how a statement left its block.
type jump uint8

const (
	jumpNone jump = iota
	jumpBreak
	jumpContinue
)

func (b block) run(m *machine, s *scope) jump {
	m.enter()
	for _, st := range b {
		if j := st(m, s); j != jumpNone {
			m.leave()
			return j
		}
	}
	m.leave()
	return jumpNone
}

func (e expr) eval(m *machine, s *scope) Value {
	m.enter()
	v := e(m, s)
	m.leave()
	return v
}

// parser is a recursive descent over the tokens, rule by rule as in
// jinja2/parser.py.
type parser struct {
	tokens []token
	pos    int
	depth  int // of expressions and blocks
	loops  int // for blocks around, within the innermost macro
}

func (p *parser) fail(format string, a ...any) {
	failf("template line %d: %w", p.peek().line, fmt.Errorf(format, a...))
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (p *parser) is(kind tokenKind, texts ...string) bool {
	t := p.peek()
	return t.kind == kind && slices.Contains(texts, t.text)
}

func (p *parser) skip(kind tokenKind, text string) bool {
	if p.is(kind, text) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) skipOp(text string) bool   { return p.skip(tokOp, text) }
func (p *parser) skipName(text string) bool { return p.skip(tokName, text) }

// expect reads a token of that kind, and of that text unless it is "".
func (p *parser) expect(kind tokenKind, text string) string {
	if t := p.peek(); t.kind != kind || text != "" && t.text != text {
		what := text
		if text == "" {
			what = map[tokenKind]string{tokName: "name", tokPrintEnd: "}}", tokBlockEnd: "%}"}[kind]
		}
		p.fail("expected %s, got %s", what, p.found())
	}
	return p.next().text
}

// found describes the next token for an error.
func (p *parser) found() string {
	switch t := p.peek(); {
	case t.kind == tokEOF:
		return "the end of the template"
	case t.kind == tokPrintEnd || t.kind == tokBlockEnd:
		return "the end of the tag"
	default:
		return fmt.Sprintf("%.40q", t.text)
	}
}

// nest counts one level of recursion until the returned function is called.
func (p *parser) nest() func() {
	if p.depth++; p.depth > MaxDepth {
		p.fail("%w: source nested more than %d deep", ErrLimit, MaxDepth)
	}
	return func() { p.depth-- }
}

// statements reads up to a tag named in ends, leaving its name to be read, or
// without ends up to the end of the template.
func (p *parser) statements(ends ...string) block {
	defer p.nest()()
	var body block
	for {
		t := p.next()
		switch t.kind {
		case tokData:
			body = append(body, func(m *machine, _ *scope) jump { m.out.add(t.text); return jumpNone })
		case tokPrint:
			value := p.tuple(p.expression)
			p.expect(tokPrintEnd, "")
			body = append(body, func(m *machine, s *scope) jump {
				m.line = t.line
				m.out.add(m.text(value.eval(m, s)))
				return jumpNone
			})
		case tokBlock:
			if p.is(tokName, ends...) {
				return body
			}
			line, st := p.peek().line, p.statement()
			body = append(body, func(m *machine, s *scope) jump { m.line = line; return st(m, s) })
		default: // the end; nothing else stands between tags
			if len(ends) > 0 {
				p.fail("unexpected end of the template, expected %s", ends[len(ends)-1])
			}
			return body
		}
	}
}

// body reads the end of a tag, a block and the tag that ends it.
func (p *parser) body(end string) block {
	p.expect(tokBlockEnd, "")
	b := p.statements(end)
	p.next()
	p.expect(tokBlockEnd, "")
	return b
}

// closedBody is a body that break and continue cannot leave.
func (p *parser) closedBody(end string) block {
	loops := p.loops
	p.loops = 0
	b := p.body(end)
	p.loops = loops
	return b
}

func (p *parser) statement() stmt {
	switch tag := p.expect(tokName, ""); tag {
	case "if":
		return p.ifTag()
	case "for":
		return p.forTag()
	case "set":
		return p.setTag()
	case "macro":
		return p.macroTag()
	case "filter":
		value, body := p.filterChain(blockText, true), p.body("endfilter")
		return func(m *machine, s *scope) jump {
			text, j := m.capture(body, &scope{parent: s})
			m.out.add(m.text(value.eval(m, textScope(s, text))))
			return j
		}
	case "generation": // marks what the assistant said; a scope of its own
		body := p.closedBody("endgeneration")
		return func(m *machine, s *scope) jump { return body.run(m, &scope{parent: s}) }
	case "break", "continue":
		if p.loops == 0 {
			p.fail("%s outside of a loop", tag)
		}
		p.expect(tokBlockEnd, "")
		j := jumpBreak
		if tag == "continue" {
			j = jumpContinue
		}
		return func(*machine, *scope) jump { return j }
	default:
		p.fail("tag %.40q is not known here", tag)
		return nil
	}
}

// blockText is the text of a block within its filters.
var blockText expr = func(m *machine, s *scope) Value { v, _ := s.lookup("{%"); return v }

func textScope(s *scope, text string) *scope {
	return &scope{vars: map[string]Value{"{%": text}, parent: s}
}

// ifTag reads behind "if" or "elif".
func (p *parser) ifTag() stmt {
	defer p.nest()()
	cond := p.tuple(p.or)
	p.expect(tokBlockEnd, "")
	then := p.statements("elif", "else", "endif")
	var otherwise block
	switch p.next().text {
	case "elif":
		otherwise = block{p.ifTag()}
	case "else":
		otherwise = p.body("endif")
	default:
		p.expect(tokBlockEnd, "")
	}
	return func(m *machine, s *scope) jump {
		if truth(cond.eval(m, s)) {
			return then.run(m, s)
		}
		return otherwise.run(m, s)
	}
}

func (p *parser) forTag() stmt {
	target := p.target()
	p.expect(tokName, "in")
	over := p.tuple(p.or)
	var where expr
	if p.skipName("if") {
		where = p.expression()
	}
	p.expect(tokBlockEnd, "")
	p.loops++
	body := p.statements("else", "endfor")
	p.loops--
	var otherwise block
	if p.next().text == "else" {
		otherwise = p.body("endfor")
	} else {
		p.expect(tokBlockEnd, "")
	}
	return func(m *machine, s *scope) jump {
		items := m.iterate(over.eval(m, s))
		if where != nil {
			items = m.keep(items, func(v Value) bool {
				inner := &scope{parent: s}
				target(m, inner, v)
				return truth(where.eval(m, inner))
			})
		}
		if len(items) == 0 {
			return otherwise.run(m, &scope{parent: s})
		}
		m.alloc(sizeSeq)
		loop := &loopState{items: items}
		for i, v := range items {
			loop.index = i
			inner := &scope{vars: map[string]Value{"loop": loop}, parent: s}
			target(m, inner, v)
			if body.run(m, inner) == jumpBreak {
				break
			}
		}
		return jumpNone
	}
}

func (p *parser) setTag() stmt {
	target := p.target()
	if p.skipOp("=") {
		value := p.tuple(p.expression)
		p.expect(tokBlockEnd, "")
		return func(m *machine, s *scope) jump {
			target(m, s, value.eval(m, s))
			return jumpNone
		}
	}
	value, body := p.filterChain(blockText, false), p.body("endset")
	return func(m *machine, s *scope) jump {
		text, j := m.capture(body, &scope{parent: s})
		target(m, s, value.eval(m, textScope(s, text)))
		return j
	}
}

// macroTag reads a macro. Its scope is the one around its definition, by
// reference, so it may call itself; m.calls bounds that.
func (p *parser) macroTag() stmt {
	name := p.expect(tokName, "")
	var params []string
	var defaults []expr
	p.expect(tokOp, "(")
	p.list(")", func() {
		params = append(params, p.expect(tokName, ""))
		if p.skipOp("=") {
			defaults = append(defaults, p.expression())
		} else if len(defaults) > 0 {
			p.fail("a parameter without default follows one with a default")
		}
	})
	body := p.closedBody("endmacro")
	call := func(m *machine, s *scope, a *arguments) Value {
		if m.calls++; m.calls > MaxDepth {
			failf("%w: more than %d macro calls within one another", ErrLimit, MaxDepth)
		}
		line, inner := m.line, &scope{parent: s}
		for i, param := range params {
			v, ok := a.take(param)
			if d := i - len(params) + len(defaults); !ok && d >= 0 {
				v = defaults[d].eval(m, inner)
			} else if !ok {
				v = undefined{"there is no argument for ", param}
			}
			inner.set(param, v)
		}
		a.end(name)
		text, _ := m.capture(body, inner)
		m.line = line
		m.calls--
		return text
	}
	return func(m *machine, s *scope) jump {
		for around := s; around != nil; around = around.parent {
			m.alloc(sizeScope) // the macro keeps it
		}
		s.set(name, &function{func(m *machine, a *arguments) Value { return call(m, s, a) }})
		return jumpNone
	}
}

// target reads what can be assigned to: a name, ns.name, or several of them.
func (p *parser) target() func(*machine, *scope, Value) {
	defer p.nest()()
	var all []func(*machine, *scope, Value)
	tuple := false
	for !tuple || !p.is(tokOp, "=", ")") && !p.is(tokName, "in") {
		if p.skipOp("(") {
			all = append(all, p.target())
			p.expect(tokOp, ")")
		} else {
			all = append(all, p.place())
		}
		if !p.skipOp(",") {
			break
		}
		tuple = true
	}
	if !tuple {
		return all[0]
	}
	return func(m *machine, s *scope, v Value) {
		items := m.iterate(v)
		if len(items) != len(all) {
			failf("cannot unpack %d values into %d names", len(items), len(all))
		}
		for i, set := range all {
			m.spend(workNode)
			set(m, s, items[i])
		}
	}
}

// place reads a name or ns.name.
func (p *parser) place() func(*machine, *scope, Value) {
	name := p.expect(tokName, "")
	if !p.skipOp(".") {
		return func(_ *machine, s *scope, v Value) { s.set(name, v) }
	}
	attr := p.expect(tokName, "")
	return func(m *machine, s *scope, v Value) {
		around, _ := s.lookup(name)
		ns, ok := around.(*namespace)
		if !ok {
			failf("cannot assign attribute on non-namespace object %s", quoteName(name))
		}
		m.alloc(sizeEntry)
		ns.attrs.Set(attr, v)
	}
}
