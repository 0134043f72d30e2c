package tokenizer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var allNames = []string{"smollm", "qwen2", "llama3", "legacy", "metaspace"}

// english returns 8 MB of stories and books, or skips.
func english(t testing.TB) string {
	folder := os.Getenv("ARMOR_DATA")
	if folder == "" {
		t.Skip("ARMOR_DATA is not set")
	}
	data, err := os.ReadFile(filepath.Join(folder, "train", "train.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data[:8_000_000])
}

// randomUnicode returns n bytes of characters from all over Unicode.
func randomUnicode(n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		top := []int32{0x80, 0x800, 0x3000, 0xFFFF, utf8.MaxRune}[rng.IntN(5)]
		if r := rng.Int32N(top); utf8.ValidRune(r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hardTexts have n bytes or a little less.
func hardTexts(n int) map[string]string {
	return map[string]string{
		"letter":  strings.Repeat("a", n),
		"space":   strings.Repeat(" ", n),
		"unicode": randomUnicode(n),
		"han":     strings.Repeat("人工智能的发展", n/21),
		"marks":   "a" + strings.Repeat("\u0301\u0323", n/4),
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, name := range allNames {
		b.Run(name, func(b *testing.B) {
			tok, text := load(b, name), english(b)
			var ids []int32
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				ids = tok.AppendEncode(ids[:0], text, Options{ParseSpecial: true})
			}
		})
	}
}

func BenchmarkHard(b *testing.B) {
	for _, name := range allNames {
		for kind, text := range hardTexts(1_000_000) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				tok := load(b, name)
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					tok.Encode(text, Options{ParseSpecial: true})
				}
			})
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range allNames {
		b.Run(name, func(b *testing.B) {
			tok, text := load(b, name), english(b)[:1_000_000]
			ids := tok.Encode(text, Options{})
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Decode(ids, true)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range allNames {
		b.Run(name, func(b *testing.B) {
			data := loadJSON(b, name)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				mustParse(b, data)
			}
		})
	}
}
