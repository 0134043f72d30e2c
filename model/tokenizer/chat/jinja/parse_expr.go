package jinja

import "strconv"

// list reads items between commas up to a closing bracket.
func (p *parser) list(closer string, item func()) {
	for first := true; !p.skipOp(closer); first = false {
		if !first {
			p.expect(tokOp, ",")
			if p.skipOp(closer) {
				return
			}
		}
		item()
	}
}

// expression reads a conditional expression or anything that binds tighter.
func (p *parser) expression() expr {
	defer p.nest()()
	e := p.or()
	for p.skipName("if") {
		cond, then := p.or(), e
		otherwise := expr(func(*machine, *scope) Value {
			return undefined{"there is no else for a false condition", ""}
		})
		if p.skipName("else") {
			otherwise = p.expression()
		}
		e = func(m *machine, s *scope) Value {
			if truth(cond.eval(m, s)) {
				return then.eval(m, s)
			}
			return otherwise.eval(m, s)
		}
	}
	return e
}

// tuple reads one item, or a tuple where a comma follows. An item of p.or
// leaves an "if" to the tag around it, as in {% for x in y if z %}.
func (p *parser) tuple(item func() expr) expr {
	e := item()
	if !p.is(tokOp, ",") {
		return e
	}
	items := []expr{e}
	for p.skipOp(",") {
		if k := p.peek().kind; k == tokPrintEnd || k == tokBlockEnd || p.is(tokOp, ")") {
			break
		}
		items = append(items, item())
	}
	return sequence(items, tuple)
}

func sequence(items []expr, kind seqKind) expr {
	return func(m *machine, s *scope) Value {
		m.alloc(sizeSeq + sizeValue*len(items))
		seq := &Seq{items: make([]Value, len(items)), kind: kind}
		for i, item := range items {
			seq.items[i] = item.eval(m, s)
		}
		return seq
	}
}

func (p *parser) or() expr  { return p.logic("or", p.and, true) }
func (p *parser) and() expr { return p.logic("and", p.not, false) }

// logic reads operands of "or", which the first true one ends, or of "and".
func (p *parser) logic(word string, operand func() expr, end bool) expr {
	all := []expr{operand()}
	for p.skipName(word) {
		all = append(all, operand())
	}
	if len(all) == 1 {
		return all[0]
	}
	return func(m *machine, s *scope) (v Value) {
		for _, e := range all {
			if v = e.eval(m, s); truth(v) == end {
				break
			}
		}
		return v
	}
}

func (p *parser) not() expr {
	if !p.skipName("not") {
		return p.compare()
	}
	defer p.nest()()
	return negate(p.not())
}

func negate(e expr) expr {
	return func(m *machine, s *scope) Value { return !truth(e.eval(m, s)) }
}

func (p *parser) compare() expr {
	first := p.sum()
	var ops []string
	var rest []expr
	for {
		op := p.peek().text
		switch after := p.tokens[min(p.pos+1, len(p.tokens)-1)]; {
		case p.is(tokOp, "==", "!=", "<", "<=", ">", ">=") || p.is(tokName, "in"):
		case p.is(tokName, "not") && after.kind == tokName && after.text == "in":
			p.pos++
			op = "not in"
		case ops == nil:
			return first
		default:
			return func(m *machine, s *scope) Value {
				left := first.eval(m, s)
				for i, op := range ops { // a < b < c is a < b and b < c
					right := rest[i].eval(m, s)
					if !m.compare(op, left, right) {
						return false
					}
					left = right
				}
				return true
			}
		}
		p.pos++
		ops = append(ops, op)
		rest = append(rest, p.sum())
	}
}

// chain reads left-associative operators.
func (p *parser) chain(operand func() expr, ops ...string) expr {
	e := operand()
	for p.is(tokOp, ops...) {
		op, left, right := p.next().text, e, operand()
		e = func(m *machine, s *scope) Value {
			x := left.eval(m, s)
			return m.binary(op, x, right.eval(m, s))
		}
	}
	return e
}

// concat binds tighter than + and -, as in Jinja2's grammar.
func (p *parser) sum() expr     { return p.chain(p.concat, "+", "-") }
func (p *parser) product() expr { return p.chain(p.operand, "*", "/", "//", "%") }
func (p *parser) operand() expr { return p.unary(true) }

func (p *parser) concat() expr {
	all := []expr{p.product()}
	for p.skipOp("~") {
		all = append(all, p.product())
	}
	if len(all) == 1 {
		return all[0]
	}
	return func(m *machine, s *scope) Value {
		b := &buffer{m: m}
		for _, e := range all {
			b.add(m.text(e.eval(m, s)))
		}
		return b.String()
	}
}

func (p *parser) unary(filters bool) expr {
	var e expr
	if p.is(tokOp, "-", "+") {
		leave := p.nest()
		op, of := p.next().text, p.unary(false)
		leave()
		e = func(m *machine, s *scope) Value { return m.binary(op, int64(0), of.eval(m, s)) }
	} else {
		e = p.primary()
	}
	if e = p.postfix(e); filters {
		e = p.filters(e)
	}
	return e
}

func constant(v Value) expr { return func(*machine, *scope) Value { return v } }

