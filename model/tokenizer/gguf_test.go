package tokenizer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// vocabularyOf is what a converter writes of a byte-level tokenizer.json.
func vocabularyOf(t *testing.T, data []byte, pre string) *Vocabulary {
	t.Helper()
	f, err := readJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	tok := mustParse(t, data)
	v := &Vocabulary{Model: "gpt2", Pre: pre, BOS: -1, EOS: -1, Unknown: -1, Tokens: slices.Clone(tok.tokens)}
	for id := range v.Tokens {
		kind := int32(typeNormal)
		if !tok.known[id] {
			kind = typeUnused
		}
		v.Types = append(v.Types, kind)
	}
	for _, a := range f.AddedTokens {
		v.Types[*a.ID] = typeUser
		if *a.Special {
			v.Types[*a.ID] = typeControl
		}
	}
	for _, m := range f.Model.Merges {
		v.Merges = append(v.Merges, m[0]+" "+m[1])
	}
	if len(tok.prefix) > 0 {
		v.BOS = tok.prefix[0]
	}
	return v
}

// TestVocabularyLlama3: pre "llama-bpe" is Llama 3's pipeline: up to three
// digits, whole words before merges, and a BOS in front.
func TestVocabularyLlama3(t *testing.T) {
	v := vocabularyOf(t, loadJSON(t, "llama3"), "llama-bpe")
	tok, key, err := FromVocabulary(v)
	if err != nil {
		t.Fatal(key, err)
	}
	cases, decode := readGolden(t, "golden.json.gz")
	for _, c := range cases {
		var text string
		var want goldenCase
		for key, to := range map[string]any{"text": &text, "llama3": &want} {
			if err := json.Unmarshal(c[key], to); err != nil {
				t.Fatal(key, err)
			}
		}
		if got := tok.Encode(text, Options{ParseSpecial: true}); !slices.Equal(got, want.IDs) {
			t.Errorf("Encode(%.60q)\n got %v\nwant %v", text, got, want.IDs)
		}
		if got := tok.Encode(text, Options{AddSpecial: true, ParseSpecial: true}); !slices.Equal(got, want.WithBOS) {
			t.Errorf("Encode(%.60q) with BOS\n got %v\nwant %v", text, got, want.WithBOS)
		}
		if got := tok.Decode(want.IDs, false); got != want.Decoded {
			t.Errorf("Decode(%v)\n got %.200q\nwant %.200q", want.IDs, got, want.Decoded)
		}
	}
	n := 0
	for _, d := range decode {
		if d.Tokenizer == "llama3" {
			n++
			checkDecode(t, tok, d.IDs, d.Text, d.SkipSpecial)
		}
	}
	if len(cases) < 200 || n < 20 {
		t.Error("golden cases missing")
	}
}

// pieces is a small SentencePiece vocabulary; <0x00> is 14.
func pieces() *Vocabulary {
	v := &Vocabulary{Model: "llama", BOS: 1, EOS: 2, Unknown: 0,
		Tokens: []string{"<unk>", "<s>", "</s>", "x", "y", "▁", "a", "b", "ab", "▁ab", "<user>", "[PAD]", "", "ba"},
		Types: []int32{typeUnknown, typeControl, typeControl, typeNormal, typeNormal, typeNormal, typeNormal, typeNormal, typeNormal,
			typeNormal, typeUser, typeUnused, typeUnused, typeNormal},
		Scores: []float32{0, 0, 0, 0, 0, -9, -7, -8, -1, -2, 0, 0, 0, -1}}
	for b := range 256 {
		v.Tokens, v.Types, v.Scores = append(v.Tokens, fmt.Sprintf("<0x%02X>", b)), append(v.Types, typeByte), append(v.Scores, 0)
	}
	return v
}

// withoutBytes takes the byte tokens away.
func withoutBytes(v *Vocabulary) {
	v.Tokens, v.Types, v.Scores = v.Tokens[:14], v.Types[:14], v.Scores[:14]
}

