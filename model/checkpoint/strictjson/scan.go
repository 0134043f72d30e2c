package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// scanner checks a document (RFC 8259) byte by byte.
type scanner struct {
	data    []byte
	pos     int
	members int
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("invalid JSON at byte %d: %s", s.pos, fmt.Sprintf(format, args...))
}

func (s *scanner) unexpected(want string) error {
	c, ok := s.peek()
	switch {
	case !ok:
		return s.errorf("unexpected end, want %s", want)
	case c > ' ' && c < 0x7f:
		return s.errorf("unexpected character '%c', want %s", c, want)
	}
	return s.errorf("unexpected character 0x%02x, want %s", c, want)
}

func (s *scanner) peek() (byte, bool) {
	if s.pos < len(s.data) {
		return s.data[s.pos], true
	}
	return 0, false
}

// take steps over c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value steps over one value; depth counts it if it is an object or an array.
func (s *scanner) value(depth int) error {
	c, ok := s.peek()
	switch {
	case !ok:
		return s.unexpected("a value")
	case c == '{':
		seen := map[string]struct{}{}
		return s.object(depth, func(key string, _ []byte) bool {
			_, twice := seen[key]
			seen[key] = struct{}{}
			return !twice
		})
	case c == '[':
		return s.array(depth, func([]byte) error { return nil })
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return nil
		}
	}
	return s.unexpected("a value")
}

// object steps over an object; add gets its members and says whether a key is new.
func (s *scanner) object(depth int, add func(key string, value []byte) bool) error {
	if depth > MaxDepth {
		return s.errorf("nested deeper than %d", MaxDepth)
	}
	if !s.take('{') {
		return s.unexpected("{")
	}
	s.space()
	if s.take('}') {
		return nil
	}
	for {
		if s.members++; s.members > MaxMembers {
			return s.errorf("too many members, want at most %d", MaxMembers)
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		s.space()
		if !s.take(':') {
			return s.unexpected("':'")
		}
		s.space()
		begin := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if name := unquote(key); !add(name, s.data[begin:s.pos]) {
			return s.errorf("duplicate key %s", Name(name))
		}
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("',' or '}'")
		}
		s.space()
	}
}

// array steps over an array; add gets its elements.
func (s *scanner) array(depth int, add func(element []byte) error) error {
	if depth > MaxDepth {
		return s.errorf("nested deeper than %d", MaxDepth)
	}
	s.pos++ // [
	s.space()
	if s.take(']') {
		return nil
	}
	for {
		begin := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if err := add(s.data[begin:s.pos]); err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.unexpected("',' or ']'")
		}
		s.space()
	}
}

// text steps over a string and gives it with its quotes and escapes.
func (s *scanner) text() ([]byte, error) {
	begin := s.pos
	if !s.take('"') {
		return nil, s.unexpected("'\"'")
	}
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			return s.data[begin:s.pos], nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < ' ':
			return nil, s.errorf("control character 0x%02x in a string", c)
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, s.errorf("invalid UTF-8")
			}
			s.pos += size
		}
	}
	return nil, s.errorf("unexpected end of a string")
}

func (s *scanner) escape() error {
	rest := s.data[s.pos:]
	if len(rest) >= 2 && bytes.IndexByte([]byte(`"\/bfnrt`), rest[1]) >= 0 {
		s.pos += 2
		return nil
	}
	r, ok := hex4(rest)
	switch {
	case !ok:
		return s.errorf("invalid escape in a string")
	case r < 0xd800 || r > 0xdfff:
		s.pos += 6
		return nil
	}
	// encoding/json would turn every half pair into the same U+FFFD.
	if low, ok := hex4(rest[6:]); ok && r < 0xdc00 && low >= 0xdc00 && low <= 0xdfff {
		s.pos += 12
		return nil
	}
	return s.errorf("invalid character: a lone surrogate")
}

// hex4 reads \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('.') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return nil
}

func (s *scanner) digits() error {
	begin := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == begin {
		return s.unexpected("a digit")
	}
	return nil
}

// unquote decodes a string that text has checked.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var v string
	_ = json.Unmarshal(raw, &v) // cannot fail: text accepted it
	return v
}
