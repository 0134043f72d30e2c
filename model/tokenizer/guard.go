package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// guardMark is a noncharacter, which no text for interchange holds.
const guardMark = "\uFDD0"

// Guard marks what looks like a special token in text that a person wrote, so
// that it stays text when a chat template has put it between control tokens:
// encode the whole with Options.Guarded, which takes the marks out again.
func (t *Tokenizer) Guard(text string) string {
	text = strings.ReplaceAll(text, guardMark, "")
	var b strings.Builder
	done := 0
	for at := range len(text) {
		if !t.added.begins(text[at:]) && !t.addedNormalized.begins(text[at:]) {
			continue
		}
		_, n := utf8.DecodeRuneInString(text[at:])
		b.WriteString(text[done : at+n])
		b.WriteString(guardMark)
		done = at + n
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// begins says whether text begins with a special token, be it not the longest.
func (a *addedTokens) begins(text string) bool {
	if text == "" || !a.first[text[0]] {
		return false
	}
	for i := range a.sorted {
		if a.sorted[i].special && strings.HasPrefix(text, a.sorted[i].content) {
			return true
		}
	}
	return false
}