func TestVocabularyPieces(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		text   string
		o      Options
		change func(v *Vocabulary)
		want   []int32
	}{
		{"ab", Options{}, nil, []int32{9}},
		{"aab", Options{}, nil, []int32{5, 6, 8}},
		{"aba", Options{}, nil, []int32{9, 6}}, // ab and ba of one score: the left one
		{"", Options{AddSpecial: true}, nil, []int32{1}},
		{"ab", Options{AddSpecial: true}, func(v *Vocabulary) { v.AddEOS = &yes }, []int32{1, 9, 2}},
		{"ab", Options{AddSpecial: true}, func(v *Vocabulary) { v.AddBOS = &no }, []int32{9}},
		{"ab", Options{}, func(v *Vocabulary) { v.AddSpace = &no }, []int32{8}},
		{"<user>ab", Options{}, nil, []int32{10, 9}},
		{"<s>ab", Options{ParseSpecial: true}, nil, []int32{1, 9}},
		{"A", Options{}, nil, []int32{5, 14 + 'A'}},
		{"é", Options{}, nil, []int32{5, 14 + 0xc3, 14 + 0xa9}},
		{"<0x41>", Options{ParseSpecial: true}, nil, []int32{5, 14 + '<', 14 + '0', 3, 14 + '4', 14 + '1', 14 + '>'}},
		{"[PAD]", Options{ParseSpecial: true}, nil, []int32{5, 14 + '[', 14 + 'P', 14 + 'A', 14 + 'D', 14 + ']'}},
		{"aéééb", Options{}, withoutBytes, []int32{5, 6, 0, 7}},
	} {
		v := pieces()
		if c.change != nil {
			c.change(v)
		}
		tok, key, err := FromVocabulary(v)
		if err != nil {
			t.Fatal(key, err)
		}
		if got := tok.Encode(c.text, c.o); !slices.Equal(got, c.want) {
			t.Errorf("Encode(%q): %v, want %v", c.text, got, c.want)
		}
	}
	tok, _, err := FromVocabulary(pieces())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ids  []int32
		skip bool
		want string
	}{
		{[]int32{9, 9}, true, "ab ab"},
		{[]int32{1, 9, 2}, true, "ab"},
		{[]int32{1, 9, 2}, false, "<s> ab</s>"},
		{[]int32{14 + 'A', 9}, true, "A ab"},
		{[]int32{14 + ' ', 9}, true, "  ab"},
		{[]int32{14 + 0xc3, 14 + 0xa9, 14 + 0xe5, 14 + 'A', 14 + 0xe5, 14 + 0xad}, true, "é\ufffdA\ufffd\ufffd"},
		{[]int32{14 + 0xe5, 1, 9}, true, "\ufffd ab"},
		{[]int32{14 + 0xc3, 1, 14 + 0xa9}, true, "\ufffd\ufffd"},
		{[]int32{0, 9}, true, " \u2047  ab"},
		{[]int32{0, 9}, false, "<unk> ab"},
		{[]int32{5, 9}, true, " ab"},
		{[]int32{11, 12, -1, 999, 9}, true, "ab"},
	} {
		if got := tok.Decode(c.ids, c.skip); got != c.want {
			t.Errorf("Decode(%v, %t): %q, want %q", c.ids, c.skip, got, c.want)
		}
	}
	if _, ok := tok.Token(11); ok || tok.VocabSize() != 14+256 || !tok.IsSpecial(0) || tok.IsSpecial(10) {
		t.Error("unused or special tokens")
	}
}

