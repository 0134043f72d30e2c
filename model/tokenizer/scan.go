package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// The regular expressions that have a scanner here, as files spell them.
const (
	gpt2Pattern     = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	gpt2PatternRust = `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	qwen2Pattern    = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llama3Pattern   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// scanner returns the scanner of a known pattern, or nil.
func scanner(pattern string) func(string) int {
	switch pattern {
	case gpt2Pattern, gpt2PatternRust:
		return scanGPT2
	case qwen2Pattern:
		return func(s string) int { return scanLlama3(s, 1) }
	case llama3Pattern:
		return func(s string) int { return scanLlama3(s, 3) }
	}
	return nil
}

// class is what the patterns distinguish.
type class uint8

const (
	other   class = iota // [^\s\p{L}\p{N}], and bytes that are not UTF-8
	letter               // \p{L}
	number               // \p{N}
	space                // \s but \r and \n
	newline              // \r and \n
	beyond               // not ASCII: see the character
)

var asciiClass = func() (t [256]class) {
	for b := range t {
		t[b] = beyond
		if b < utf8.RuneSelf {
			t[b] = runeClass(rune(b))
		}
	}
	return t
}()

func runeClass(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case r == '\r' || r == '\n':
		return newline
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// classAt returns the class and length of the character at s[i].
func classAt(s string, i int) (class, int) {
	if c := asciiClass[s[i]]; c != beyond {
		return c, 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return runeClass(r), n
}

// run returns the end of the characters of class c from s[i] on.
func run(s string, i int, c class) int {
	for i < len(s) {
		if asciiClass[s[i]] == c {
			i++
			continue
		}
		k, n := classAt(s, i)
		if k != c {
			break
		}
		i += n
	}
	return i
}

// scanGPT2 returns the length of the first match of gpt2Pattern in s, which
// begins s, as do those of the other patterns: every character has a branch.
func scanGPT2(s string) int {
	if n := contraction(s, false); n > 0 {
		return n
	}
	c, n := classAt(s, 0)
	if s[0] == ' ' && len(s) > 1 {
		if c2, n2 := classAt(s, 1); c2 < space {
			return run(s, 1+n2, c2)
		}
	}
	if c < space {
		return run(s, n, c)
	}
	end, last, _ := spaces(s)
	return withoutLast(s, end, last)
}

// scanLlama3 is scanGPT2 for llama3Pattern (3 digits) and qwen2Pattern (1).
func scanLlama3(s string, digits int) int {
	if n := contraction(s, true); n > 0 {
		return n
	}
	c, n := classAt(s, 0)
	if c == letter {
		return run(s, n, letter)
	}
	if c == number {
		for ; digits > 1 && n < len(s); digits-- {
			c, k := classAt(s, n)
			if c != number {
				break
			}
			n += k
		}
		return n
	}
	if c != newline && n < len(s) {
		c2, n2 := classAt(s, n)
		if c2 == letter {
			return run(s, n+n2, letter)
		}
		if s[0] == ' ' && c2 == other {
			c, n = other, n+n2
		}
	}
	if c == other {
		n = run(s, n, other)
		for n < len(s) && asciiClass[s[n]] == newline {
			n++
		}
		return n
	}
	end, last, line := spaces(s)
	if line > 0 {
		return line
	}
	return withoutLast(s, end, last)
}

// spaces measures the white space that s begins with: its end, where its last
// character begins, and the end of its last \r or \n (0: none).
func spaces(s string) (end, last, line int) {
	for end < len(s) {
		c, n := classAt(s, end)
		if c != space && c != newline {
			break
		}
		last, end = end, end+n
		if c == newline {
			line = end
		}
	}
	return end, last, line
}

// withoutLast is \s+(?!\S)|\s+: before a word the last space is left to it.
func withoutLast(s string, end, last int) int {
	if end == len(s) || last == 0 {
		return end
	}
	return last
}

// contraction is 's|'t|'re|'ve|'m|'ll|'d, which may begin s. Ignoring case,
// ſ (U+017F) is an s.
func contraction(s string, ignoreCase bool) int {
	if s[0] != '\'' || len(s) < 2 {
		return 0
	}
	var low [2]byte // what follows the apostrophe
	for i := range min(2, len(s)-1) {
		low[i] = s[1+i]
		if ignoreCase && low[i] >= 'A' && low[i] <= 'Z' {
			low[i] += 'a' - 'A'
		}
	}
	switch low[0] {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if low[1] == 'e' {
			return 3
		}
	case 'l':
		if low[1] == 'l' {
			return 3
		}
	}
	if ignoreCase && low == [2]byte{0xC5, 0xBF} {
		return 3
	}
	return 0
}
