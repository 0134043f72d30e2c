package jinja

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const stringMethods = " strip lstrip rstrip upper lower title capitalize startswith endswith removeprefix removesuffix " +
	"split rsplit splitlines replace join find count "

// stringMethod calls a method of Python's str; s is paid for.
func (m *machine) stringMethod(s, name string, a *arguments) Value {
	switch name {
	case "strip", "lstrip", "rstrip":
		return m.strip(s, a.opt("chars", nil), name)
	case "upper", "lower", "title", "capitalize":
		return m.recase(s, name)
	case "startswith", "endswith":
		affixes := []Value{a.req("prefix")}
		if t, ok := affixes[0].(*Seq); ok {
			affixes = m.iterate(t)
		}
		return len(m.keep(affixes, func(v Value) bool {
			affix := m.str(v)
			m.spend(len(affix))
			return name == "startswith" && strings.HasPrefix(s, affix) || name == "endswith" && strings.HasSuffix(s, affix)
		})) > 0
	case "removeprefix":
		return strings.TrimPrefix(s, m.str(a.req("prefix")))
	case "removesuffix":
		return strings.TrimSuffix(s, m.str(a.req("suffix")))
	case "split", "rsplit":
		return m.split(s, a.opt("sep", nil), a.opt("maxsplit", int64(-1)), name == "rsplit")
	case "splitlines":
		return m.strings(m.lines(s))
	case "replace":
		old, with := m.str(a.req("old")), m.str(a.req("new"))
		return m.replace(s, old, with, a.opt("count", nil))
	case "join":
		b := &buffer{m: m}
		items := m.iterate(a.req("iterable"))
		b.items("", "", s, len(items), func(i int) { b.add(m.str(items[i])) })
		return b.String()
	}
	sub := m.str(a.req("sub"))
	m.scan(s, sub)
	if name == "count" {
		return int64(strings.Count(s, sub))
	}
	i := strings.Index(s, sub)
	return int64(utf8.RuneCountInString(s[:max(i, 0)]) + min(i, 0))
}

// strings makes a list of parts of one text.
func (m *machine) strings(parts []string) *Seq {
	m.alloc(sizeSeq + 2*sizeValue*len(parts))
	seq := &Seq{items: make([]Value, len(parts))}
	for i, part := range parts {
		seq.items[i] = part
	}
	return seq
}

// strip cuts white space, or any of chars, on the side that the name says.
func (m *machine) strip(s string, chars Value, name string) string {
	drop := isSpace
	if chars != nil {
		set := m.str(chars)
		m.spend(len(s) * (1 + len(set)/16))
		drop = func(r rune) bool { return strings.ContainsRune(set, r) }
	}
	if name != "rstrip" {
		s = strings.TrimLeftFunc(s, drop)
	}
	if name != "lstrip" {
		s = strings.TrimRightFunc(s, drop)
	}
	return s
}

// recase changes case. The method title begins a word after any character that
// has no case.
func (m *machine) recase(s, how string) string {
	inWord := false
	return m.mapRunes(s, func(i int, r rune) (up bool) {
		switch how {
		case "upper":
			up = true
		case "title":
			up = !inWord
		case "capitalize":
			up = i == 0
		}
		inWord = unicode.ToLower(r) != unicode.ToUpper(r)
		return up
	})
}

// mapRunes makes every character upper or lower case.
func (m *machine) mapRunes(s string, up func(i int, r rune) bool) string {
	m.size(len(s))
	m.alloc(len(s)) // some grow
	var b strings.Builder
	for i, r := range s {
		switch upper := up(i, r); {
		case upper && r == 'ß':
			b.WriteString("SS")
		case upper:
			b.WriteRune(unicode.ToUpper(r))
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

func (m *machine) split(s string, sep, limit Value, right bool) *Seq {
	n := m.integer(limit)
	if sep == nil {
		m.alloc(sizeValue * (1 + len(s)/2))
		if right && n >= 0 {
			failf("rsplit with a limit needs a separator here")
		}
		return m.strings(words(s, n))
	}
	by := m.str(sep)
	if by == "" {
		failf("empty separator")
	}
	m.scan(s, by)
	m.alloc(sizeValue * (1 + strings.Count(s, by)))
	parts := strings.Split(s, by)
	if more := len(parts) - 1 - int(min(n, int64(len(s)))); n >= 0 && more > 0 {
		if right {
			parts = append([]string{strings.Join(parts[:more+1], by)}, parts[more+1:]...)
		} else {
			parts = append(parts[:n:n], strings.Join(parts[n:], by))
		}
	}
	return m.strings(parts)
}

// words splits at white space, n times at most unless n is negative.
func words(s string, n int64) []string {
	parts := []string{}
	for s = strings.TrimLeftFunc(s, isSpace); s != ""; s = strings.TrimLeftFunc(s, isSpace) {
		i := strings.IndexFunc(s, isSpace)
		if i < 0 || n == 0 {
			return append(parts, s)
		}
		parts, s, n = append(parts, s[:i]), s[i:], n-1
	}
	return parts
}

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\x1c", "\n", "\x1d", "\n",
	"\x1e", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// lines are Python's s.splitlines().
func (m *machine) lines(s string) []string {
	if s == "" {
		return nil
	}
	m.alloc(len(s))
	s = strings.TrimSuffix(lineEnds.Replace(s), "\n")
	m.alloc(sizeValue * (1 + strings.Count(s, "\n")))
	return strings.Split(s, "\n")
}

func (m *machine) replace(s, old, with string, limit Value) string {
	m.scan(s, old)
	n := int64(strings.Count(s, old)) // of "" one more than characters
	if limit != nil && m.integer(limit) >= 0 {
		n = min(n, m.integer(limit))
	}
	m.size(len(s) + int(n)*(len(with)-len(old)))
	return strings.Replace(s, old, with, int(n))
}

// strftime formats the time of the rendering as C's strftime in the C locale.
func (m *machine) strftime(format string) string {
	b := &buffer{m: m}
	for {
		m.spend(workNode)
		before, after, ok := strings.Cut(format, "%")
		b.add(before)
		if !ok || after == "" {
			return b.String()
		}
		plain := len(after) > 1 && after[0] == '-' // as in %-d: no padding
		if plain {
			after = after[1:]
		}
		verb, size := utf8.DecodeRuneInString(after)
		format = after[size:]
		s := timeField(m.now, verb)
		if plain {
			s = strings.TrimLeft(s, "0 ")
		}
		b.add(s)
	}
}

var layouts = map[rune]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'j': "002", 'F': "2006-01-02", 'D': "01/02/06",
	'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'T': "15:04:05", 'R': "15:04", 'Z': "MST", 'z': "-0700",
	'B': "January", 'b': "Jan", 'h': "Jan", 'A': "Monday", 'a': "Mon",
}

func timeField(t time.Time, verb rune) string {
	if layout, ok := layouts[verb]; ok {
		return t.Format(layout)
	}
	if verb == '%' {
		return "%"
	}
	return "%" + string(verb)
}