func (p *parser) primary() expr {
	switch t := p.next(); {
	case t.kind == tokName:
		switch t.text {
		case "true", "True":
			return constant(true)
		case "false", "False":
			return constant(false)
		case "none", "None":
			return constant(nil)
		}
		return func(m *machine, s *scope) Value {
			if v, ok := s.lookup(t.text); ok {
				return v
			}
			if f := global(t.text); f != nil {
				return f
			}
			return undefined{"there is no variable ", t.text}
		}
	case t.kind == tokString:
		parts := []byte(t.text)
		for p.peek().kind == tokString {
			parts = append(parts, p.next().text...)
		}
		return constant(string(parts))
	case t.kind == tokInt:
		i, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			p.fail("integer literal out of range")
		}
		return constant(i)
	case t.kind == tokFloat:
		f, _ := strconv.ParseFloat(t.text, 64) // beyond the range it is infinite, as in Python
		return constant(f)
	case t.kind == tokOp && t.text == "(":
		if p.skipOp(")") {
			return sequence(nil, tuple)
		}
		e := p.tuple(p.expression)
		p.expect(tokOp, ")")
		return e
	case t.kind == tokOp && t.text == "[":
		var items []expr
		p.list("]", func() { items = append(items, p.expression()) })
		return sequence(items, list)
	case t.kind == tokOp && t.text == "{":
		return p.dict()
	case t.kind != tokEOF:
		p.pos--
	}
	p.fail("unexpected %s", p.found())
	return nil
}

func (p *parser) dict() expr {
	var keys, values []expr
	p.list("}", func() {
		keys = append(keys, p.expression())
		p.expect(tokOp, ":")
		values = append(values, p.expression())
	})
	return func(m *machine, s *scope) Value {
		m.alloc(sizeDict + sizeEntry*len(keys))
		d := NewDict()
		for i := range keys {
			key := keys[i].eval(m, s)
			m.payKey(key)
			d.put(key, values[i].eval(m, s))
		}
		return d
	}
}

func (p *parser) postfix(e expr) expr {
	for {
		of := e
		switch {
		case p.skipOp("."):
			if p.peek().kind == tokInt {
				key := p.primary()
				e = func(m *machine, s *scope) Value { return m.item(of.eval(m, s), key(m, s)) }
				continue
			}
			name := p.expect(tokName, "")
			e = func(m *machine, s *scope) Value { return m.attr(of.eval(m, s), name) }
		case p.skipOp("["):
			e = p.subscript(of)
		case p.is(tokOp, "("):
			e = p.call(of)
		default:
			return e
		}
	}
}

// subscript reads behind "[" an index or up to three parts of a slice.
func (p *parser) subscript(of expr) expr {
	part := [3]expr{constant(nil), constant(nil), constant(nil)}
	n := 0
	for empty := true; !p.skipOp("]"); {
		switch {
		case p.skipOp(":") && n < 2:
			n++
			empty = true
		case empty:
			part[n] = p.expression()
			empty = false
		default:
			p.fail("expected ], got %s", p.found())
		}
	}
	return func(m *machine, s *scope) Value {
		v, start := of.eval(m, s), part[0].eval(m, s)
		if n == 0 {
			return m.item(v, start)
		}
		return m.slice(v, start, part[1].eval(m, s), part[2].eval(m, s))
	}
}

func (p *parser) call(fn expr) expr {
	args := p.arguments()
	return func(m *machine, s *scope) Value {
		v := fn.eval(m, s)
		return m.call(v, args(m, s))
	}
}

// filters reads the filters, tests and calls behind e.
func (p *parser) filters(e expr) expr {
	for {
		switch {
		case p.is(tokOp, "|"):
			e = p.filterChain(e, false)
		case p.skipName("is"):
			e = p.test(e)
		case p.is(tokOp, "("):
			e = p.call(e)
		default:
			return e
		}
	}
}

// filterChain reads filters only; with bare, as in {% filter name %}, the first
// one has no bar in front.
func (p *parser) filterChain(e expr, bare bool) expr {
	for bare || p.skipOp("|") {
		bare = false
		of, name, args := e, p.expect(tokName, ""), p.arguments()
		e = func(m *machine, s *scope) Value {
			v := of.eval(m, s)
			return m.filter(name, v, args(m, s))
		}
	}
	return e
}

func (p *parser) test(of expr) expr {
	negated := p.skipName("not")
	name := p.expect(tokName, "")
	full, k := p.is(tokOp, "("), p.peek().kind
	args := p.arguments()
	bare := k == tokName && !p.is(tokName, "else", "or", "and", "is") || k == tokString || k == tokInt || k == tokFloat
	if !full && (bare || p.is(tokOp, "[", "{")) {
		arg := p.postfix(p.primary()) // one argument needs no parentheses
		args = func(m *machine, s *scope) *arguments { return &arguments{pos: []Value{arg.eval(m, s)}} }
	}
	e := expr(func(m *machine, s *scope) Value {
		v := of.eval(m, s)
		return m.test(name, v, args(m, s))
	})
	if negated {
		return negate(e)
	}
	return e
}

// arguments reads those of a call, if there are parentheses.
func (p *parser) arguments() func(*machine, *scope) *arguments {
	var names []string // of the last arguments
	var args []expr
	if p.skipOp("(") {
		p.list(")", func() {
			if t := p.tokens[min(p.pos+1, len(p.tokens)-1)]; p.peek().kind == tokName && t.kind == tokOp && t.text == "=" {
				names = append(names, p.next().text)
				p.pos++
			} else if len(names) > 0 {
				p.fail("a positional argument follows a named one")
			}
			args = append(args, p.expression())
		})
	}
	return func(m *machine, s *scope) *arguments {
		a := &arguments{names: names}
		for i, arg := range args {
			if v := arg.eval(m, s); i < len(args)-len(names) {
				a.pos = append(a.pos, v)
			} else {
				a.named = append(a.named, v)
			}
		}
		return a
	}
}
