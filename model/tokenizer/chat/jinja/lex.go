package jinja

import (
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
	for l.pos < len(l.src) {
		l.text()
	}
	l.emit(tokEOF, "")
	return l.tokens
}

func (l *lexer) emit(kind tokenKind, text string) {
	l.tokens = append(l.tokens, token{kind, text, l.line})
}

// advance moves to pos and counts lines.
func (l *lexer) advance(pos int) {
	l.line += strings.Count(l.src[l.pos:pos], "\n")
	l.pos = pos
}

func (l *lexer) fail(format string, a ...any) {
	panic(failure{errorAt(l.line, format, a...)})
}

// text reads up to the next tag, and that tag.
func (l *lexer) text() {
	begin := l.pos
	for {
		i := strings.IndexByte(l.src[l.pos:], '{')
		if i < 0 || l.pos+i+1 == len(l.src) {
			l.data(l.src[begin:])
			l.advance(len(l.src))
			return
		}
		at := l.pos + i
		l.advance(at)
		if c := l.src[at+1]; c != '{' && c != '%' && c != '#' {
			l.advance(at + 1)
			continue
		}
		l.tag(begin)
		return
	}
}

func (l *lexer) data(s string) {
	if s != "" {
		l.emit(tokData, s)
	}
}

// tag reads the tag at pos; begin is where the text before it begins.
func (l *lexer) tag(begin int) {
	before, kind, next := l.src[begin:l.pos], l.src[l.pos+1], l.pos+2
	sign := l.sign(next)
	if sign != 0 {
		next++
	}
	l.data(l.strip(before, sign, kind != '{', begin))
	switch kind {
	case '#':
		i := strings.Index(l.src[next:], "#}")
		if i < 0 {
			l.fail("comment without end")
		}
		l.advance(next + i)
		if i > 0 {
			sign = l.sign(l.pos - 1)
		} else {
			sign = 0
		}
		l.close(sign, true)
	case '%':
		if end, _, ok := l.keyword(l.pos, "raw"); ok {
			l.raw(end)
			return
		}
		l.emit(tokBlock, "")
		l.advance(next)
		l.inside(tokBlockEnd)
	default:
		l.emit(tokPrint, "")
		l.advance(next)
		l.inside(tokPrintEnd)
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
	if sign == '+' || !block {
		return text
	}
	i := strings.LastIndexByte(text, '\n') + 1
	lineStart := i > 0 || begin == 0 || l.src[begin-1] == '\n'
	if lineStart && strings.TrimLeftFunc(text[i:], isSpace) == "" {
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
	} else if sign != '+' && newline && end < len(l.src) && l.src[end] == '\n' {
		end++
	}
	l.advance(end)
}

// keyword reads {% word %} at i: where it ends without the white space after
// it, the sign in front of its end, and whether it is there.
func (l *lexer) keyword(i int, word string) (end int, sign byte, ok bool) {
	i += 2
	if l.sign(i) != 0 {
		i++
	}
	rest := strings.TrimLeftFunc(l.src[i:], isSpace)
	rest, ok = strings.CutPrefix(rest, word)
	if !ok {
		return 0, 0, false
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	end = len(l.src) - len(rest)
	if sign = l.sign(end); sign != 0 {
		end++
	}
	return end, sign, strings.HasPrefix(l.src[end:], "%}")
}

// raw reads {% raw %} … {% endraw %}; end is the position of the first "%}".
func (l *lexer) raw(end int) {
	sign := l.sign(end - 1)
	if sign == '+' {
		l.fail("unexpected + in a raw tag")
	}
	l.advance(end)
	l.close(sign, false)
	begin := l.pos
	for at := begin; ; at += 2 {
		i := strings.Index(l.src[at:], "{%")
		if i < 0 {
			l.fail("missing end of raw directive")
		}
		at += i
		if end, sign, ok := l.keyword(at, "endraw"); ok {
			l.data(l.strip(l.src[begin:at], l.sign(at+2), true, begin))
			l.advance(end)
			l.close(sign, true)
			return
		}
	}
}

var operators = []string{"//", "**", "==", "!=", ">=", "<=",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

// inside reads the tokens of a tag up to its end.
func (l *lexer) inside(end tokenKind) {
	closer := "%}"
	if end == tokPrintEnd {
		closer = "}}"
	}
	var open []byte // the brackets to be closed; within them the tag does not end
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		if len(open) == 0 {
			sign := l.sign(l.pos)
			if end == tokPrintEnd && sign == '+' {
				sign = 0
			}
			tail := rest
			if sign != 0 {
				tail = rest[1:]
			}
			if strings.HasPrefix(tail, closer) {
				l.emit(end, "")
				l.pos += len(rest) - len(tail)
				l.close(sign, end == tokBlockEnd)
				return
			}
		}
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case isSpace(r):
			l.advance(l.pos + size)
		case r >= '0' && r <= '9':
			l.number()
		case r == '_' || unicode.IsLetter(r):
			n := strings.IndexFunc(rest, func(r rune) bool {
				return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
			})
			if n < 0 {
				n = len(rest)
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
func (l *lexer) number() {
	s := l.src[l.pos:]
	digits := func(i int) int {
		for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '_' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9') {
			i++
		}
		return i
	}
	n, kind := digits(0), tokInt
	if l.pos == 0 || l.src[l.pos-1] != '.' { // in a.1.2 the numbers are indices
		if n+1 < len(s) && s[n] == '.' && s[n+1] >= '0' && s[n+1] <= '9' {
			n, kind = digits(n+1), tokFloat
		}
		if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
			i := n + 1
			if i < len(s) && (s[i] == '+' || s[i] == '-') {
				i++
			}
			if end := digits(i); end > i {
				n, kind = end, tokFloat
			}
		}
	}
	l.emit(kind, strings.ReplaceAll(s[:n], "_", ""))
	l.pos += n
}

// isSpace is Python's str.isspace.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
