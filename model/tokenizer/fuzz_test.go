package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse: whatever the file, there is an error or a tokenizer that works.
// Run it with -fuzzminimizetime=10x: else Go spends the first minute on that.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(smallSP))
	f.Add([]byte(strings.Replace(smallSP, `"pre_tokenizer": null`, `"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}`, 1)))
	f.Add([]byte(strings.Replace(small, `"type": "Split", `, `"type": "Digits", "individual_digits": true, `, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("not one short line: %q", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Error("accepted what is not JSON")
		}
		for _, text := range []string{"", " ab  cab é<s> <t>▁a\n12'll\xff"} {
			ids := tok.Encode(text, Options{AddSpecial: true, ParseSpecial: true})
			checkStream(t, tok, ids)
			checkIDs(t, tok, tok.Encode(text, Options{}))
			checkIDs(t, tok, ids)
		}
	})
}

func checkIDs(t *testing.T, tok *Tokenizer, ids []int32) {
	t.Helper()
	for _, id := range ids {
		if s, ok := tok.Token(id); !ok {
			t.Errorf("id %d is no token", id)
		} else if back, _ := tok.ID(s); back != id {
			t.Errorf("%q has the ids %d and %d", s, id, back)
		}
	}
}

// FuzzEncode: what goes in comes out, and streaming is decoding.
func FuzzEncode(f *testing.F) {
	for _, s := range fragments {
		f.Add(s + "a" + s)
	}
	f.Add(" it's 1234\n\n  x <|eot_id|></s>")
	f.Add("e" + strings.Repeat("\u0301\u0323", 20))
	toks := map[string]*Tokenizer{}
	for name := range local {
		toks[name] = load(f, name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, tok := range toks {
			for _, parse := range []bool{false, true} {
				ids := tok.Encode(text, Options{ParseSpecial: parse})
				checkIDs(t, tok, ids)
				if len(ids) < 50 {
					checkStream(t, tok, ids)
				}
				if again := tok.AppendEncode([]int32{1}, text, Options{ParseSpecial: parse}); !slices.Equal(again[1:], ids) {
					t.Errorf("%s: %q: %v, then %v", name, text, ids, again)
				}
				got, want := tok.Decode(ids, false), text
				switch {
				case name == "llama3":
					want = lossy(text)
				case name == "tiny" && !parse:
					want = lossy(tok.normalize(text))
				case name == "legacy" && !parse && utf8.ValidString(text):
					want = strings.ReplaceAll(text, spaceMark, " ")
				default:
					continue
				}
				if got != want {
					t.Errorf("%s: %q comes back as %q", name, text, got)
				}
			}
		}
	})
}
