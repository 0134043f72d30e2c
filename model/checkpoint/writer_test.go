package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// written is a tensor that a test writes.
type written struct {
	name  string
	dtype DType
	shape []int
	data  []byte
}

// sample makes tensors of all types, odd sizes and no elements among them.
func sample(n int) []written {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	types := []DType{F32, F16, BF16, F64, I8, U8, I16, U16, I32, U32, I64, U64, Bool}
	all := []written{{"scalar", F32, nil, make([]byte, 4)}, {"none \"<é>\"", BF16, []int{3, 0}, nil}}
	for i := range n {
		d := types[r.IntN(len(types))]
		shape := []int{1 + r.IntN(9), 1 + r.IntN(9)}
		data := make([]byte, shape[0]*shape[1]*int(d.Size()))
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		all = append(all, written{fmt.Sprintf("layer.%d.x", i), d, shape, data})
	}
	return all
}

func (e written) stream(w io.Writer) error {
	for p := range slices.Chunk(e.data, 7+len(e.data)/100) {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// newWriter writes small files, with so much of the data in memory.
func newWriter(t *testing.T, dir string, limit int64, room, memory int) *Writer {
	t.Helper()
	w, err := NewWriter(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	w.room, w.memory, w.shard.room, w.shard.memory = room, memory, room, memory
	return w
}

func finish(t *testing.T, w *Writer, all []written) []Shard {
	t.Helper()
	for _, e := range all {
		if err := w.Add(e.name, e.dtype, e.shape, e.stream); err != nil {
			t.Fatal(err)
		}
	}
	shards, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return shards
}

func TestWriterRoundTrip(t *testing.T) {
	for _, c := range []struct {
		limit        int64
		room, memory int
		shards       int // at least
	}{
		{0, headerRoom, heldBytes, 1},
		{0, 1 << 16, 0, 1},
		{0, 1 << 16, 1000, 1},
		{3000, 1024, 1 << 20, 5},
		{1, 1024, 0, 60},
		{0, 512, 1 << 20, 20},
	} {
		all := sample(100)
		dir := t.TempDir()
		shards := finish(t, newWriter(t, dir, c.limit, c.room, c.memory), all)
		if len(shards) < c.shards || c.shards == 1 && shards[0].Name != "model.safetensors" {
			t.Errorf("%+v: %d shards, the first %s", c, len(shards), shards[0].Name)
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
		ck, err := OpenFolder(dir)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if got := len(ck.Names()); got != len(all) {
			t.Errorf("%+v: %d tensors, want %d", c, got, len(all))
		}
		for _, e := range all {
			x, err := ck.NeedType(e.name, e.dtype, e.shape...)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := x.CopyBytes(&got); err != nil || !bytes.Equal(got.Bytes(), e.data) {
				t.Fatalf("%+v: %s: other bytes, %v", c, e.name, err)
			}
			if x.begin%e.dtype.Size() != 0 {
				t.Errorf("%+v: %s: %v at byte %d", c, e.name, e.dtype, x.begin)
			}
		}
		whole, err := ck.SHA256()
		if err != nil {
			t.Error(err)
		}
		ck.Close()
		names, together := []string{"config.json"}, sha256.New()
		if len(shards) > 1 {
			names = append(names, "model.safetensors.index.json")
		}
		for i, s := range shards {
			data, err := os.ReadFile(filepath.Join(dir, s.Name))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(data)
			together.Write(data)
			if s.SHA256 != hex.EncodeToString(sum[:]) || s.Bytes != int64(len(data)) {
				t.Errorf("%+v: shard %d: other hash or size than reported", c, i)
			}
			if c.limit > 1 && s.Bytes > c.limit {
				t.Errorf("%+v: %s has %d bytes", c, s.Name, s.Bytes)
			}
			names = append(names, s.Name)
		}
		if want := hex.EncodeToString(together.Sum(nil)); whole != want {
			t.Errorf("%+v: the files have the hash %s, want %s", c, whole, want)
		}
		slices.Sort(names)
		if got := folder(t, dir); !slices.Equal(got, names) {
			t.Errorf("%+v: the folder has %v, want %v", c, got, names)
		}
	}
}

func folder(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriterSameBytes(t *testing.T) {
	all := sample(60)
	var first []Shard
	for range 2 {
		shards := finish(t, newWriter(t, t.TempDir(), 4000, 2048, 100), all)
		if first == nil {
			first = shards
		} else if !slices.Equal(shards, first) {
			t.Errorf("got %v and %v", first, shards)
		}
	}
}

// The header of a small file fits exactly, as Python's library writes it.
func TestWriterTight(t *testing.T) {
	w := newWriter(t, t.TempDir(), 0, headerRoom, heldBytes)
	shards := finish(t, w, []written{{"a", U8, []int{3}, []byte{1, 2, 3}}, {"b", I64, []int{1, 1}, make([]byte, 8)}})
	header := `{"__metadata__":{"format":"pt"},"b":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}`
	want := withHeader(header+strings.Repeat(" ", (8-len(header)%8)%8), []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3})
	got, err := os.ReadFile(filepath.Join(w.dir, shards[0].Name))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

// Large tensors of an odd size are not held in memory but alone in their file.
func TestWriterLargeOdd(t *testing.T) {
	large := func(name string, n int) written { return written{name, U8, []int{n}, make([]byte, n)} }
	w := newWriter(t, t.TempDir(), 0, headerRoom, 0)
	shards := finish(t, w, []written{large("a", 8), large("b", delayed+1), large("c", 3)})
	if len(shards) != 3 || shards[0].Bytes > 1<<20 || shards[1].Bytes < delayed || shards[2].Bytes > 1<<20 {
		t.Errorf("got %+v", shards)
	}
	w = newWriter(t, t.TempDir(), 0, headerRoom, 0)
	if shards := finish(t, w, []written{large("a", delayed-1), large("b", delayed-1), large("c", delayed-1), large("d", 8)}); len(shards) != 2 {
		t.Errorf("got %+v", shards)
	}
}

func TestWriterRefuses(t *testing.T) {
	bytesOf := func(n int) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(make([]byte, n)); return err }
	}
	own := errors.New("the source failed")
	for _, c := range []struct {
		name  string
		dtype DType
		shape []int
		write func(io.Writer) error
		words string
	}{
		{"", U8, []int{8}, bytesOf(8), "cannot have this name"},
		{"__metadata__", U8, []int{8}, bytesOf(8), "cannot have this name"},
		{"\xff", U8, []int{8}, bytesOf(8), "cannot have this name"},
		{"there", U8, []int{8}, bytesOf(8), "tensor there: it has been written already"},
		{"a", Q80, []int{32}, bytesOf(34), "got Q8_0, want one of safetensors"},
		{"a", 0, []int{8}, bytesOf(8), "want one of safetensors"},
		{"a", U8, []int{8}, bytesOf(7), "got 7 bytes, want 8"},
		{"a", U8, []int{8}, bytesOf(9), "got 9 bytes, want 8"},
		{"a", U8, []int{7}, bytesOf(8), "got 8 bytes, want 7"},
		{"a", BF16, []int{8}, bytesOf(8), "got 8 bytes, want 16 of shape [8] of BF16"},
		{"a", U8, []int{-1}, bytesOf(0), "overflows"},
		{"a", F64, []int{1 << 31, 1 << 31}, bytesOf(0), "overflows"},
		{"a", U8, []int{1, 1, 1, 1, 1, 1, 1, 1, 1}, bytesOf(1), "9 dimensions"},
		{"a", U8, []int{8}, func(io.Writer) error { return own }, "the source failed"},
		{"a", U8, []int{7}, func(io.Writer) error { return own }, "the source failed"},
		{strings.Repeat("a", headerRoom), U8, []int{8}, bytesOf(8), "too long for a header"},
	} {
		dir := t.TempDir()
		w := newWriter(t, dir, 0, headerRoom, 0)
		if err := w.Add("there", U8, []int{8}, bytesOf(8)); err != nil {
			t.Fatal(err)
		}
		wantError(t, w.Add(c.name, c.dtype, c.shape, c.write), c.words)
		wantError(t, w.Add("next", U8, []int{8}, bytesOf(8)), c.words)
		_, err := w.Finish()
		wantError(t, err, c.words)
		w.Abort()
		if got := folder(t, dir); len(got) != 0 {
			t.Errorf("left behind: %v", got)
		}
	}
	w := newWriter(t, t.TempDir(), 0, headerRoom, 0)
	_, err := w.Finish()
	wantError(t, err, "no tensors")
	w.Abort()
	_, err = NewWriter(filepath.Join(t.TempDir(), "none"), 0)
	wantError(t, err, "none: cannot write the weights: no such file|cannot find")
}

// failing is a file whose disk is full after so many bytes, or which cannot sync.
type failing struct {
	*os.File
	left int
	sync bool
}

var errFull = &fs.PathError{Op: "write", Path: "/somewhere/temporary", Err: errors.New("no space left on device")}

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return f.File.WriteAt(p, off)
}

func (f *failing) Sync() error {
	if f.sync {
		return errFull
	}
	return f.File.Sync()
}

// A full disk, at whatever byte, is one line, and nothing stays behind.
func TestWriterFullDisk(t *testing.T) {
	all := sample(30)
	full := 0
	for left := 0; left < 12000; left += 97 {
		dir := t.TempDir()
		w, err := NewWriter(dir, 4000)
		if err != nil {
			t.Fatal(err)
		}
		w.shard.abort()
		budget := left
		w.room, w.memory = 2048, 300
		w.create = func(dir string) (tempFile, error) {
			f, err := os.CreateTemp(dir, ".model-*.tmp")
			give := min(budget, 3500)
			budget -= give
			return &failing{f, give, left%2 == 0 && budget == 0}, err
		}
		if err := w.begin(); err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if err = w.Add(e.name, e.dtype, e.shape, e.stream); err != nil {
				break
			}
		}
		if _, e := w.Finish(); e != nil {
			full++
			wantError(t, e, dir+": cannot write the weights: no space left on device")
			if err != nil && err != e {
				t.Errorf("Add said %v, Finish %v", err, e)
			}
			w.Abort()
			if got := folder(t, dir); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
		}
	}
	if full < 20 {
		t.Errorf("the disk was full %d times", full)
	}
}

func TestReadIntegers(t *testing.T) {
	ints := openOne(t, entry{"a", "I64", []int{2, 1}, []byte{5, 0, 0, 0, 0, 0, 0, 0, 0xfe, 255, 255, 255, 255, 255, 255, 255}})
	got := make([]int64, 2)
	if err := ints.ReadInts(got, 0); err != nil || got[0] != 5 || got[1] != -2 {
		t.Errorf("%v, %v", got, err)
	}
	wantError(t, ints.ReadInts(got, 1), "elements: got 2 from 1 on, want within 2")
	wantError(t, ints.ReadInts(got[:1], -1), "want within 2")
	wantError(t, ints.ReadBytes(make([]byte, 9), 8), "bytes: got 9 from 8 on, want within 16")
	wantError(t, ints.ReadBytes(make([]byte, 1), -1), "want within 16")
	wantError(t, ints.ReadBytes(nil, 17), "want within 16")
	b := make([]byte, 3)
	if err := ints.ReadBytes(b, 7); err != nil || !bytes.Equal(b, []byte{0, 0xfe, 255}) {
		t.Errorf("%v, %v", b, err)
	}
	for _, c := range []struct {
		dtype string
		data  []byte
		want  int64
	}{
		{"I8", []byte{0x80}, -128}, {"U8", []byte{0x80}, 128}, {"BOOL", []byte{1}, 1},
		{"I16", []byte{0, 0x80}, -1 << 15}, {"U16", []byte{0, 0x80}, 1 << 15},
		{"I32", []byte{0, 0, 0, 0x80}, -1 << 31}, {"U32", []byte{0, 0, 0, 0x80}, 1 << 31},
		{"U64", []byte{1, 0, 0, 0, 0, 0, 0, 0x7f}, 0x7f<<56 + 1},
	} {
		one := []int64{0}
		if err := openOne(t, entry{"a", c.dtype, []int{1}, c.data}).ReadInts(one, 0); err != nil || one[0] != c.want {
			t.Errorf("%s: %v, %v, want %d", c.dtype, one, err, c.want)
		}
	}
	one := []int64{0}
	wantError(t, openOne(t, entry{"a", "BOOL", []int{1}, []byte{2}}).ReadInts(one, 0), "element 0: got 2, want at most 1")
	wantError(t, openOne(t, entry{"a", "U64", []int{1}, bytes.Repeat([]byte{255}, 8)}).ReadInts(one, 0), "element 0: got 18446744073709551615")
	wantError(t, openOne(t, entry{"a", "F32", []int{1}, make([]byte, 4)}).ReadInts(one, 0), "got F32, want integers")
	wantError(t, openOne(t, entry{"a", "F64", []int{1}, make([]byte, 8)}).ReadInts(one, 0), "got F64, want integers")
	large := openOne(t, entry{"a", "U8", []int{chunk + 5}, bytes.Repeat([]byte{7}, chunk+5)})
	all := make([]int64, chunk+5)
	if err := large.ReadInts(all, 0); err != nil || all[0] != 7 || all[chunk+4] != 7 {
		t.Errorf("%v", err)
	}
}

func TestOpenFile(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789"), 500_000) // more than File reads
	m := single(build(entry{"a", "U8", []int{1}, []byte{1}}))
	m["merges.txt"] = big
	ck, err := OpenFolder(m.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	f, err := ck.OpenFile("merges.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, big) || f.Close() != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := ck.OpenFile("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	_, err = ck.OpenFile("../merges.txt")
	wantError(t, err, "want a plain file name")
}
