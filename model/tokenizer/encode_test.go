package tokenizer

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// fragments is what random texts are put together from.
var fragments = []string{
	"the", "The", " of", "word", "it's", "IT'S", "we'LL", "x'ſ", "'", "''", " ", "  ", "   ", "\t", "\n", "\r\n", " \n", "\u00a0", "\u3000", "\u0085", "\u200b",
	"1", "12", "1234", "٣٤", "½", "中文", "한국어", "é", "e\u0301", "\u0301", "\u0323", "😀", "👨\u200d👩", "<s>", "<|im_end|>", "<|eot_id|>", "▁", "a▁b", "...", "_", "{}",
	"\u0000", "\ufffd", "\xff", "\xe4\xb8", "\xf0\x9f",
}

func randomText(rng *rand.Rand, parts int) string {
	var b strings.Builder
	for range parts {
		b.WriteString(fragments[rng.IntN(len(fragments))])
	}
	return b.String()
}

// lossy is what Rust's from_utf8_lossy makes of s.
func lossy(s string) string {
	text, _ := appendLossy(nil, []byte(s), false)
	return string(text)
}

func TestLossy(t *testing.T) {
	for s, want := range map[string]string{
		"a\xffb": "a\ufffdb", "\xe4\xb8x": "\ufffdx", "\xe4\xb8\xe4\xb8\xad": "\ufffd中", "\xed\xa0\x80": "\ufffd\ufffd\ufffd",
		"\xf0\x9f\x98": "\ufffd", "\xc0\x80": "\ufffd\ufffd", "\xf4\x90\x80\x80": "\ufffd\ufffd\ufffd\ufffd", "é\ufffd": "é\ufffd",
	} {
		if got := lossy(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

// TestScanners compares them with regular expressions, by another way.
func TestScanners(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, pattern := range []string{gpt2Pattern, gpt2PatternRust, qwen2Pattern, llama3Pattern} {
		re, err := compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			s := randomText(rng, 1+rng.IntN(12))
			var got, want []string
			scan(scanner(pattern))(func(p string) { got = append(got, p) })(s)
			split(re)(func(p string) { want = append(want, p) })(s)
			if !slices.Equal(got, want) {
				t.Fatalf("%s\n on %q\n got %q\nwant %q", pattern, s, got, want)
			}
		}
	}
}

// TestMerge compares with the definition: the leftmost pair of lowest rank.
func TestMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		m := &bpe{merges: map[pair]merge{}}
		for id := int32(3); id < 40; id++ { // ranks with ties, as SentencePiece has them
			m.merges[pair{rng.Int32N(id), rng.Int32N(id)}] = merge{rng.Int32N(12), id}
		}
		got := make([]int32, 1+rng.IntN(60))
		for i := range got {
			got[i] = rng.Int32N(3)
		}
		want := slices.Clone(got)
		for {
			best, at := int32(noRank), -1
			for i := range len(want) - 1 {
				if g, ok := m.merges[pair{want[i], want[i+1]}]; ok && g.rank < best {
					best, at = g.rank, i
				}
			}
			if at < 0 {
				break
			}
			want[at] = m.merges[pair{want[at], want[at+1]}].id
			want = slices.Delete(want, at+1, at+2)
		}
		if got = got[:m.merge(got)]; !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestNFCUnlimited(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	parts := []string{"a", "e", "q", "\u0301", "\u0323", "\u0302", "\u0344", "\u1100", "\u1161", "\u11a8", "가", "ậ", "\u0958", "Ω", "\u0fb2\u0f71\u0f80", "\xff", "字"}
	for range 5000 {
		var b strings.Builder
		for range 1 + rng.IntN(10) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		if got, want := nfcUnlimited(b.String()), norm.NFC.String(b.String()); got != want {
			t.Fatalf("%+q: got %+q, want %+q", b.String(), got, want)
		}
	}
	if got, want := nfc("e"+strings.Repeat("\u0301\u0323", 40)), "ẹ"+strings.Repeat("\u0323", 39)+strings.Repeat("\u0301", 40); got != want {
		t.Errorf("got %+q, want %+q", got, want)
	}
}

// TestSpecialAsText: nothing in a text becomes a control token by itself.
func TestSpecialAsText(t *testing.T) {
	ignoring := map[string]json.RawMessage{"ignore_merges": json.RawMessage("true")}
	for name, tok := range map[string]*Tokenizer{
		"llama3": load(t, "llama3"), "tiny": load(t, "tiny"), "legacy": load(t, "legacy"),
		"ignore_merges": mustParse(t, patched(t, "metaspace", nil, ignoring)),
	} {
		var text strings.Builder
		for id := range int32(tok.VocabSize()) {
			if s, ok := tok.Token(id); ok {
				text.WriteString(s)
				if tok.IsSpecial(id) {
					if got := tok.Encode(s, Options{ParseSpecial: true}); !slices.Equal(got, []int32{id}) {
						t.Errorf("%s: %q is %v, want %d", name, s, got, id)
					}
					if got := tok.Encode(s, Options{}); len(got) < 2 {
						t.Errorf("%s: %q as text is %v", name, s, got)
					}
				}
			}
		}
		for _, id := range tok.Encode(text.String(), Options{}) {
			if tok.IsSpecial(id) {
				t.Errorf("%s: a text has the special token %d", name, id)
			}
		}
	}
}

func TestAccessors(t *testing.T) {
	tok := mustParse(t, []byte(small))
	if n := tok.VocabSize(); n != 11 {
		t.Errorf("VocabSize %d", n)
	}
	for token, id := range map[string]int32{"Ġ": 3, "cab": 8, "<s>": 9, "<t>": 10} {
		if got, ok := tok.ID(token); got != id || !ok {
			t.Errorf("ID(%q): %d %v", token, got, ok)
		}
		if got, ok := tok.Token(id); got != token || !ok {
			t.Errorf("Token(%d): %q %v", id, got, ok)
		}
		if got := tok.IsSpecial(id); got != (id == 9) {
			t.Errorf("IsSpecial(%d): %v", id, got)
		}
	}
	if _, ok := tok.ID("nope"); ok {
		t.Error("ID of an unknown token")
	}
	for _, id := range []int32{-1, 11, 1 << 30} {
		if _, ok := tok.Token(id); ok || tok.IsSpecial(id) {
			t.Errorf("id %d is a token", id)
		}
	}
	if got := tok.Decode([]int32{-1, 0, 99, 3, 8, 1 << 30, 9}, true); got != "a cab" {
		t.Errorf("Decode skips: %q", got)
	}
	if got := tok.Encode("ab <t> <s>é", Options{AddSpecial: true, ParseSpecial: true}); !slices.Equal(got, []int32{9, 6, 10, 9, 4, 5}) {
		t.Errorf("Encode: %v", got)
	}
	if got := tok.AppendEncode([]int32{7}, "c?ab", Options{}); !slices.Equal(got, []int32{7, 2, 6}) {
		t.Errorf("AppendEncode: %v", got)
	}
}

// TestConcurrent encodes with one tokenizer from several goroutines.
func TestConcurrent(t *testing.T) {
	tok := load(t, "llama3")
	rng := rand.New(rand.NewPCG(9, 10))
	texts := make([]string, 300)
	want := make([][]int32, len(texts))
	for i := range texts {
		texts[i] = randomText(rng, 20)
		want[i] = tok.Encode(texts[i], Options{})
	}
	fresh := load(t, "llama3")
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for k := range texts {
				i := (k + 71*g) % len(texts)
				if got := fresh.Encode(texts[i], Options{}); !slices.Equal(got, want[i]) {
					t.Errorf("%q: got %v, want %v", texts[i], got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// TestHardTexts would not end in time if anything were quadratic.
func TestHardTexts(t *testing.T) {
	for _, name := range allNames {
		t.Run(name, func(t *testing.T) {
			tok := load(t, name)
			for kind, text := range hardTexts(250_000) {
				if want := tok.normalize(text); kind != "unicode" || name == "llama3" {
					got := tok.Decode(tok.Encode(text, Options{}), false)
					// Metaspace loses the first of several spaces; the legacy form's is its normalizer's.
					if name == "metaspace" || name == "legacy" {
						got, want = strings.TrimLeft(got, " "), strings.TrimLeft(text, " ")
					}
					if got != want {
						t.Errorf("%s: decodes to %d bytes, want %d", kind, len(got), len(want))
					}
				} else if ids := tok.Encode(text, Options{}); len(ids) == 0 {
					t.Errorf("%s: no ids", kind)
				}
			}
		})
	}
}

// checkStream compares streaming with decoding at once, for every prefix.
func checkStream(t *testing.T, tok *Tokenizer, ids []int32) {
	t.Helper()
	for _, skip := range []bool{false, true} {
		d := tok.NewDecoder(skip)
		text := ""
		for n, id := range ids {
			text += d.Next(id)
			flushed := tok.NewDecoder(skip)
			*flushed = *d
			flushed.pending = slices.Clone(d.pending)
			if got, want := text+flushed.Flush(), tok.Decode(ids[:n+1], skip); got != want {
				t.Fatalf("%v up to %d: got %q, want %q", ids, n, got, want)
			}
			if !utf8.ValidString(text) {
				t.Fatalf("%v up to %d: %q is not UTF-8", ids, n, text)
			}
		}
		if got, want := text+d.Flush(), tok.Decode(ids, skip); got != want {
			t.Fatalf("%v: got %q, want %q", ids, got, want)
		}
	}
}

func TestStream(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, name := range allNames {
		t.Run(name, func(t *testing.T) {
			tok := load(t, name)
			for range 100 {
				ids := tok.Encode(randomText(rng, 10), Options{AddSpecial: true, ParseSpecial: true})
				checkStream(t, tok, ids)
				for i := range ids {
					ids[i] = rng.Int32N(int32([]int{300, tok.VocabSize() + 5}[i%2]))
				}
				checkStream(t, tok, ids)
			}
		})
	}
	// A character comes as soon as it is complete, and not before.
	tok := load(t, "llama3")
	d := tok.NewDecoder(true)
	var got []string
	for _, b := range []byte("a😀é") {
		id, _ := tok.ID(byteChars[b])
		got = append(got, d.Next(id))
	}
	if want := []string{"a", "", "", "", "😀", "", "é"}; !slices.Equal(got, want) || d.Flush() != "" {
		t.Errorf("got %q, want %q", got, want)
	}
}
