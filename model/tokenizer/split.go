package tokenizer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// preTokenizer is a step that cuts pieces of text into smaller ones: given
// what takes its pieces (never empty), it returns what takes its input. It is
// called once for each Encode, so that a step may keep state for one text.
type preTokenizer func(yield func(string)) func(string)

// scan cuts by a function that returns the length of the first piece.
func scan(next func(string) int) preTokenizer {
	return func(yield func(string)) func(string) {
		return func(s string) {
			for len(s) > 0 {
				n := next(s)
				yield(s[:n])
				s = s[n:]
			}
		}
	}
}

// scanDigits cuts off a run of numbers, or of other characters.
func scanDigits(s string) int {
	c, n := classAt(s, 0)
	for n < len(s) {
		c2, k := classAt(s, n)
		if (c == number) != (c2 == number) {
			break
		}
		n += k
	}
	return n
}

// scanSingleDigits is scanDigits with each number by itself.
func scanSingleDigits(s string) int {
	for i := 0; i < len(s); {
		c, n := classAt(s, i)
		if c == number {
			if i == 0 {
				return n
			}
			return i
		}
		i += n
	}
	return len(s)
}

// prefixSpace puts a space before pieces without one (add_prefix_space).
func prefixSpace(yield func(string)) func(string) {
	return func(s string) {
		if s[0] != ' ' {
			s = " " + s
		}
		yield(s)
	}
}

// scanWord cuts before each mark, or with runs before each run of marks.
func scanWord(mark string, runs bool) func(string) int {
	return func(s string) int {
		n := 0
		for runs && strings.HasPrefix(s[n:], mark) {
			n += len(mark)
		}
		if n == 0 {
			_, n = utf8.DecodeRuneInString(s)
		}
		if i := strings.Index(s[n:], mark); i >= 0 {
			return n + i
		}
		return len(s)
	}
}

// metaspace writes spaces as a mark and puts one in front of the text.
type metaspace struct {
	mark   string
	scheme string // prepend_scheme: always, first or never
}

func (m *metaspace) apply(s string, first bool) string {
	s = strings.ReplaceAll(s, " ", m.mark)
	if (m.scheme == "always" || m.scheme == "first" && first) && !strings.HasPrefix(s, m.mark) {
		s = m.mark + s
	}
	return s
}

// A pattern from a file may need exponential time. Each match may take
// matchTime and those of one text together textTime and 10 s for each MiB; then
// the rest stays one piece, which has other ids but still the same text.
const (
	matchTime = time.Second
	textTime  = 10 * time.Second
)

// split cuts by a regular expression: matches and what is between them.
func split(re *regexp2.Regexp) preTokenizer {
	return func(yield func(string)) func(string) {
		var start time.Time
		limit := textTime
		return func(s string) {
			if start.IsZero() {
				start = time.Now()
			}
			limit += time.Duration(len(s)) * textTime >> 20
			done := 0
			m, err := (*regexp2.Match)(nil), error(nil)
			if time.Since(start) < limit {
				m, err = re.FindStringMatch(s)
			}
			for m != nil && err == nil && time.Since(start) < limit {
				from, n := m.ByteRange()
				if done < from {
					yield(s[done:from])
				}
				if n > 0 {
					yield(s[from : from+n])
				}
				done = from + n
				m, err = re.FindNextMatch(m)
			}
			if err != nil {
				limit = 0
			}
			if done < len(s) {
				yield(s[done:])
			}
		}
	}
}

// sameSyntax is what is known to mean the same in Oniguruma (the tokenizers
// library's engine) and regexp2. Beyond it are \w, \b, ^ and $ (each line's),
// nested and intersected classes, flags but i, and more: refused, not guessed.
var sameSyntax = regexp.MustCompile(`^(?:` +
	`[^\\\[\]^$(){}]` + // a character, | . ? * +
	`|\\[pP]\{[A-Za-z_]+\}|\\[sSdDrntfv]|\\[^A-Za-z0-9]` +
	`|\[\^?(?:[^\\\[\]&]|\\[pP]\{[A-Za-z_]+\}|\\[sSdDrntfv]|\\[^A-Za-z0-9]|&[^&\]])+\]` +
	`|\((?:\?(?:i?:|[=!>]|<[=!]))?|\)` +
	`|\{[0-9]+(?:,[0-9]*)?\}` +
	`)*$`)

// otherSyntax slips through sameSyntax: {2}+ and {2}?, and groups like (?m).
var otherSyntax = regexp.MustCompile(`\{[0-9,]+\}[+?]|\(\?(?:[^i:=!><]|i[^:]|<[^=!])`)

// compile compiles a regular expression of a Split.
func compile(pattern string) (*regexp2.Regexp, error) {
	switch {
	case pattern == "":
		return nil, errors.New("empty regular expression")
	case len(pattern) > 4096:
		return nil, fmt.Errorf("regular expression of %d bytes, more than 4096", len(pattern))
	}
	re, err := regexp2.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("regular expression does not compile: %s", short(err.Error()))
	}
	if !sameSyntax.MatchString(pattern) || otherSyntax.MatchString(pattern) {
		return nil, fmt.Errorf("regular expression %s has syntax that is not supported", quote(pattern))
	}
	re.MatchTimeout = matchTime
	return re, nil
}
