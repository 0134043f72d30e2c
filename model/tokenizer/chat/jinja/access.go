package jinja

import (
	"math"
	"strconv"
	"strings"
)

// arguments are those of one call, taken in order or by name.
type arguments struct {
	pos   []Value
	names []string // of named; nothing changes them, a template holds them
	named []Value
	taken int // of named
}

func (a *arguments) take(name string) (Value, bool) {
	if len(a.pos) > 0 {
		v := a.pos[0]
		a.pos = a.pos[1:]
		return v, true
	}
	return a.takeNamed(name)
}

func (a *arguments) takeNamed(name string) (Value, bool) {
	for i, n := range a.names {
		if n == name {
			a.taken++
			return a.named[i], true
		}
	}
	return nil, false
}

func (a *arguments) opt(name string, otherwise Value) Value {
	if v, ok := a.take(name); ok {
		return v
	}
	return otherwise
}

func (a *arguments) req(name string) Value {
	v, ok := a.take(name)
	if !ok {
		failf("argument %q is missing", name)
	}
	return v
}

// end refuses arguments that nothing took.
func (a *arguments) end(of string) {
	if len(a.pos) > 0 || a.taken < len(a.names) {
		failf("%s: too many arguments, or one that it does not know", quoteName(of))
	}
}

func (m *machine) call(fn Value, a *arguments) Value {
	switch f := fn.(type) {
	case *function:
		return f.call(m, a)
	case undefined:
		f.fail()
	}
	failf("%s object is not callable", typeName(fn))
	return nil
}

// attr is v.name: a method or attribute of the type first, then a key.
func (m *machine) attr(v Value, name string) Value {
	if a, ok := m.member(v, name); ok {
		return a
	}
	if d, ok := v.(*Dict); ok {
		if x, ok := d.Get(name); ok {
			return x
		}
	}
	return missing(v, name)
}

// item is v[key]: a key or index first, then an attribute.
func (m *machine) item(v, key Value) Value {
	v, key = plain(v), plain(key)
	n, ok := toNumber(key)
	index := func(length int) int64 { // of n from either end, or -1
		i := n.i
		if i < 0 {
			i += int64(length)
		}
		if !ok || !n.exact || i >= int64(length) {
			return -1
		}
		return max(i, -1)
	}
	switch x := v.(type) {
	case *Dict:
		m.payKey(key)
		if y, ok := x.values[key]; ok {
			return y
		}
	case *Seq:
		if i := index(len(x.items)); i >= 0 && x.kind != generator {
			return x.items[i]
		}
	case string:
		m.alloc(4 * len(x))
		if r := []rune(x); index(len(r)) >= 0 {
			return string(r[index(len(r))])
		}
	}
	if name, ok := key.(string); ok {
		if a, ok := m.member(v, name); ok {
			return a
		}
	}
	if i, ok := key.(int64); ok {
		return missing(v, strconv.FormatInt(i, 10))
	}
	return missing(v, "of type "+typeName(key))
}

func missing(v Value, name string) Value {
	if u, ok := v.(undefined); ok {
		u.fail()
	}
	return undefined{typeName(v) + " object has no attribute ", name}
}

// slice is v[start:stop:step].
func (m *machine) slice(v, start, stop, step Value) Value {
	switch x := plain(v).(type) {
	case undefined:
		x.fail()
	case Blank:
		return ""
	case string:
		m.alloc(8 * len(x))
		return string(cut(m, []rune(x), start, stop, step))
	case *Seq:
		if x.kind != generator {
			m.alloc(sizeSeq + sizeValue*len(x.items))
			return &Seq{items: cut(m, x.items, start, stop, step), kind: x.kind}
		}
	}
	return undefined{"there are no slices of ", typeName(v)}
}

// cut takes the elements of a Python slice.
func cut[T any](m *machine, s []T, start, stop, stepBy Value) []T {
	n, step := int64(len(s)), int64(1)
	if stepBy != nil {
		if step = m.integer(stepBy); step == 0 {
			failf("slice step cannot be zero")
		}
		step = min(max(step, -n-1), n+1)
	}
	lo, hi := int64(0), n // where the cut can begin and end
	if step < 0 {
		lo, hi = -1, n-1
	}
	at := func(v Value, otherwise int64) int64 {
		if v == nil {
			return otherwise
		}
		i := m.integer(v)
		if i < 0 {
			i = max(i, -n-1) + n
		}
		return min(max(i, lo), hi)
	}
	var out []T
	if step < 0 {
		for i, end := at(start, hi), at(stop, lo); i > end; i += step {
			out = append(out, s[i])
		}
		return out
	}
	for i, end := at(start, lo), at(stop, hi); i < end; i += step {
		out = append(out, s[i])
	}
	return out
}

