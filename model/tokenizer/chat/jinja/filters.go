package jinja

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// filter applies the filter of that name and refuses arguments it left over.
func (m *machine) filter(name string, v Value, a *arguments) Value {
	m.enter()
	defer m.leave()
	m.spend(len(name)) // which map takes from any text
	if name != "default" && name != "d" {
		v = plain(v)
	}
	out, ok := m.textFilter(name, v, a)
	if !ok {
		out = m.listFilter(name, v, a)
	}
	a.end(name)
	return out
}

// textFilter are the filters that make texts and numbers.
func (m *machine) textFilter(name string, v Value, a *arguments) (Value, bool) {
	switch name {
	case "default", "d":
		otherwise, falsy := a.opt("default_value", ""), truth(a.opt("boolean", false))
		if _, undef := v.(undefined); undef || falsy && !truth(v) {
			v = otherwise
		}
		return v, true
	case "tojson":
		return m.tojson(v, a), true
	case "int", "float":
		if s, ok := v.(string); ok && len(s) > 1000 {
			v = "" // no number; reading one takes more than linear time
		}
		if name == "int" {
			v = toInt(v, a.opt("default", int64(0)), m.integer(a.opt("base", int64(10))))
		} else {
			v = toFloat(v, a.opt("default", 0.0))
		}
		return v, true
	}
	if !strings.Contains(" string safe escape e trim upper lower capitalize title replace indent format ", " "+name+" ") {
		return nil, false
	}
	s := m.text(v)
	switch name {
	case "safe":
		return markup(s), true
	case "escape", "e":
		return escapeNext(m, s, markup("")), true
	case "format":
		s = m.format(s, a.pos)
		a.pos = nil
	case "trim":
		s = m.strip(s, a.opt("chars", nil), "strip")
	case "upper", "lower", "capitalize":
		s = m.recase(s, name)
	case "title": // unlike the method it splits at white space, hyphens and brackets
		start := true
		s = m.mapRunes(s, func(_ int, r rune) bool {
			up := start
			start = isSpace(r) || strings.ContainsRune("-({[<", r)
			return up
		})
	case "replace":
		old, with := m.text(a.req("old")), m.text(a.req("new"))
		s = m.replace(s, old, with, a.opt("count", nil))
	case "indent":
		s = m.indent(s, a)
	}
	return s, true
}

// format is Python's s % values for %s, %d, %c and %%.
func (m *machine) format(s string, values []Value) string {
	b := &buffer{m: m}
	for {
		before, after, ok := strings.Cut(s, "%")
		b.add(before)
		if !ok && len(values) > 0 {
			failf("not all arguments converted during string formatting")
		} else if !ok {
			return b.String()
		}
		verb := after[:min(1, len(after))]
		s = after[len(verb):]
		switch {
		case verb == "%":
			b.add("%")
			continue
		case len(values) == 0:
			failf("not enough arguments for format string")
		case verb == "s":
			b.add(m.text(values[0]))
		case verb == "d":
			b.repr(m.integer(values[0]), 0)
		case verb == "c":
			b.add(string(rune(m.integer(values[0]))))
		default:
			failf("format %%%s is not supported", verb)
		}
		values = values[1:]
	}
}

func (m *machine) indent(s string, a *arguments) string {
	width, first, blank := a.opt("width", int64(4)), truth(a.opt("first", false)), truth(a.opt("blank", false))
	by, ok := plain(width).(string)
	if !ok {
		by = m.repeat(" ", m.integer(width))
	}
	lines := m.lines(s + "\n")
	b := &buffer{m: m}
	b.items("", "", "\n", len(lines), func(i int) {
		if i == 0 && first || i > 0 && (blank || lines[i] != "") {
			b.add(by)
		}
		b.add(lines[i])
	})
	return b.String()
}

func toInt(v, otherwise Value, base int64) Value {
	if s, ok := v.(string); ok && base >= 2 && base <= 36 {
		if i, err := strconv.ParseInt(strings.TrimFunc(s, isSpace), int(base), 64); err == nil {
			return i
		}
		v = toFloat(v, nil)
	}
	n, ok := toNumber(v)
	switch {
	case n.exact:
		return n.i
	case !ok || math.IsNaN(n.f) || math.Abs(n.f) >= 1<<63:
		return otherwise
	}
	return int64(n.f)
}

func toFloat(v, otherwise Value) Value {
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimFunc(s, isSpace), 64); err == nil {
			return f
		}
	} else if n, ok := toNumber(v); ok {
		return n.f
	}
	return otherwise
}

