package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"armor/model/internal/gguftest"
)

// goodGGUF has a key of each shape and tensors of three types.
func goodGGUF() *ggufFile {
	return &ggufFile{
		Keys: []ggufKey{architecture("llama"), {"llama.attention.head_count", uint32(2)}, {"words", []string{"one", "two"}}, {"numbers", []int32{1, 2, 3}}},
		Tensors: []ggufEntry{
			vector("output_norm.weight", 8, 1),
			gguftest.NewTensor("blk.0.attn_q.weight", []uint64{32, 8}, 8, make([]byte, 34*8)),
			gguftest.NewTensor("token_embd.weight", []uint64{256, 2}, 14, make([]byte, 210*2)),
		},
	}
}

func TestBadGGUF(t *testing.T) {
	le := binary.LittleEndian
	good := goodGGUF().Bytes()
	head := func(version uint32, tensors, keys uint64, rest ...byte) []byte {
		b := le.AppendUint64(le.AppendUint64(le.AppendUint32([]byte("GGUF"), version), tensors), keys)
		return append(b, rest...)
	}
	change := func(f func(g *ggufFile)) []byte {
		g := goodGGUF()
		f(g)
		return g.Bytes()
	}
	// value is the file with a value in place of words, as it is in the file.
	value := func(b ...byte) []byte { return change(func(g *ggufFile) { g.Keys[2][1] = raw(b) }) }
	array := func(kind uint32, n uint64, rest ...byte) []byte {
		b := le.AppendUint64(le.AppendUint32(le.AppendUint32(nil, 9), kind), n)
		return value(append(b, rest...)...)
	}
	// tensor is the file with other dimensions and type of its last tensor.
	tensor := func(kind uint32, dims ...uint64) []byte {
		return change(func(g *ggufFile) { g.Tensors[2].Kind, g.Tensors[2].Dims = kind, dims })
	}
	offset := func(i int, at uint64) []byte {
		return change(func(g *ggufFile) { g.Offsets = map[int]uint64{i: at} })
	}
	key := func(k, v any) []byte {
		return change(func(g *ggufFile) { g.Keys = append(g.Keys, ggufKey{k, v}) })
	}
	many := func(g *ggufFile) {
		for i := range maxKeys {
			g.Keys = append(g.Keys, ggufKey{fmt.Sprint("k", i), uint8(0)})
		}
	}

	for _, c := range []struct {
		name  string
		file  []byte
		words string
	}{
		{"empty", nil, "model/m.gguf: magic: got 0 bytes left in the file, want 4"},
		{"3 bytes", good[:3], "magic: got 3 bytes left"},
		{"magic only", good[:4], "version: got 0 bytes left"},
		{"other magic", append([]byte("GGML"), good[4:]...), `got "GGML" first, want "GGUF"`},
		{"LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"},
		{"zip", []byte("PK\x03\x04\x00\x00\x08\x08\x00\x00"), "zip"},
		{"version 0", head(0, 1, 1), "version: got 0, want 2 or 3"},
		{"version 1", head(1, 1, 1), "version: got 1, want 2 or 3"},
		{"version 4", head(4, 1, 1), "version: got 4, want 2 or 3"},
		{"big-endian", head(3<<24, 1, 1), "big-endian files are not supported"},
		{"no counts", good[:12], "tensor count: got 4 bytes left in the file, want 8"},
		{"keys 2^64-1", head(3, 0, math.MaxUint64), "key count: got 18446744073709551615, want at most 0"},
		{"tensors 2^64-1", head(3, math.MaxUint64, 0), "tensor count: got 18446744073709551615"},
		{"keys 2^63", head(3, 0, 1<<63, make([]byte, 4096)...), "key count: got 9223372036854775808, want at most 292 in the 4096 bytes left"},
		{"one key too many", change(many), "key count: got 4100, want at most 4096"},
		{"tensors beyond", head(3, 200, 0, make([]byte, 4096)...), "tensor count: got 200, want at most 124 in the 4096"},
		{"no tensors", (&ggufFile{Keys: goodGGUF().Keys}).Bytes(), "model/m.gguf: no tensors"},

		{"key of no length", key("", uint8(1)), "key 4 of the file: its length: got 0 bytes, want 1 to 1024"},
		{"long key", key(strings.Repeat("k", 1025), uint8(1)), "got 1025 bytes, want 1 to 1024"},
		{"key beyond", head(3, 1, 1, slices.Repeat([]byte{0xff}, 64)...), "key 0 of the file: its length: got 18446744073709551615"},
		{"duplicate key", key("words", uint8(1)), "key words: duplicate"},
		{"odd key", key("a\x00\n\xff", uint8(1)), "|key "}, // shown quoted where it fails; here it loads
		{"type 13", value(13, 0, 0, 0), "key words: type: got 13, want one that this build knows"},
		{"type 2^32-1", value(255, 255, 255, 255), "key words: type: got 4294967295"},
		{"element type 13", array(13, 1), "key words: type: got 13"},
		{"array of arrays", array(9, 1), "key words: type: arrays of arrays are not supported"},
		{"array 2^64-1", array(8, math.MaxUint64), "key words: strings: got 18446744073709551615, want at most"},
		{"array 2^61", array(8, 1<<61), "key words: strings: got 2305843009213693952"},
		{"floats 2^62", array(6, 1<<62), "key words: values: got 4611686018427387904, want at most"},
		{"bytes beyond", array(0, uint64(len(good))), "key words: values: got"},
		{"string 2^64-1", array(8, 1, slices.Repeat([]byte{0xff}, 8)...), "key words: string: got 18446744073709551615"},
		{"string 2^63", array(8, 1, 0, 0, 0, 0, 0, 0, 0, 128), "key words: string: got 9223372036854775808"},

		{"alignment 0", key("general.alignment", uint32(0)), "key general.alignment: got 0, want a whole number from 1"},
		{"alignment 24", key("general.alignment", uint32(24)), "key general.alignment: got 24, want a power of two"},
		{"alignment 2^32-1", key("general.alignment", uint32(math.MaxUint32)), "key general.alignment: got 4294967295"},
		{"alignment -1", key("general.alignment", int64(-1)), "key general.alignment: got -1"},
		{"alignment as text", key("general.alignment", "32"), "key general.alignment: got a string"},
		{"alignment 2^30", key("general.alignment", uint32(1<<30)), "offset: got 32, want a multiple of 1073741824"},
		{"alignment 64", key("general.alignment", uint32(64)), "offset: got 32, want a multiple of 64"},

		{"tensor without name", change(func(g *ggufFile) { g.Tensors[1].Name = "" }), "tensor 1 of the file: length of its name: got 0 bytes, want 1 to 256"},
		{"long name", change(func(g *ggufFile) { g.Tensors[1].Name = strings.Repeat("n", 257) }), "got 257 bytes, want 1 to 256"},
		{"duplicate tensor", change(func(g *ggufFile) { g.Tensors[1].Name = "token_embd.weight" }), "tensor token_embd.weight: duplicate"},
		{"same name twice", change(func(g *ggufFile) { g.Tensors[1].Name = "model.embed_tokens.weight" }), "duplicate"},
		{"rank 0", tensor(14), "tensor token_embd.weight: dimensions: got 0, want 1 to 4"},
		{"rank 5", tensor(14, 256, 2, 1, 1, 1), "tensor token_embd.weight: dimensions: got 5, want 1 to 4"},
		{"dimension 0", tensor(0, 256, 0), "dimensions: got [256 0], want them positive"},
		{"dimension 2^63", tensor(0, 1<<63), "dimensions: got [9223372036854775808]"},
		{"2^32 x 2^32", tensor(0, 1<<32, 1<<32), "dimensions: got [4294967296 4294967296]"},
		{"wraps to 0", tensor(0, 1<<31, 1<<31, 1<<2), "dimensions: got"},
		{"wraps to 512", tensor(0, 1<<62+128, 4), "dimensions: got"},
		{"blocks wrap", tensor(14, 256<<32, 1<<25), "dimensions: got"},
		{"row of 255", tensor(14, 255, 2), "dimensions: got rows of 255, want a multiple of 256 for Q6_K"},
		{"row of 33", tensor(8, 33, 2), "dimensions: got rows of 33, want a multiple of 32 for Q8_0"},
		{"beyond the end", tensor(14, 256, 3), "tensor token_embd.weight: got 630 bytes at 320, want them in the 768 bytes of data"},
		{"IQ4_XS", tensor(23, 256, 2), "tensor token_embd.weight: type: IQ4_XS is not supported, want F32, F16"},
		{"MXFP4", tensor(39, 256, 2), "type: MXFP4 is not supported"},
		{"type 31", tensor(31, 256, 2), "type: 31 is not known, want F32"},
		{"type 2^32-1", tensor(math.MaxUint32, 256, 2), "type: 4294967295 is not known"},
		{"offset 1", offset(2, 1), "tensor token_embd.weight: offset: got 1, want a multiple of 32"},
		{"offset 2^64-32", offset(2, math.MaxUint64-31), "tensor token_embd.weight: offset: got 18446744073709551584"},
		{"offset 2^63-32", offset(2, math.MaxInt64-31), "got 420 bytes at 9223372036854775776, want them in the"},
		{"offset too large", offset(2, 1<<20), "got 420 bytes at 1048576, want them in the"},
		{"overlap", offset(2, 32), "offset: got 32, want 304 or more, behind|offset: got 32, want 452 or more, behind"},
		{"same place", offset(1, 0), "offset: got 0, want"},

		{"heads missing", change(func(g *ggufFile) { g.Keys = g.Keys[:1] }), "key llama.attention.head_count: missing"},
		{"heads 0", change(func(g *ggufFile) { g.Keys[1][1] = uint32(0) }), "key llama.attention.head_count: got 0"},
		{"heads 3", change(func(g *ggufFile) { g.Keys[1][1] = uint32(3) }), "tensor blk.0.attn_q.weight: shape: got 8 rows, want a multiple of 6 for 3 heads"},
		{"heads 16384", change(func(g *ggufFile) { g.Keys[1][1] = uint32(16384) }), "want a multiple of 32768"},
		{"architecture missing", change(func(g *ggufFile) { g.Keys = g.Keys[1:] }), "key general.architecture: missing, want a string"},
		{"architecture a number", change(func(g *ggufFile) { g.Keys[0][1] = uint8(1) }), "key general.architecture: got an integer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := boundedGGUF(t, c.file)
			if strings.HasPrefix(c.words, "|") && err == nil {
				return
			}
			wantError(t, err, c.words)
			if !strings.HasPrefix(err.Error(), "model/m.gguf: ") || strings.Count(err.Error(), "m.gguf") > 1 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// boundedGGUF opens a file, reads all that opens and measures what that takes.
func boundedGGUF(t *testing.T, file []byte) error {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	src := &reader{Source: FromBytes(file)}
	c, err := ReadGGUF("model/m.gguf", func(string) (Source, error) { return src, nil })
	if err == nil {
		err = readAllGGUF(c)
	}
	runtime.ReadMemStats(&after)
	// A header's window, a decoding buffer, and what the file itself amounts to.
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(2<<20+40*len(file)); got > most {
		t.Errorf("allocates %d bytes for a file of %d, want at most %d", got, len(file), most)
	}
	// The header once, and each row in two ways.
	if most := 4*len(file) + 64; src.bytes > most || src.reads > most {
		t.Errorf("reads %d bytes of a file of %d in %d pieces, want at most %d", src.bytes, len(file), src.reads, most)
	}
	return err
}

// reader counts what is read, and how often.
type reader struct {
	Source
	reads, bytes int
}

func (c *reader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Source.ReadAt(p, off)
	c.reads, c.bytes = c.reads+1, c.bytes+n
	return n, err
}

// readAllGGUF reads all values and rows, in every way.
func readAllGGUF(c *Checkpoint) error {
	g := c.GGUF()
	for _, key := range g.Keys() {
		_, _ = g.String(key)
		_, _ = g.Int(key, 0, 1<<30)
		_, _ = g.Float(key, 0, 1)
		_, _ = g.Bool(key)
		_, _ = g.Strings(key, 1<<20)
		_, _ = g.Int32s(key, 1<<20)
		_, _ = g.Float32s(key, 1<<20)
	}
	for _, name := range c.Names() {
		w, _ := c.Tensor(name)
		dst := make([]float32, w.Cols())
		codes, scales := make([]int8, w.Cols()), make([]uint16, w.Cols()/32+1)
		for row := range w.Rows() {
			if err := w.ReadRows(dst, row, 1); err != nil && w.DType.Float() {
				return err
			}
			if w.DType == Q80 {
				if err := w.ReadCodes(codes, scales, row, 1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// TestGGUFCuts: a file cut anywhere is refused, whatever byte it ends with.
func TestGGUFCuts(t *testing.T) {
	good := goodGGUF().Bytes()
	if err := boundedGGUF(t, good); err != nil {
		t.Fatal(err)
	}
	end := len(good) - (32-(210*2)%32)%32 // what is behind the last tensor may go
	for n := range len(good) {
		if err := boundedGGUF(t, good[:n:n]); (err == nil) != (n >= end) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(good), err)
		}
	}
}

// TestGGUFFaults: a source that fails or ends early gives an error everywhere.
func TestGGUFFaults(t *testing.T) {
	good := goodGGUF().Bytes()
	for from := 0; from < len(good)-32; from += 13 {
		c, err := ReadGGUF("m.gguf", func(string) (Source, error) { return &faulty{FromBytes(good), int64(from), nil}, nil })
		if err == nil {
			err = readAllGGUF(c)
		}
		if err == nil || len(err.Error()) > 400 {
			t.Errorf("from %d on: %v", from, err)
		}
	}
}