const (
	dictMethods = " items keys values get copy "
	dictUnsafe  = " pop popitem clear update setdefault "
	listUnsafe  = " append clear extend insert pop remove reverse sort "
)

// member is an attribute or method that v has by its type. Methods that would
// change a value are not to be used, as in the immutable sandbox.
func (m *machine) member(v Value, name string) (Value, bool) {
	has := func(names string) bool { return strings.Contains(names, " "+name+" ") }
	unsafe := undefined{"access is unsafe to the attribute ", name}
	var call func(a *arguments) Value
	switch x := plain(v).(type) {
	case *loopState:
		return loopMember(x, name)
	case *namespace:
		return x.attrs.Get(name)
	case *Seq:
		return unsafe, x.kind == list && has(listUnsafe)
	case *Dict:
		if has(dictUnsafe) {
			return unsafe, true
		} else if has(dictMethods) {
			call = func(a *arguments) Value { return m.dictMethod(x, name, a) }
		}
	case string, Blank:
		if has(stringMethods) {
			call = func(a *arguments) Value { return m.stringMethod(m.text(x), name, a) }
		}
	}
	if call == nil {
		return nil, false
	}
	m.alloc(2 * sizeSeq)
	return &function{func(_ *machine, a *arguments) Value {
		v := call(a)
		a.end(name)
		return v
	}}, true
}

func (m *machine) dictMethod(d *Dict, name string, a *arguments) Value {
	switch name {
	case "keys":
		return &Seq{items: d.keys}
	case "values", "items":
		return &Seq{items: m.pairs(d, name == "values")}
	case "get":
		key, otherwise := a.req("key"), a.opt("default", nil)
		if !m.contains(d, key) {
			return otherwise
		}
		return d.values[key]
	}
	return d // a copy of what nothing changes
}

// pairs are the items of a dictionary as tuples, or its values.
func (m *machine) pairs(d *Dict, values bool) []Value {
	m.alloc((sizeSeq + 3*sizeValue) * len(d.keys))
	items := make([]Value, len(d.keys))
	for i, key := range d.keys {
		if items[i] = d.values[key]; !values {
			items[i] = &Seq{items: []Value{key, d.values[key]}, kind: tuple}
		}
	}
	return items
}

func loopMember(l *loopState, name string) (Value, bool) {
	n := len(l.items)
	switch name {
	case "index":
		return int64(l.index + 1), true
	case "index0":
		return int64(l.index), true
	case "revindex":
		return int64(n - l.index), true
	case "revindex0":
		return int64(n - l.index - 1), true
	case "first":
		return l.index == 0, true
	case "last":
		return l.index == n-1, true
	case "length":
		return int64(n), true
	case "previtem":
		if l.index > 0 {
			return l.items[l.index-1], true
		}
	case "nextitem":
		if l.index+1 < n {
			return l.items[l.index+1], true
		}
	}
	return nil, false
}

// global is a function that every template has, or nil.
func global(name string) *function {
	switch name {
	case "range":
		return &function{(*machine).rangeOf}
	case "namespace", "dict":
		return &function{func(m *machine, a *arguments) Value {
			d := NewDict()
			if from, ok := a.take(""); ok {
				src, ok := from.(*Dict)
				if !ok {
					failf("%s: expected a dictionary, got %s", name, typeName(from))
				}
				m.alloc(sizeEntry * len(src.keys))
				d = src.Copy()
			}
			m.alloc(sizeDict + sizeEntry*len(a.names))
			for i, key := range a.names {
				d.Set(key, a.named[i])
			}
			if name == "dict" {
				return d
			}
			return &namespace{d}
		}}
	case "raise_exception":
		return &function{func(m *machine, a *arguments) Value {
			panic(failure{&RaisedError{m.text(a.req("message"))}})
		}}
	case "strftime_now":
		return &function{func(m *machine, a *arguments) Value { return m.strftime(m.text(a.req("format"))) }}
	}
	return nil
}

func (m *machine) rangeOf(a *arguments) Value {
	start, stop, step := int64(0), m.integer(a.req("stop")), int64(1)
	if len(a.pos) > 0 {
		start, stop = stop, m.integer(a.req("stop"))
		step = m.integer(a.opt("step", int64(1)))
	}
	a.end("range")
	if step == 0 {
		failf("range: the step must not be zero")
	}
	count := math.Ceil((float64(stop) - float64(start)) / float64(step))
	if count > MaxRange {
		failf("%w: a range of more than %d numbers", ErrLimit, MaxRange)
	}
	m.alloc(sizeSeq + 2*sizeValue*int(max(count, 0)))
	seq := &Seq{}
	for i := range int64(max(count, 0)) {
		seq.items = append(seq.items, start+i*step)
	}
	return seq
}
