package model_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"armor/model"
	"armor/model/tokenizer"
)

// readTokenizer reads the tokenizer of a folder or GGUF file.
func readTokenizer(t *testing.T, path string) *tokenizer.Tokenizer {
	t.Helper()
	ck, err := model.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := model.LoadTokenizer(ck)
	if err := errors.Join(err, ck.Close()); err != nil {
		t.Fatal(err)
	}
	return tok
}

// tokenizerGolden reads one of package tokenizer's golden files.
func tokenizerGolden(t *testing.T, name string, v any) {
	t.Helper()
	f, err := os.Open(filepath.Join("tokenizer", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		err = json.NewDecoder(z).Decode(v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func sameIDs(t *testing.T, tok *tokenizer.Tokenizer, text string, o tokenizer.Options, want []int32) {
	t.Helper()
	if got := tok.Encode(text, o); !slices.Equal(got, want) {
		t.Errorf("%q, %+v\n got %v\nwant %v", text, o, got, want)
	}
}

// TestTokenizerSentencePiece compares with sentencepiece itself.
func TestTokenizerSentencePiece(t *testing.T) {
	var golden struct {
		Cases []struct {
			Text string
			GGUF struct {
				IDs     []int32
				AsText  []int32 `json:"ids_specials_as_text"`
				Decoded string  `json:"decoded_specials_as_text"`
			}
		}
		Decode []struct {
			Tokenizer string
			IDs       []int32
			Text      string `json:"text_skip_special"`
		}
	}
	tokenizerGolden(t, "golden-llama2.json.gz", &golden)
	tok := readTokenizer(t, goldenPath("tiny-llama2.gguf"))
	for _, c := range golden.Cases {
		plain := c.GGUF.AsText
		if plain == nil {
			plain = c.GGUF.IDs
		}
		sameIDs(t, tok, c.Text, tokenizer.Options{ParseSpecial: true}, c.GGUF.IDs)
		sameIDs(t, tok, c.Text, tokenizer.Options{}, plain)
		sameIDs(t, tok, c.Text, tokenizer.Options{AddSpecial: true}, append([]int32{1}, plain...))
		for _, skip := range []bool{false, true} {
			if got := tok.Decode(plain, skip); got != c.GGUF.Decoded {
				t.Errorf("Decode(%v, %t)\n got %q\nwant %q", plain, skip, got, c.GGUF.Decoded)
			}
		}
	}
	decoded := 0
	for _, c := range golden.Decode {
		if c.Tokenizer != "gguf" {
			continue
		}
		decoded++
		if got := tok.Decode(c.IDs, true); got != c.Text {
			t.Errorf("Decode(%v)\n got %q\nwant %q", c.IDs, got, c.Text)
		}
		stream, text := tok.NewDecoder(true), ""
		for _, id := range c.IDs {
			text += stream.Next(id)
		}
		if text += stream.Flush(); text != c.Text {
			t.Errorf("decoded one by one, %v\n got %q\nwant %q", c.IDs, text, c.Text)
		}
	}
	t.Logf("%d texts, %d decodings", len(golden.Cases), decoded)
	if len(golden.Cases) < 281 || decoded < 50 {
		t.Error("cases missing")
	}
	if got := tok.Decode([]int32{1, 261, 0, 2}, false); got != "<s> a<unk></s>" {
		t.Errorf("with special tokens: %q", got)
	}
}

// TestTokenizerGGUF: a GGUF file's tokenizer is the folder's.
func TestTokenizerGGUF(t *testing.T) {
	var golden struct {
		Cases []map[string]json.RawMessage
	}
	tokenizerGolden(t, "golden.json.gz", &golden)
	t.Run("tiny-llama3-rope", func(t *testing.T) {
		compareTokenizers(t, golden.Cases, "", goldenPath("tiny-llama3-rope"), goldenPath("tiny-llama3-rope.gguf"))
	})
	for name, column := range map[string]string{"smollm2-135m-instruct": "smollm", "qwen2.5-coder-0.5b-instruct": "qwen2"} {
		t.Run(name, func(t *testing.T) {
			path := realModel(t, name)
			compareTokenizers(t, golden.Cases, column, path, path+".gguf")
		})
	}
}

func compareTokenizers(t *testing.T, cases []map[string]json.RawMessage, column, folder, file string) {
	t.Helper()
	a, b := readTokenizer(t, folder), readTokenizer(t, file)
	if len(cases) < 200 {
		t.Fatal("cases missing")
	}
	for _, c := range cases {
		var text string
		var want struct{ IDs []int32 }
		if err := json.Unmarshal(c["text"], &text); err != nil {
			t.Fatal(err)
		}
		for _, o := range []tokenizer.Options{{ParseSpecial: true}, {}, {AddSpecial: true, ParseSpecial: true}} {
			ids := a.Encode(text, o)
			sameIDs(t, b, text, o, ids)
			for _, skip := range []bool{false, true} {
				if got, want := b.Decode(ids, skip), a.Decode(ids, skip); got != want {
					t.Errorf("Decode(%v, %t)\n got %q\nwant %q", ids, skip, got, want)
				}
			}
		}
		if column != "" {
			if err := json.Unmarshal(c[column], &want); err != nil {
				t.Fatal(err)
			}
			sameIDs(t, b, text, tokenizer.Options{ParseSpecial: true}, want.IDs)
		}
	}
	for id := range int32(a.VocabSize()) {
		x, okA := a.Token(id)
		y, okB := b.Token(id)
		if x != y || okA != okB || a.IsSpecial(id) != b.IsSpecial(id) {
			t.Errorf("token %d: %q, %t, want %q, %t", id, y, b.IsSpecial(id), x, a.IsSpecial(id))
		}
	}
}
