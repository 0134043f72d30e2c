package calib

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

type textRow struct {
	Text string `parquet:"text"`
}

func textParquet(t testing.TB, options ...parquet.WriterOption) []byte {
	var rows []textRow
	for _, text := range someTexts(12) {
		rows = append(rows, textRow{text})
	}
	return parquetBytes(t, rows, options...)
}

// footer is a parquet file of nothing but the metadata given.
func footer(metadata ...byte) []byte {
	b := append([]byte("PAR1"), metadata...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(metadata)))
	return append(b, "PAR1"...)
}

func TestDamage(t *testing.T) {
	small := limits{line: 1000, page: 3000, text: 5000, documents: 20}
	big := strings.Repeat("words ", 100)
	for _, c := range []struct {
		name, want string
		data       []byte
		limits     limits
	}{
		{"a.csv", `got a file "a.csv", want .txt`, nil, small},
		{"a.txt", "byte 3 of the text is not UTF-8", []byte("ab \xc3"), small},
		{"b.txt", "byte 2 of the text", []byte("ab\x80cd"), small},
		{"c.txt", "more than 5000 bytes", bytes.Repeat([]byte("a"), 5001), small},
		{"a.txt.gz", "more than 5000 bytes", bytes.Repeat([]byte("a"), 1<<20), small},
		{"a.jsonl.gz", "more than 5000 bytes", []byte(strings.Repeat(`{"text":"a"}`+"\n", 1000)), limits{1000, 3000, 5000, 2000}},
		{"a.jsonl", "line 2: longer than 1000 bytes", []byte("{\"text\":\"\"}\n" + `{"text":"` + strings.Repeat("a", 1000) + `"}`), small},
		{"b.jsonl", "more than 20 documents", []byte(strings.Repeat(`{"text":"a"}`+"\n", 21)), small},
		{"c.jsonl", "line 3: unexpected end of JSON input", []byte("{\"text\":\"a\"}\n\n{\"text\":\"a"), small},
		{"d.jsonl", `line 1: got the keys "id", "title", want "text"`, []byte(`{"title":"a","id":2}`), small},
		{"e.jsonl", "line 1: got a JSON array, want a JSON object", []byte(`["text"]`), small},
		{"f.jsonl", `line 1: "text": got a JSON number, want a string`, []byte(`{"text":3}`), small},
		{"g.jsonl", `"messages": got a JSON string, want a list`, []byte(`{"messages":"a"}`), small},
		{"h.jsonl", `"messages.content": got a JSON number`, []byte(`{"messages":[{"content":1}]}`), small},
		{"i.jsonl", "line 2: not UTF-8", []byte("{\"text\":\"a\"}\n{\"text\":\"\xff\"}"), small},
		{"j.jsonl", "line 1: got the keys {}", []byte(`{}`), small},
		{"k.jsonl", "and 92 more", []byte(manyKeys(100)), limits{1 << 16, 0, 1 << 16, 1}},
		{"l.jsonl", "exceeded max depth", []byte(`{"text":` + strings.Repeat("[", 20000)), limits{1 << 16, 0, 1 << 16, 1}},

		{"a.parquet", "want a parquet file", []byte("PAR1"), small},
		{"b.parquet", "not a whole parquet file", textParquet(t)[:2000], small},
		{"c.parquet", `got the columns "title", want "text" or "content"`, parquetBytes(t, []struct {
			Title string `parquet:"title"`
		}{{"a"}}), small},
		{"d.parquet", `column "text": want one string`, parquetBytes(t, []struct {
			Text int64 `parquet:"text"`
		}{{1}}), small},
		{"e.parquet", `column "text": want one string`, parquetBytes(t, []struct {
			Text []string `parquet:"text"`
		}{{[]string{"a"}}}), small},
		{"f.parquet", "decompressed, want at most", parquetBytes(t, []textRow{{strings.Repeat("a", 4000)}}, parquet.Compression(&parquet.Zstd)), small},
		{"g.parquet", "want at most 20 in all", parquetBytes(t, make([]textRow, 21)), small},
		{"h.parquet", "more than 5000 bytes of text", parquetBytes(t, slices.Repeat([]textRow{{big}}, 10), parquet.PageBufferSize(1000)), small},
		{"i.parquet", "row 2: not UTF-8", parquetBytes(t, []textRow{{"a"}, {"\xff"}}), small},
		{"j.parquet", "compressed with BROTLI", parquetBytes(t, []textRow{{big}}, parquet.Compression(&parquet.Brotli)), small},
		{"k.parquet", "encoded as DELTA_BYTE_ARRAY", parquetBytes(t, []struct {
			Text string `parquet:"text,delta"`
		}{{big}}), small},
		// field 4, a list of 2³¹−1 structs, in a few bytes; then with some of them
		{"l.parquet", "cut short", footer(0x49, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0), small},
		{"m.parquet", "list of 600000 elements", footer(append([]byte{0x49, 0xFC, 0xC0, 0xCF, 0x24}, make([]byte, 600001)...)...), small},
		{"n.parquet", "want at most 4096", footer(append([]byte{0x29, 0xFC, 0x88, 0x27}, make([]byte, 5001)...)...), small},
		{"o.parquet", "nested more than", footer(bytes.Repeat([]byte{0x1C}, 1000)...), small},
		{"p.parquet", "nested more than", footer(append([]byte{0x19}, bytes.Repeat([]byte{0x19}, 1000)...)...), small},
	} {
		d, err := open(write(t, c.name, c.data), c.limits)
		if err == nil {
			d.Close()
			t.Errorf("%s: no error, want %q", c.name, c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q, want %q", c.name, err, c.want)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":%d,`, i, i)
	}
	return "{" + strings.TrimSuffix(b.String(), ",") + "}"
}

// TestCut: of each compressed file every beginning is refused.
func TestCut(t *testing.T) {
	texts := someTexts(6)
	for name, data := range map[string][]byte{
		"a.txt.gz":   []byte(strings.Join(texts, "")),
		"a.jsonl.gz": textLines(texts),
		"a.parquet":  textParquet(t),
	} {
		path := write(t, name, data)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(whole); n += 1 + n/8 {
			os.WriteFile(path, whole[:n], 0o600)
			if d, err := Open(path); err == nil {
				d.Close()
				t.Errorf("%s: %d of %d bytes are accepted", name, n, len(whole))
			}
		}
	}
}

// TestFlippedParquet: a damaged file is an error or a file, never a panic.
func TestFlippedParquet(t *testing.T) {
	for _, options := range [][]parquet.WriterOption{
		{parquet.Compression(&parquet.Snappy)},
		{parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1)},
		{parquet.Compression(&parquet.Uncompressed), parquet.DefaultEncoding(&parquet.RLEDictionary)},
		{parquet.Compression(&parquet.Uncompressed), parquet.DefaultEncoding(&parquet.Plain)},
	} {
		checkFlipped(t, textParquet(t, options...))
	}
}

func checkFlipped(t *testing.T, whole []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	footerAt := len(whole) - 8 - int(binary.LittleEndian.Uint32(whole[len(whole)-8:]))
	path := write(t, "a.parquet", whole)
	refused := 0
	rounds := 300
	if testing.Short() {
		rounds = 40
	}
	for i := range rounds {
		data := bytes.Clone(whole)
		at := r.IntN(len(whole))
		if i%2 == 0 {
			at = footerAt + r.IntN(len(whole)-footerAt)
		}
		data[at] ^= byte(1 + r.IntN(255))
		os.WriteFile(path, data, 0o600)
		d, err := Open(path)
		if err != nil {
			refused++
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("byte %d: more than one line: %q", at, err)
			}
		} else {
			if _, _, err := Sample(d, byteTokenizer{}, Options{Samples: 2, SeqLen: 500}); err != nil && !errors.Is(err, ErrShort) {
				t.Errorf("byte %d: opened, then: %v", at, err)
			}
			d.Close()
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

func TestChangedFile(t *testing.T) {
	texts := someTexts(12)
	for name, data := range map[string][]byte{"a.txt": []byte(strings.Join(texts, "")), "a.jsonl": textLines(texts), "a.parquet": textParquet(t)} {
		path := write(t, name, data)
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Sample(d, byteTokenizer{}, Options{Samples: 4, SeqLen: 1000}); err == nil || errors.Is(err, ErrShort) {
			t.Errorf("%s: cut after it was opened: got %v", name, err)
		}
		d.Close()
	}
}

// FuzzJSONL: any line is an error of one line or a text of UTF-8.
func FuzzJSONL(f *testing.F) {
	f.Add([]byte(`{"text":"a é"}`))
	f.Add([]byte(`{"content":"\ud83d","x":[{}]}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"a"},{"content":[{"type":"text","text":"b"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j := jsonlFile{limits: limits{line: 1 << 12}}
		err := j.lines(bytes.NewReader(data), func(_ int, line []byte) error {
			text, err := documentOf(line)
			if err == nil && strings.ToValidUTF8(text, "") != text {
				t.Errorf("got %q, which is not UTF-8", text)
			}
			return err
		})
		if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000) {
			t.Errorf("not one short line: %q", err)
		}
	})
}

// FuzzThrift: whatever the metadata, the walk ends.
func FuzzThrift(f *testing.F) {
	whole := textParquet(f)
	f.Add(whole[len(whole)-8-int(binary.LittleEndian.Uint32(whole[len(whole)-8:])) : len(whole)-8])
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, keep := range []bool{false, true} {
			w := walker{data: data, schema: !keep, keep: keep}
			if r, err := w.record(0); err == nil && keep && r == nil {
				t.Error("no record")
			}
			if w.elements > maxElements+len(data) {
				t.Errorf("walked %d elements", w.elements)
			}
		}
	})
}