func TestBadVocabularies(t *testing.T) {
	yes := true
	bytePair := func() *Vocabulary {
		return &Vocabulary{Model: "gpt2", Pre: "qwen2", BOS: -1, EOS: -1, Unknown: -1, Tokens: []string{"a", "b", "ab", "<c>"},
			Types: []int32{1, 1, 1, 3}, Merges: []string{"a b"}}
	}
	for _, c := range []struct {
		name   string
		v      *Vocabulary
		change func(v *Vocabulary)
		words  string // key: error
	}{
		{"no model", bytePair(), func(v *Vocabulary) { v.Model = "" }, `model: "" is not supported`},
		{"wordpiece", bytePair(), func(v *Vocabulary) { v.Model = "bert" }, `model: "bert" is not supported, want "gpt2" or "llama"`},
		{"no pre", bytePair(), func(v *Vocabulary) { v.Pre = "" }, `pre: "" is not supported`},
		{"default", bytePair(), func(v *Vocabulary) { v.Pre = "default" }, `pre: "default" is not supported`},
		{"no tokens", bytePair(), func(v *Vocabulary) { v.Tokens = nil }, "tokens: missing or empty"},
		{"types", bytePair(), func(v *Vocabulary) { v.Types = v.Types[1:] }, "token_type: got 3, want one for each of the 4 tokens"},
		{"type 7", bytePair(), func(v *Vocabulary) { v.Types[2] = 7 }, "token_type: token 2: got 7, want 1 to 6"},
		{"type 0", bytePair(), func(v *Vocabulary) { v.Types[2] = 0 }, "token_type: token 2: got 0"},
		{"not UTF-8", bytePair(), func(v *Vocabulary) { v.Tokens[1] = strings.Repeat("\x80", 200) }, "tokens: token 1: "},
		{"duplicate", bytePair(), func(v *Vocabulary) { v.Tokens[3] = "a" }, `tokens: token 3: duplicate of "a"`},
		{"long control", bytePair(), func(v *Vocabulary) { v.Tokens[3] = strings.Repeat("c", 1025) }, "tokens: token 3: got 1025 bytes, want at most 1024"},
		{"no merges", bytePair(), func(v *Vocabulary) { v.Merges = nil }, "merges: missing or empty"},
		{"merge of one", bytePair(), func(v *Vocabulary) { v.Merges = []string{"ab"} }, `merges: merge 0: got "ab", want two tokens`},
		{"merge of three", bytePair(), func(v *Vocabulary) { v.Merges = []string{"a b c"} }, "merges: merge 0: got"},
		{"merge of none", bytePair(), func(v *Vocabulary) { v.Merges = []string{" "} }, "merges: merge 0: got"},
		{"merge not UTF-8", bytePair(), func(v *Vocabulary) { v.Merges = []string{strings.Repeat("\x80", 200)} }, "merges: merge 0: got"},
		{"merge to nothing", bytePair(), func(v *Vocabulary) { v.Merges = []string{"b a"} }, `merges: merge 0: "ba" is not among the tokens`},
		{"prefix space", bytePair(), func(v *Vocabulary) { v.AddSpace = &yes }, "add_space_prefix: true is not supported"},
		{"BOS missing", bytePair(), func(v *Vocabulary) { v.AddBOS = &yes }, "bos_token_id: missing"},
		{"BOS of llama-bpe", bytePair(), func(v *Vocabulary) { v.Pre = "llama-bpe" }, "bos_token_id: missing"},
		{"EOS beyond", bytePair(), func(v *Vocabulary) { v.AddEOS, v.EOS = &yes, 4 }, "eos_token_id: got 4, which is no token"},
		{"no scores", pieces(), func(v *Vocabulary) { v.Scores = nil }, "scores: got 0, want one for each of the 270 tokens"},
		{"NaN score", pieces(), func(v *Vocabulary) { v.Scores[6] = float32(math.NaN()) }, "scores: token 6: got NaN"},
		{"long piece", pieces(), func(v *Vocabulary) { v.Tokens[8] = strings.Repeat("a", 257) }, "tokens: token 8: got 257 bytes, want at most 256"},
		{"bytes missing", pieces(), func(v *Vocabulary) { v.Types[14+'A'] = typeNormal }, "token_type: got 255 of the tokens <0x00> to <0xFF>"},
		{"unknown unused", pieces(), func(v *Vocabulary) { v.Unknown = 11 }, "unknown_token_id: got 11, which is no token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.change(c.v)
			_, key, err := FromVocabulary(c.v)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := key + ": " + err.Error(); !strings.Contains(got, c.words) || len(got) > 400 {
				t.Errorf("got %q, want %q", got, c.words)
			}
		})
	}
}
