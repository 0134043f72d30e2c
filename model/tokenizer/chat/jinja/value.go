package jinja

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Value is what a template computes with: nil (none), bool, int64, float64,
// string, *Seq, *Dict, an integer of more than 64 bits as bigInt, Blank; and,
// made by templates only, undefined, *namespace, *function, *loopState.
type Value = any

// Blank is none as a message's content: it tests and compares as none, and
// where none would print "None" or be an error, it is an empty text.
type Blank struct{}

type bigInt string

// markup is what the filter safe gives: HTML. Adding it to a text escapes that;
// in all else it is a text.
type markup string

func plain(v Value) Value {
	if s, ok := v.(markup); ok {
		return string(s)
	}
	return v
}

// undefined is what a missing name or key gives; why and name make an error.
type undefined struct{ why, name string }

func (u undefined) fail() { failf("%s%.80q", u.why, u.name) }

type seqKind uint8

const (
	list      seqKind = iota
	tuple             // as of dict items
	generator         // as of the filter map: passed once, always true, no length
)

// Seq is an immutable sequence.
type Seq struct {
	items []Value
	kind  seqKind
	spent bool // a generator that was passed
}

// Dict keeps its keys in order.
type Dict struct {
	keys   []Value
	values map[Value]Value
}

type namespace struct{ attrs *Dict }

type function struct {
	call func(m *machine, a *arguments) Value
}

// loopState is the variable "loop".
type loopState struct {
	items []Value
	index int
}

// NewList makes a list of values.
func NewList(items ...Value) *Seq { return &Seq{items: items} }

// Items are the elements of a list, not to be changed.
func (s *Seq) Items() []Value { return s.items }

// NewDict makes an empty dictionary.
func NewDict() *Dict { return &Dict{values: map[Value]Value{}} }

// Set adds a key or replaces its value in place.
func (d *Dict) Set(key string, v Value) { d.put(key, v) }

// Get looks a key up.
func (d *Dict) Get(key string) (Value, bool) {
	v, ok := d.values[key]
	return v, ok
}

// Keys are the keys in order, not to be changed; those from JSON are strings.
func (d *Dict) Keys() []Value { return d.keys }

// Copy makes a dictionary that can be changed without the other.
func (d *Dict) Copy() *Dict {
	c := NewDict()
	for _, k := range d.keys {
		c.put(k, d.values[k])
	}
	return c
}

func (d *Dict) put(key, v Value) {
	key = plain(key)
	switch key.(type) {
	case *Seq, *Dict:
		failf("unhashable type: %s", typeName(key))
	}
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = v
}

func isNone(v Value) bool {
	_, blank := v.(Blank)
	return v == nil || blank
}

// typeName names the type of v as Python's errors do.
func typeName(v Value) string {
	if s, ok := v.(*Seq); ok {
		return [...]string{"'list'", "'tuple'", "'generator'"}[s.kind]
	}
	name := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", v), "*"), "jinja.")
	if python, ok := pythonTypes[name]; ok {
		name = python
	}
	return "'" + name + "'"
}

var pythonTypes = map[string]string{
	"<nil>": "NoneType", "Blank": "NoneType", "int64": "int", "bigInt": "int", "float64": "float", "string": "str",
	"markup": "str", "Dict": "dict", "undefined": "Undefined", "namespace": "Namespace", "loopState": "LoopContext",
}

func truth(v Value) bool {
	switch v := plain(v).(type) {
	case nil, Blank, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *Seq:
		return v.kind == generator || len(v.items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

// iterate gives the items of v, not to be changed. A generator gives them once.
func (m *machine) iterate(v Value) []Value {
	switch v := plain(v).(type) {
	case *Seq:
		if v.kind == generator {
			if v.spent {
				return nil
			}
			v.spent = true
		}
		return v.items
	case *Dict:
		return v.keys
	case undefined, Blank:
		return nil
	case string:
		m.alloc(2 * sizeValue * len(v))
		items := make([]Value, 0, len(v))
		for _, r := range v {
			items = append(items, string(r))
		}
		return items
	}
	failf("%s object is not iterable", typeName(v))
	return nil
}

// keep gives the items that ok accepts.
func (m *machine) keep(items []Value, ok func(Value) bool) []Value {
	var kept []Value
	for _, v := range items {
		m.spend(workNode)
		if ok(v) {
			m.alloc(2 * sizeValue)
			kept = append(kept, v)
		}
	}
	return kept
}

// length is Python's len.
func (m *machine) length(v Value) Value {
	switch v := plain(v).(type) {
	case *Seq:
		if v.kind != generator {
			return int64(len(v.items))
		}
	case *Dict:
		return int64(len(v.keys))
	case string:
		m.spend(len(v))
		return int64(utf8.RuneCountInString(v))
	case undefined, Blank:
		return int64(0)
	}
	failf("object of type %s has no len()", typeName(v))
	return nil
}

// equal is Python's ==.
func (m *machine) equal(a, b Value) bool {
	m.enter()
	defer m.leave()
	a, b = plain(a), plain(b)
	if isNone(a) || isNone(b) {
		return isNone(a) && isNone(b)
	}
	x, ok := toNumber(a)
	if y, ok2 := toNumber(b); ok && ok2 {
		return x.f == y.f && x.i == y.i
	}
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		if ok && len(x) == len(y) {
			m.spend(len(x))
		}
		return ok && x == y
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *Seq:
		y, ok := b.(*Seq)
		if ok && x.kind == y.kind && x.kind != generator {
			return slices.EqualFunc(x.items, y.items, m.equal)
		}
	case *Dict:
		if y, ok := b.(*Dict); ok {
			return len(x.keys) == len(y.keys) && !slices.ContainsFunc(x.keys, func(key Value) bool {
				v, ok := y.values[key]
				return !ok || !m.equal(x.values[key], v)
			})
		}
	}
	return a == b // one and the same
}

// contains is Python's "v in container".
func (m *machine) contains(container, v Value) bool {
	v = plain(v)
	switch c := plain(container).(type) {
	case string:
		s := m.str(v)
		m.scan(c, s)
		return strings.Contains(c, s)
	case *Dict:
		m.payKey(v)
		switch v.(type) {
		case *Seq, *Dict:
			failf("unhashable type: %s", typeName(v))
		}
		_, ok := c.values[v]
		return ok
	}
	return slices.ContainsFunc(m.iterate(container), func(item Value) bool { return m.equal(item, v) })
}

// payKey pays for looking key up in a dictionary.
func (m *machine) payKey(key Value) {
	m.spend(workNode)
	if s, ok := key.(string); ok {
		m.spend(len(s))
	}
}

// scan pays for a search of needle in s. The factor covers needles made to
// collide, for which strings.Index compares at every position.
func (m *machine) scan(s, needle string) {
	if factor := 1 + len(needle)/1024; len(s) > maxWork/factor {
		m.spend(-1)
	} else {
		m.spend(len(s) * factor)
	}
}

// str is v if it is a string.
func (m *machine) str(v Value) string {
	switch s := plain(v).(type) {
	case string:
		return s
	case Blank:
		return ""
	case undefined:
		s.fail()
	}
	failf("expected a string, got %s", typeName(v))
	return ""
}

// integer is v if it is one.
func (m *machine) integer(v Value) int64 {
	n, ok := toNumber(v)
	if u, undef := v.(undefined); undef {
		u.fail()
	} else if !ok || !n.exact {
		failf("expected an integer, got %s", typeName(v))
	}
	return n.i
}