// listFilter are the filters that take sequences.
func (m *machine) listFilter(name string, v Value, a *arguments) Value {
	if !truth(v) && strings.Contains(" map select reject selectattr rejectattr ", " "+name+" ") {
		v = &Seq{} // of none, too, these make nothing
	}
	switch name {
	case "length", "count":
		return m.length(v)
	case "first", "last":
		if s, ok := v.(*Seq); ok && s.kind == generator && name == "last" {
			failf("'generator' object is not reversible")
		}
		items := m.iterate(v)
		if len(items) == 0 {
			return undefined{"the sequence is empty, it has no ", name}
		} else if name == "first" {
			return items[0]
		}
		return items[len(items)-1]
	case "list":
		m.alloc(sizeSeq)
		return &Seq{items: m.iterate(v)}
	case "reverse":
		if _, ok := v.(string); ok {
			return m.slice(v, nil, nil, int64(-1))
		}
		items := m.iterate(v)
		m.alloc(sizeSeq + sizeValue*len(items))
		items = slices.Clone(items)
		slices.Reverse(items)
		return &Seq{items: items, kind: generator}
	case "items":
		if _, ok := v.(undefined); ok {
			return &Seq{kind: generator}
		}
		d, ok := v.(*Dict)
		if !ok {
			failf("Can only get item pairs from a mapping.")
		}
		return &Seq{items: m.pairs(d, false), kind: generator}
	case "join":
		sep, by := m.text(a.opt("d", "")), m.getter(a.opt("attribute", nil))
		items := m.iterate(v)
		b := &buffer{m: m}
		b.items("", "", sep, len(items), func(i int) { b.add(m.text(by(items[i]))) })
		return b.String()
	case "map":
		return m.mapFilter(v, a)
	case "select", "reject", "selectattr", "rejectattr":
		return m.selectFilter(name, v, a)
	case "sort", "unique", "dictsort":
		return m.orderFilter(name, v, a)
	}
	failf("no filter named %s is supported", quoteName(name))
	return nil
}

// getter reads an attribute path such as "function.name", with otherwise, if
// given, for what is undefined on the way; a path of nil gives the item.
func (m *machine) getter(path Value, otherwise ...Value) func(Value) Value {
	if path == nil {
		return func(v Value) Value { return v }
	}
	keys := []Value{path}
	if s, ok := plain(path).(string); ok {
		keys = m.strings(strings.Split(s, ".")).items
		for i, key := range keys {
			if n, err := strconv.ParseUint(key.(string), 10, 31); err == nil {
				keys[i] = int64(n)
			}
		}
	}
	return func(v Value) Value {
		for _, key := range keys {
			m.spend(workNode)
			v = m.item(v, key)
			if _, ok := v.(undefined); ok && len(otherwise) > 0 {
				v = otherwise[0]
			}
		}
		return v
	}
}

func (m *machine) mapFilter(v Value, a *arguments) Value {
	var apply func(Value) Value
	if path, ok := a.takeNamed("attribute"); ok {
		apply = m.getter(path)
		if otherwise, ok := a.takeNamed("default"); ok && otherwise != nil {
			apply = m.getter(path, otherwise)
		}
	} else {
		name, args := m.str(a.req("filter")), a.rest()
		apply = func(v Value) Value { each := args; return m.filter(name, v, &each) }
	}
	items := m.iterate(v)
	m.alloc(sizeSeq + sizeValue*len(items))
	out := &Seq{items: make([]Value, len(items)), kind: generator}
	for i, item := range items {
		out.items[i] = apply(item)
	}
	return out
}

// rest takes all arguments left.
func (a *arguments) rest() arguments {
	r := *a
	a.pos, a.names = nil, nil
	return r
}

func (m *machine) selectFilter(how string, v Value, a *arguments) Value {
	by, want, test := m.getter(nil), strings.HasPrefix(how, "select"), ""
	if strings.HasSuffix(how, "attr") {
		by = m.getter(a.req("attribute"))
	}
	if len(a.pos) > 0 {
		test = m.str(a.req("test"))
	}
	args := a.rest()
	m.alloc(sizeSeq)
	return &Seq{kind: generator, items: m.keep(m.iterate(v), func(v Value) bool {
		v, each := by(v), args
		if test == "" {
			return truth(v) == want
		}
		return m.test(test, v, &each) == want
	})}
}

// orderFilter are the filters that compare items, letters of both cases as
// equal unless told otherwise.
func (m *machine) orderFilter(how string, v Value, a *arguments) Value {
	var reverse, exact bool
	var by func(Value) Value
	if how == "dictsort" {
		exact = truth(a.opt("case_sensitive", false))
		by = m.getter(map[bool]Value{false: int64(0), true: int64(1)}[m.equal(a.opt("by", "key"), "value")])
		d, ok := v.(*Dict)
		if !ok {
			failf("dictsort: expected a dictionary, got %s", typeName(v))
		}
		reverse, v = truth(a.opt("reverse", false)), &Seq{items: m.pairs(d, false)}
	} else {
		reverse = how == "sort" && truth(a.opt("reverse", false))
		exact = truth(a.opt("case_sensitive", false))
		by = m.getter(a.opt("attribute", nil))
	}
	items := m.iterate(v)
	m.alloc(sizeSeq + 4*sizeValue*len(items))
	type entry struct{ key, item Value }
	all := make([]entry, len(items))
	for i, item := range items {
		key := by(item)
		if s, ok := key.(string); ok && !exact {
			key = m.recase(s, "lower")
		}
		all[i] = entry{key, item}
	}
	out := &Seq{}
	if how == "unique" {
		out.kind = generator
		m.alloc(sizeEntry * len(all))
		seen := NewDict()
		all = slices.DeleteFunc(all, func(e entry) bool {
			n := len(seen.keys)
			m.payKey(e.key)
			seen.put(e.key, nil)
			return len(seen.keys) == n
		})
	} else {
		slices.SortStableFunc(all, func(x, y entry) int {
			if reverse {
				x, y = y, x
			}
			return m.order(x.key, y.key)
		})
	}
	for _, e := range all {
		out.items = append(out.items, e.item)
	}
	return out
}
