package tokenizer

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// readGzip returns the content of a file under testdata.
func readGzip(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustParse(t testing.TB, data []byte) *Tokenizer {
	t.Helper()
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

var local = map[string]string{
	"llama3": "llama3.json.gz", "tiny": "tiny.json.gz",
	"legacy": "llama2-legacy.json.gz", "metaspace": "llama2-metaspace.json.gz",
}

var models = map[string]string{
	"smollm": "smollm2-135m-instruct", "qwen2": "qwen2.5-coder-0.5b-instruct",
}

// load returns the tokenizer of a name above, and skips the test without it.
func load(t testing.TB, name string) *Tokenizer {
	t.Helper()
	return mustParse(t, loadJSON(t, name))
}

func loadJSON(t testing.TB, name string) []byte {
	t.Helper()
	if file, ok := local[name]; ok {
		return readGzip(t, file)
	}
	folder := os.Getenv("ARMOR_MODELS")
	if folder == "" {
		t.Skipf("%s: ARMOR_MODELS is not set", name)
	}
	data, err := os.ReadFile(filepath.Join(folder, models[name], "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

type goldenCase struct {
	IDs     []int32
	Decoded string
	WithBOS []int32 `json:"ids_with_bos"`
}

type goldenDecode struct {
	Tokenizer   string
	IDs         []int32
	Text        string
	SkipSpecial string `json:"text_skip_special"`
}

func readGolden(t *testing.T, name string) (cases []map[string]json.RawMessage, decode []goldenDecode) {
	var golden struct {
		Cases  []map[string]json.RawMessage
		Decode []goldenDecode
	}
	if err := json.Unmarshal(readGzip(t, name), &golden); err != nil {
		t.Fatal(err)
	}
	return golden.Cases, golden.Decode
}

func TestGolden(t *testing.T) {
	for _, group := range []struct {
		file  string
		names []string
	}{
		{"golden.json.gz", []string{"smollm", "qwen2", "llama3"}},
		{"golden-llama2.json.gz", []string{"legacy", "metaspace"}},
	} {
		cases, decode := readGolden(t, group.file)
		for _, name := range group.names {
			t.Run(name, func(t *testing.T) {
				tok := load(t, name)
				for _, c := range cases {
					var text string
					var want goldenCase
					for key, v := range map[string]any{"text": &text, name: &want} {
						if err := json.Unmarshal(c[key], v); err != nil {
							t.Fatal(key, err)
						}
					}
					got := tok.Encode(text, Options{ParseSpecial: true})
					if !slices.Equal(got, want.IDs) {
						t.Errorf("Encode(%.60q)\n got %v\nwant %v", text, got, want.IDs)
					}
					if got := tok.Decode(want.IDs, false); got != want.Decoded {
						t.Errorf("Decode(%v)\n got %.200q\nwant %.200q", want.IDs, got, want.Decoded)
					}
					bos := want.WithBOS
					if group.file == "golden-llama2.json.gz" {
						bos = append([]int32{1}, want.IDs...)
					} else if bos == nil {
						bos = want.IDs
					}
					if got := tok.Encode(text, Options{AddSpecial: true, ParseSpecial: true}); !slices.Equal(got, bos) {
						t.Errorf("Encode(%.60q) with BOS\n got %v\nwant %v", text, got, bos)
					}
				}
				n := 0
				for _, d := range decode {
					if d.Tokenizer != name && !(d.Tokenizer == "legacy" && name == "metaspace") {
						continue
					}
					n++
					if got := tok.Decode(d.IDs, false); got != d.Text {
						t.Errorf("Decode(%v)\n got %q\nwant %q", d.IDs, got, d.Text)
					}
					if got := tok.Decode(d.IDs, true); got != d.SkipSpecial {
						t.Errorf("Decode(%v) without special\n got %q\nwant %q", d.IDs, got, d.SkipSpecial)
					}
				}
				t.Logf("%d texts, %d decodings", len(cases), n)
				if len(cases) < 200 || n < 20 {
					t.Error("golden cases missing")
				}
			})
		}
	}
}
