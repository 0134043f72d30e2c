package tokenizer

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// TestVariants compares with the tokenizers library under settings that the
// golden files lack (testdata/make_variants.py).
func TestVariants(t *testing.T) {
	var variants []struct {
		Name, Base string
		Set, Model map[string]json.RawMessage
		Cases      []struct {
			Text             string
			IDs, Plain, Full []int32
			Decoded, Skip    *string
		}
		Decode []struct {
			IDs           []int32
			Decoded, Skip string
		}
	}
	if err := json.Unmarshal(readGzip(t, "variants.json.gz"), &variants); err != nil {
		t.Fatal(err)
	}
	if len(variants) < 20 {
		t.Fatal("variants missing")
	}
	for _, v := range variants {
		t.Run(v.Name, func(t *testing.T) {
			tok := mustParse(t, patched(t, v.Base, v.Set, v.Model))
			for _, c := range v.Cases {
				for _, e := range []struct {
					o    Options
					want []int32
				}{
					{Options{ParseSpecial: true}, c.IDs},
					{Options{}, c.Plain},
					{Options{AddSpecial: true, ParseSpecial: true}, c.Full},
				} {
					if e.want == nil {
						e.want = c.IDs
					}
					if got := tok.Encode(c.Text, e.o); !slices.Equal(got, e.want) {
						t.Errorf("Encode(%q, %+v)\n got %v\nwant %v", c.Text, e.o, got, e.want)
					}
				}
				if c.Decoded != nil {
					checkDecode(t, tok, c.IDs, *c.Decoded, *c.Skip)
				}
			}
			for _, d := range v.Decode {
				checkDecode(t, tok, d.IDs, d.Decoded, d.Skip)
			}
		})
	}
}

// patched is the base file with keys of the top and of the model replaced.
func patched(t testing.TB, base string, set, model map[string]json.RawMessage) []byte {
	t.Helper()
	var top, inner map[string]json.RawMessage
	if err := json.Unmarshal(loadJSON(t, base), &top); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(top["model"], &inner); err != nil {
		t.Fatal(err)
	}
	maps.Copy(inner, model)
	var err error
	if top["model"], err = json.Marshal(inner); err != nil {
		t.Fatal(err)
	}
	maps.Copy(top, set)
	data, err := json.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func checkDecode(t *testing.T, tok *Tokenizer, ids []int32, want, wantSkip string) {
	t.Helper()
	if got := tok.Decode(ids, false); got != want {
		t.Errorf("Decode(%v)\n got %q\nwant %q", ids, got, want)
	}
	if got := tok.Decode(ids, true); got != wantSkip {
		t.Errorf("Decode(%v) without special\n got %q\nwant %q", ids, got, wantSkip)
	}
}
