package jinja

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// number is an integer, with its float, or a float alone. Python's booleans are
// numbers.
type number struct {
	f     float64
	i     int64
	exact bool
}

func toNumber(v Value) (number, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return number{1, 1, true}, true
		}
		return number{exact: true}, true
	case int64:
		return number{float64(v), v, true}, true
	case float64:
		n := number{f: v}
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			n.i = int64(v) // for comparisons
		}
		return n, true
	}
	return number{}, false
}

// binary computes an operator other than comparisons.
func (m *machine) binary(op string, a, b Value) Value {
	for _, v := range []Value{a, b} {
		if u, ok := v.(undefined); ok {
			u.fail()
		}
	}
	x, okX := toNumber(a)
	y, okY := toNumber(b)
	if okX && okY {
		return arithmetic(op, x, y)
	}
	if _, blank := a.(Blank); blank && b != nil {
		a = ""
	}
	if _, blank := b.(Blank); blank && a != nil {
		b = ""
	}
	if okX {
		a, b = b, a
	}
	if op == "+" {
		a, b = escapeNext(m, a, b), escapeNext(m, b, a)
	}
	switch left := a.(type) {
	case markup:
		if right, ok := b.(markup); ok && op == "+" {
			m.size(len(left) + len(right))
			return left + right
		}
	case string:
		if right, ok := b.(string); ok && op == "+" {
			m.size(len(left) + len(right))
			return left + right
		}
		if n, ok := toNumber(b); ok && n.exact && op == "*" {
			return m.repeat(left, n.i)
		}
	case *Seq:
		if right, ok := b.(*Seq); ok && op == "+" && left.kind == right.kind && left.kind != generator {
			m.alloc(sizeSeq + sizeValue*(len(left.items)+len(right.items)))
			return &Seq{items: slices.Concat(left.items, right.items), kind: left.kind}
		}
		if n, ok := toNumber(b); ok && n.exact && op == "*" && left.kind != generator {
			n.i = min(max(n.i, 0), maxMemory)
			m.alloc(sizeSeq + sizeValue*len(left.items)*int(n.i))
			return &Seq{items: slices.Repeat(left.items, int(n.i)), kind: left.kind}
		}
	}
	failf("unsupported operand types for %s: %s and %s", op, typeName(a), typeName(b))
	return nil
}

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

// escapeNext escapes a text that is to be added to markup.
func escapeNext(m *machine, v, other Value) Value {
	s, ok := v.(string)
	if _, html := other.(markup); !ok || !html {
		return v
	}
	m.alloc(5 * len(s))
	return markup(htmlEscapes.Replace(s))
}

func (m *machine) repeat(s string, n int64) string {
	n = min(max(n, 0), MaxOutput+1)
	m.size(len(s) * int(n))
	return strings.Repeat(s, int(n))
}

func arithmetic(op string, x, y number) Value {
	if y.f == 0 && (op == "/" || op == "//" || op == "%") {
		failf("division by zero")
	}
	f, i := 0.0, int64(0)
	switch op {
	case "+":
		f, i = x.f+y.f, x.i+y.i
	case "-":
		f, i = x.f-y.f, x.i-y.i
	case "*":
		f, i = x.f*y.f, x.i*y.i
	case "/":
		return x.f / y.f
	case "//":
		f = math.Floor(x.f / y.f)
		if x.exact && y.exact {
			if i = x.i / y.i; x.i%y.i != 0 && (x.i < 0) != (y.i < 0) {
				i--
			}
		}
	case "%":
		if f = math.Mod(x.f, y.f); f != 0 && (f < 0) != (y.f < 0) {
			f += y.f
		}
		if x.exact && y.exact {
			if i = x.i % y.i; i != 0 && (i < 0) != (y.i < 0) {
				i += y.i
			}
		}
	}
	switch {
	case !x.exact || !y.exact:
		return f
	case math.Abs(f) >= 1<<63:
		failf("integer out of range")
	}
	return i
}

// floatText is Python's repr of a float.
func floatText(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case a != 0 && (a < 1e-4 || a >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func (m *machine) compare(op string, a, b Value) bool {
	switch op {
	case "==":
		return m.equal(a, b)
	case "!=":
		return !m.equal(a, b)
	case "in":
		return m.contains(b, a)
	case "not in":
		return !m.contains(b, a)
	case "<":
		return m.order(a, b) < 0
	case "<=":
		return m.order(a, b) <= 0
	case ">":
		return m.order(a, b) > 0
	}
	return m.order(a, b) >= 0
}

// order compares two numbers or two strings.
func (m *machine) order(a, b Value) int {
	m.spend(workNode)
	a, b = plain(a), plain(b)
	for _, v := range []Value{a, b} {
		if u, ok := v.(undefined); ok {
			u.fail()
		}
	}
	x, okX := toNumber(a)
	if y, okY := toNumber(b); okX && okY {
		return cmp.Or(cmp.Compare(x.f, y.f), cmp.Compare(x.i, y.i))
	}
	if s, ok := a.(string); ok {
		if t, ok := b.(string); ok {
			m.spend(min(len(s), len(t)))
			return strings.Compare(s, t) // UTF-8 sorts as its characters do
		}
	}
	failf("%s and %s cannot be ordered", typeName(a), typeName(b))
	return 0
}
