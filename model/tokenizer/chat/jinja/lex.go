package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokData
	tokPrint // {{
	tokPrintEnd
	tokBlock // {%
	tokBlockEnd
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind tokenKind
	text string // of a string the value
	line int
}

// lexer follows jinja2/lexer.py with trim_blocks and lstrip_blocks: a newline
// after a block or comment is dropped, and so are spaces between the start of a
// line and a block or comment; "-" strips all white space, "+" keeps it.
type lexer struct {
	src    string
	pos    int
	line   int
	tokens []token
}

func lex(source string) []token {
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	l := &lexer{src: strings.TrimSuffix(source, "\n"), line: 1}
	begin := 0 // of the text before the next tag
	for {
		i := strings.IndexByte(l.src[l.pos:], '{')
		if i < 0 || l.pos+i+1 == len(l.src) {
			l.data(l.src[begin:])
			l.emit(tokEOF, "")
			return l.tokens
		}
		l.advance(l.pos + i)
		if c := l.src[l.pos+1]; c == '{' || c == '%' || c == '#' {
			l.tag(begin, c)
			begin = l.pos
		} else {
			l.advance(l.pos + 1)
		}
	}
}

func (l *lexer) emit(kind tokenKind, text string) {
	l.tokens = append(l.tokens, token{kind, text, l.line})
}

func (l *lexer) data(s string) {
	if s != "" {
		l.emit(tokData, s)
	}
}

// advance moves to pos and counts lines.
func (l *lexer) advance(pos int) {
	l.line += strings.Count(l.src[l.pos:pos], "\n")
	l.pos = pos
}

func (l *lexer) fail(format string, a ...any) {
	failf("template line %d: %w", l.line, fmt.Errorf(format, a...))
}

// tag reads the tag at pos; begin is where the text before it begins.
func (l *lexer) tag(begin int, kind byte) {
	next := l.pos + 2
	sign := l.sign(next)
	l.data(l.strip(l.src[begin:l.pos], sign, kind != '{', begin))
	if sign != 0 {
		next++
	}
	l.advance(next)
	switch kind {
	case '{':
		l.emit(tokPrint, "")
		l.inside(tokPrintEnd, "}}")
	case '%':
		l.emit(tokBlock, "")
		l.inside(tokBlockEnd, "%}")
	default:
		i := strings.Index(l.src[next:], "#}")
		if i < 0 {
			l.fail("comment without end")
		}
		l.advance(next + i)
		if sign = 0; i > 0 {
			sign = l.sign(l.pos - 1)
		}
		l.close(sign, true)
	}
}

// sign is the '-' or '+' at i, or 0.
func (l *lexer) sign(i int) byte {
	if i < len(l.src) && (l.src[i] == '-' || l.src[i] == '+') {
		return l.src[i]
	}
	return 0
}

// strip takes white space off the text before a tag.
func (l *lexer) strip(text string, sign byte, block bool, begin int) string {
	if sign == '-' {
		return strings.TrimRightFunc(text, isSpace)
	}
	i := strings.LastIndexByte(text, '\n') + 1
	lineStart := i > 0 || begin == 0 || l.src[begin-1] == '\n'
	if block && sign == 0 && lineStart && strings.TrimLeftFunc(text[i:], isSpace) == "" {
		return text[:i]
	}
	return text
}

// close passes the two characters that end a tag and the white space that goes
// with them. sign is what stands before them, newline whether one is dropped.
func (l *lexer) close(sign byte, newline bool) {
	end := l.pos + 2
	if sign == '-' {
		end = len(l.src) - len(strings.TrimLeftFunc(l.src[end:], isSpace))
	} else if sign == 0 && newline && end < len(l.src) && l.src[end] == '\n' {
		end++
	}
	l.advance(end)
}

var operators = []string{"//", "**", "==", "!=", ">=", "<=",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ","}

// inside reads the tokens of a tag up to its end.
func (l *lexer) inside(end tokenKind, closer string) {
	var open []byte // the brackets to be closed; within them the tag does not end
	for l.pos < len(l.src) {
		sign := l.sign(l.pos)
		if end == tokPrintEnd && sign == '+' {
			sign = 0
		}
		at := l.pos
		if sign != 0 {
			at++
		}
		if len(open) == 0 && strings.HasPrefix(l.src[at:], closer) {
			l.emit(end, "")
			l.pos = at
			l.close(sign, end == tokBlockEnd)
			return
		}
		rest := l.src[l.pos:]
		switch r, size := utf8.DecodeRuneInString(rest); {
		case isSpace(r):
			l.advance(l.pos + size)
		case r >= '0' && r <= '9':
			l.number(rest)
		case r == '_' || unicode.IsLetter(r):
			n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			if n < 0 {
				n = len(rest)
			}
			if n > maxName {
				l.fail("%w: a name of %d bytes, at most %d", ErrLimit, n, maxName)
			}
			l.emit(tokName, rest[:n])
			l.pos += n
		case r == '\'' || r == '"':
			l.quoted(byte(r))
		default:
			open = l.operator(open)
		}
	}
}

func (l *lexer) operator(open []byte) []byte {
	for _, op := range operators {
		if !strings.HasPrefix(l.src[l.pos:], op) {
			continue
		}
		switch c := op[0]; c {
		case '(':
			open = append(open, ')')
		case '[', '{':
			open = append(open, c+2)
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != c {
				l.fail("unexpected %q", op)
			}
			open = open[:len(open)-1]
		}
		if len(open) > MaxDepth {
			l.fail("%w: more than %d brackets within one another", ErrLimit, MaxDepth)
		}
		l.emit(tokOp, op)
		l.pos += len(op)
		return open
	}
	r, _ := utf8.DecodeRuneInString(l.src[l.pos:])
	l.fail("unexpected character %q", r)
	return nil
}

// number reads an integer, or a float where digits follow a point or an e.
func (l *lexer) number(s string) {
	digits := func(i int) int {
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i
	}
	n, kind := digits(0), tokInt
	if l.src[l.pos-1] != '.' { // in a.1.2 the numbers are indices
		if n < len(s) && s[n] == '.' && digits(n+1) > n+1 {
			n, kind = digits(n+1), tokFloat
		}
		if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
			i := n + 1
			if i < len(s) && (s[i] == '+' || s[i] == '-') {
				i++
			}
			if digits(i) > i {
				n, kind = digits(i), tokFloat
			}
		}
	}
	l.emit(kind, s[:n])
	l.pos += n
}

// quoted reads a string literal. Python's escapes are Go's, but that any quote
// may be escaped, \x is a character, and an unknown escape stands for itself.
func (l *lexer) quoted(quote byte) {
	var b strings.Builder
	s := l.src[l.pos+1:]
	for len(s) > 0 && s[0] != quote {
		r, _, tail, err := strconv.UnquoteChar(s, 0)
		switch {
		case s[0] != '\\':
			b.WriteByte(s[0])
			s = s[1:]
		case err == nil:
			b.WriteRune(r)
			s = tail
		case len(s) > 1 && (s[1] == '\'' || s[1] == '"'):
			b.WriteByte(s[1])
			s = s[2:]
		case strings.HasPrefix(s, "\\\n"): // a line continued
			s = s[2:]
		default:
			b.WriteByte('\\')
			s = s[1:]
		}
	}
	if s == "" {
		l.fail("string without end")
	}
	l.emit(tokString, b.String())
	l.advance(len(l.src) - len(s) + 1)
}

// isSpace is Python's str.isspace.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
