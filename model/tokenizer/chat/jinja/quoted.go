package jinja

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoted reads a string literal with Python's escapes.
func (l *lexer) quoted(quote byte) {
	var b strings.Builder
	for i := l.pos + 1; i < len(l.src); {
		switch c := l.src[i]; {
		case c == quote:
			l.emit(tokString, b.String())
			l.advance(i + 1)
			return
		case c != '\\' || i+1 == len(l.src):
			b.WriteByte(c)
			i++
		default:
			i += l.escape(&b, l.src[i+1:]) + 1
		}
	}
	l.fail("string without end")
}

// escape writes what the escape sequence s means, its backslash taken off, and
// returns its length.
func (l *lexer) escape(b *strings.Builder, s string) int {
	if i := strings.IndexByte(`abfnrtv'"\`, s[0]); i >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v'\"\\"[i])
		return 1
	}
	switch c := s[0]; {
	case c == '\n': // a line continued
		return 1
	case c >= '0' && c <= '7':
		n := 1
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		code, _ := strconv.ParseUint(s[:n], 8, 32)
		b.WriteRune(rune(code))
		return n
	case c == 'x' || c == 'u' || c == 'U':
		n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		if len(s) > n {
			if code, err := strconv.ParseUint(s[1:1+n], 16, 32); err == nil && code <= utf8.MaxRune {
				b.WriteRune(rune(code))
				return 1 + n
			}
		}
		l.fail(`truncated \%c escape`, c)
	case c == 'N':
		l.fail(`\N escapes are not supported`)
	}
	b.WriteByte('\\') // any other stands for itself
	return 0
}
