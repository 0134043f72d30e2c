package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of added_tokens.
type addedToken struct {
	content                    string // never empty
	id                         int32
	special                    bool
	lstrip, rstrip, singleWord bool
}

// addedTokens finds added tokens in a text, leftmost first and of those the
// longest.
type addedTokens struct {
	sorted []addedToken // by content
	first  [256]bool    // bytes that begin a content
}

func newAddedTokens(tokens []addedToken) addedTokens {
	a := addedTokens{sorted: tokens}
	slices.SortFunc(a.sorted, func(x, y addedToken) int { return strings.Compare(x.content, y.content) })
	for _, t := range tokens {
		a.first[t.content[0]] = true
	}
	return a
}

// cut calls f for each part of text in order: id is that of the added token,
// or -1 for text between them, which is never empty.
func (a *addedTokens) cut(text string, parseSpecial bool, f func(start, end int, id int32)) {
	done := 0 // what has been passed to f
	for at := 0; len(a.sorted) > 0 && at < len(text); {
		if !a.first[text[at]] {
			at++
			continue
		}
		t := a.longest(text[at:])
		if t == nil {
			at++
			continue
		}
		start, end := at, at+len(t.content)
		at = end
		if t.special && !parseSpecial || t.singleWord && (wordEnds(text[:start]) || wordBegins(text[end:])) {
			continue
		}
		if t.lstrip {
			start = max(len(strings.TrimRightFunc(text[:start], unicode.IsSpace)), done)
		}
		if t.rstrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		if done < start {
			f(done, start, -1)
		}
		f(start, end, t.id)
		done = end
	}
	if done < len(text) {
		f(done, len(text), -1)
	}
}

// longest returns the longest token that text begins with, or nil.
func (a *addedTokens) longest(text string) *addedToken {
	var best *addedToken
	left := a.sorted // those that share text[:n]
	for n := 0; len(left) > 0; n++ {
		if len(left[0].content) == n {
			best, left = &left[0], left[1:]
		}
		if n == len(text) {
			break
		}
		c := text[n]
		from, _ := slices.BinarySearchFunc(left, c, func(t addedToken, c byte) int { return int(t.content[n]) - int(c) })
		left = left[from:]
		to, _ := slices.BinarySearchFunc(left, int(c)+1, func(t addedToken, c int) int { return int(t.content[n]) - c })
		left = left[:to]
	}
	return best
}

func wordEnds(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return isWord(r)
}

func wordBegins(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return isWord(r)
}

// isWord is \w of Unicode's regular expressions (UTS 18, annex C). The rune
// that stands for no text, U+FFFD, is not among them.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc,
		unicode.Other_Alphabetic, unicode.Join_Control)
}
