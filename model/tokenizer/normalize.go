package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// cgj is the combining grapheme joiner.
const cgj = "\u034f"

// nfc composes s canonically. x/text puts a joiner into runs of more than 30
// combining marks ("stream-safe text"); Hugging Face does not, so such a text
// goes the long way.
func nfc(s string) string {
	if isASCII(s) {
		return s
	}
	c := norm.NFC.String(s)
	if strings.Count(c, cgj) != strings.Count(s, cgj) {
		return nfcUnlimited(s)
	}
	return c
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// char is a character, or a byte that is none, with its combining class.
type char struct {
	text  string
	class uint8
}

// nfcUnlimited is the algorithm of UAX 15 character by character: decompose,
// sort runs of marks by class, compose each mark with the starter before it.
func nfcUnlimited(s string) string {
	var chars []char
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		for d := norm.NFD.String(s[:n]); len(d) > 0; {
			_, k := utf8.DecodeRuneInString(d)
			chars = append(chars, char{d[:k], norm.NFD.PropertiesString(d[:k]).CCC()})
			d = d[k:]
		}
		s = s[n:]
	}
	for i := 0; i < len(chars); i++ {
		j := i
		for j < len(chars) && chars[j].class != 0 {
			j++
		}
		slices.SortStableFunc(chars[i:j], func(a, b char) int { return int(a.class) - int(b.class) })
		i = j
	}

	out := chars[:0]
	starter, last := -1, 0 // last: class of the character before, -1 if that is the starter
	for _, c := range chars {
		if starter >= 0 && last < int(c.class) {
			both := norm.NFC.String(out[starter].text + c.text)
			if _, n := utf8.DecodeRuneInString(both); n == len(both) {
				out[starter].text = both
				continue
			}
		}
		last = int(c.class)
		if c.class == 0 {
			starter, last = len(out), -1
		}
		out = append(out, c)
	}
	var b strings.Builder
	for _, c := range out {
		b.WriteString(c.text)
	}
	return b.String()
}
