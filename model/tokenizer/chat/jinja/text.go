package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// text is Python's str(v).
func (m *machine) text(v Value) string {
	switch v := plain(v).(type) {
	case string:
		m.spend(len(v)) // to be copied or searched
		return v
	case undefined, Blank:
		return ""
	}
	b := &buffer{m: m}
	b.repr(v, 0)
	return b.String()
}

// repr writes Python's repr(v).
func (b *buffer) repr(v Value, depth int) {
	b.step(depth)
	switch v := plain(v).(type) {
	case nil, Blank:
		b.add("None")
	case bool:
		if v {
			b.add("True")
		} else {
			b.add("False")
		}
	case int64:
		b.add(strconv.FormatInt(v, 10))
	case bigInt:
		b.add(string(v))
	case float64:
		b.add(floatText(v))
	case string:
		b.quote(v)
	case undefined:
		b.add("Undefined")
	case *namespace:
		b.add("<Namespace ")
		b.repr(v.attrs, depth+1)
		b.add(">")
	case *Dict:
		b.items("{", "}", ", ", len(v.keys), func(i int) {
			b.repr(v.keys[i], depth+1)
			b.add(": ")
			b.repr(v.values[v.keys[i]], depth+1)
		})
	case *Seq:
		open, end := "[", "]"
		if v.kind == tuple {
			if open, end = "(", ")"; len(v.items) == 1 {
				end = ",)"
			}
		}
		b.items(open, end, ", ", len(v.items), func(i int) { b.repr(v.items[i], depth+1) })
	default:
		b.add("<" + strings.Trim(typeName(v), "'") + ">")
	}
}

// step pays for one value within depth others.
func (b *buffer) step(depth int) {
	b.m.spend(workNode)
	if depth > MaxDepth+1 {
		failf("%w: a value nested more than %d deep", ErrLimit, MaxDepth)
	}
}

func (b *buffer) items(open, end, sep string, n int, item func(i int)) {
	b.add(open)
	for i := range n {
		if i > 0 {
			b.add(sep)
		}
		item(i)
	}
	b.add(end)
}

// quote writes a string as Python's repr: in single quotes, unless it has such
// and no double ones.
func (b *buffer) quote(s string) {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	b.add(quote)
	b.escape(s, func(r rune) string {
		switch at := strings.IndexRune("\n\r\t\\", r); {
		case at >= 0:
			return `\` + `nrt\`[at:at+1]
		case r == '\'' && quote == "'":
			return `\'`
		case unicode.IsPrint(r):
			return ""
		case r < 0x100:
			return fmt.Sprintf(`\x%02x`, r)
		case r < 0x10000:
			return fmt.Sprintf(`\u%04x`, r)
		}
		return fmt.Sprintf(`\U%08x`, r)
	})
	b.add(quote)
}

// escape writes s, each character replaced for which by gives a text.
func (b *buffer) escape(s string, by func(rune) string) {
	begin := 0
	for i, r := range s {
		if esc := by(r); esc != "" {
			b.add(s[begin:i])
			b.add(esc)
			begin = i + utf8.RuneLen(r)
		}
	}
	b.add(s[begin:])
}

// quoteName puts a name in quotes as Python's errors do, cut if very long.
func quoteName(name string) string { return fmt.Sprintf("'%.80s'", name) }
