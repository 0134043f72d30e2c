package calib

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"armor/model/tokenizer"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

var _ Tokenizer = (*tokenizer.Tokenizer)(nil)

// byteTokenizer has a token per byte, and 256 at the front.
type byteTokenizer struct{}

const bos = 256

func (byteTokenizer) Encode(text string, o tokenizer.Options) []int32 {
	var ids []int32
	if o.AddSpecial {
		ids = append(ids, bos)
	}
	for i := range len(text) {
		ids = append(ids, int32(text[i]))
	}
	return ids
}

// someTexts are documents of 0 to about 20,000 bytes, no two lines alike.
func someTexts(count int) []string {
	r := rand.New(rand.NewPCG(7, 7))
	texts := make([]string, count)
	for i := range texts {
		var b strings.Builder
		for range r.IntN(200) * r.IntN(5) {
			fmt.Fprintf(&b, "%d ligne n° %d — 字 😀", i, r.Uint64())
			if r.IntN(3) == 0 {
				b.WriteByte('\n')
			}
		}
		texts[i] = b.String()
	}
	return texts
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(data)
		z.Close()
		data = b.Bytes()
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func jsonl(texts []string, object func(text string) any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, text := range texts {
		e.Encode(object(text))
		b.WriteString("\r\n") // blank lines do not count
	}
	return b.Bytes()
}

func textLines(texts []string) []byte {
	return jsonl(texts, func(text string) any { return map[string]any{"id": 1, "text": text, "content": "not this"} })
}

func parquetBytes[Row any](t testing.TB, rows []Row, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[Row](&b, options...)
	for i, row := range rows {
		if _, err := w.Write([]Row{row}); err != nil {
			t.Fatal(err)
		}
		if i%7 == 6 {
			w.Flush() // a row group
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sample(t testing.TB, path string, o Options) ([][]int32, Info, error) {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return Sample(d, byteTokenizer{}, o)
}

func TestFormatsGiveTheSameWindows(t *testing.T) {
	texts := someTexts(40)
	o := Options{Samples: 20, SeqLen: 700, Seed: 3}
	type anyRow struct {
		Text string `parquet:"text"`
	}
	type optional struct {
		ID      int64   `parquet:"id"`
		Content *string `parquet:"content,optional,dict"`
	}
	type required struct {
		Text string `parquet:"text,plain"`
	}
	var rows []anyRow
	var others []optional
	var plains []required
	for _, text := range texts {
		rows = append(rows, anyRow{text})
		plains = append(plains, required{text})
		p := &text
		if text == "" {
			p = nil
		}
		others = append(others, optional{1, p})
	}
	files := map[string][]byte{
		"a.jsonl":    textLines(texts),
		"b.jsonl":    append([]byte("\ufeff"), jsonl(texts, func(s string) any { return map[string]any{"content": s} })...),
		"c.jsonl.gz": textLines(texts),
		"d.JSONL": jsonl(texts, func(s string) any {
			return map[string]any{"messages": []any{map[string]any{"role": "system", "content": nil}, map[string]any{"role": "user", "content": []any{
				map[string]any{"type": "image", "text": "not this"}, map[string]any{"type": "text", "text": s}}}}}
		}),
	}
	for version := 1; version <= 2; version++ {
		for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd} {
			options := []parquet.WriterOption{parquet.DataPageVersion(version), parquet.Compression(codec), parquet.PageBufferSize(3000)}
			files[fmt.Sprintf("%d-%v.parquet", version, codec)] = parquetBytes(t, rows, options...)
			files[fmt.Sprintf("%d-%v-dict.parquet", version, codec)] = parquetBytes(t, others, options...)
			files[fmt.Sprintf("%d-%v-plain.parquet", version, codec)] = parquetBytes(t, plains, options...)
		}
	}
	want, first, err := sample(t, write(t, "want.jsonl", textLines(texts)), o)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		path := write(t, name, data)
		got, info, err := sample(t, path, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s: other windows", name)
		}
		raw, _ := os.ReadFile(path)
		sum := sha256.Sum256(raw)
		if info.File != name || info.SHA256 != hex.EncodeToString(sum[:]) || info.FileBytes != int64(len(raw)) {
			t.Errorf("%s: got %+v", name, info)
		}
		info.File, info.SHA256, info.FileBytes = first.File, first.SHA256, first.FileBytes
		if info != first {
			t.Errorf("%s: got %+v, want %+v", name, info, first)
		}
	}
}

func TestTextIsOneDocument(t *testing.T) {
	text := strings.Join(someTexts(40), "\n")
	o := Options{Samples: 9, SeqLen: 500, Seed: 3}
	want, _, err := sample(t, write(t, "a.jsonl", textLines([]string{text})), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.txt", "a.txt.gz"} {
		got, info, err := sample(t, write(t, name, []byte("\ufeff"+text)), o)
		if err != nil || !slices.EqualFunc(got, want, slices.Equal) || info.DocumentsUsed != 1 {
			t.Errorf("%s: other windows than as JSON, %+v, %v", name, info, err)
		}
	}
}

// TestAllText: the excerpts are the documents, cut between characters, each
// byte once, whatever the file.
func TestAllText(t *testing.T) {
	texts := someTexts(40)
	texts = append(texts, strings.Repeat("字", 9000), strings.Repeat("a", 9000), strings.Repeat("\n", 5000))
	total := strings.Join(texts, "")
	path := write(t, "a.jsonl", textLines(texts))
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	count := 0
	for e := range excerpts(d.lengths, minExcerpt, 1) {
		_ = e
		count++
	}
	need := len(total) + count // bytes and a BOS each
	windows, info, err := Sample(d, byteTokenizer{}, Options{Samples: need, SeqLen: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if info.Bytes != int64(len(total)) || info.DocumentsUsed != info.Documents {
		t.Errorf("used %d bytes of %d, %d documents of %d", info.Bytes, len(total), info.DocumentsUsed, info.Documents)
	}
	var parts []string
	for _, w := range windows {
		if w[0] == bos {
			parts = append(parts, "")
		} else {
			parts[len(parts)-1] += string([]byte{byte(w[0])})
		}
	}
	left := map[string]int{}
	for _, p := range parts {
		left[p]++
		if !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, p) }) {
			t.Fatalf("an excerpt is in no document: %.60q", p)
		}
		if strings.ToValidUTF8(p, "") != p {
			t.Fatalf("an excerpt is cut inside a character: %.60q", p)
		}
	}
	for _, text := range texts { // put the documents together again
		for text != "" {
			longest := ""
			for p := range left {
				if left[p] > 0 && len(p) > len(longest) && strings.HasPrefix(text, p) {
					longest = p
				}
			}
			if longest == "" {
				t.Fatalf("no excerpt begins %.60q", text)
			}
			left[longest]--
			text = text[len(longest):]
		}
	}
	if _, _, err := Sample(d, byteTokenizer{}, Options{Samples: need + 1, SeqLen: 1, Seed: 1}); !errors.Is(err, ErrShort) ||
		!strings.Contains(err.Error(), fmt.Sprint("got ", need, " ")) || !strings.Contains(err.Error(), fmt.Sprint(need+1)) {
		t.Errorf("one token too many: got %v, want ErrShort with both numbers", err)
	}
}

// TestSpread: a small sample of a long text comes from all over it, and of
// many documents from as many as it can.
func TestSpread(t *testing.T) {
	var b strings.Builder
	for i := range 100000 {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	windows, _, err := sample(t, write(t, "a.txt", []byte(b.String())), Options{Samples: 128, SeqLen: 512, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	eighths := map[int]bool{}
	for _, w := range windows {
		var line int
		at := slices.Index(w, '\n')
		for _, id := range w[at+1 : at+8] {
			if id == bos {
				break
			}
			line = line*10 + int(id-'0')
		}
		eighths[line/12500] = true
	}
	if len(eighths) != 8 {
		t.Errorf("windows from the eighths %v, want all", eighths)
	}

	texts := make([]string, 50)
	for i := range texts {
		texts[i] = strings.Repeat(fmt.Sprintf("%02d ", i), 5000)
	}
	path := write(t, "a.jsonl", textLines(texts))
	_, info, err := sample(t, path, Options{Samples: 40, SeqLen: 1024, Seed: 5})
	// An excerpt is at most twice 4 × 1024 bytes, so 40 windows take at least 5.
	if err != nil || info.DocumentsUsed < 5 || info.DocumentsUsed > 11 {
		t.Errorf("used %d documents, %v; want 5 to 11", info.DocumentsUsed, err)
	}
}

func TestSeeds(t *testing.T) {
	path := write(t, "a.jsonl.gz", textLines(someTexts(40)))
	run := func(o Options) [][]int32 {
		w, _, err := sample(t, path, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, ids := range w {
			if len(ids) != o.SeqLen {
				t.Fatalf("got a window of %d tokens, want %d", len(ids), o.SeqLen)
			}
		}
		return w
	}
	a, b := run(Options{8, 300, 1}), run(Options{8, 300, 1})
	if !slices.EqualFunc(a, b, slices.Equal) {
		t.Error("the same seed gives other windows")
	}
	if slices.EqualFunc(a, run(Options{8, 300, 2}), slices.Equal) {
		t.Error("another seed gives the same windows")
	}
	if more := run(Options{12, 300, 1}); !slices.EqualFunc(a, more[:8], slices.Equal) {
		t.Error("more samples do not begin with the fewer")
	}
	for _, o := range []Options{{0, 1, 1}, {1, 0, 1}, {-1, -1, 1}, {1 << 40, 1 << 40, 1}} {
		if _, _, err := sample(t, path, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestPlace(t *testing.T) {
	for n := int64(1); n < 300; n++ {
		seen := map[int64]bool{}
		for round := range n {
			seen[place(n, round, 1, 2)] = true
		}
		if len(seen) != int(n) {
			t.Fatalf("%d places of %d", len(seen), n)
		}
	}
}
