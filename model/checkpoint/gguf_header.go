package checkpoint

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"armor/model/checkpoint/strictjson"
)

// Bounds on what comes before the data. Real files have some 60 keys; the largest
// vocabularies take 16 MiB. Names are llama.cpp's 64 bytes at most.
const (
	maxMetadata   = 64 << 20
	maxKeys       = 1 << 12
	maxKey        = 1 << 10
	maxName       = 1 << 8
	maxDimensions = 4
)

// cursor reads a header from front to back. After the first error all reads give
// zero values. It is at pos, and may go up to end.
type cursor struct {
	f        *file
	pos, end int64
	window   []byte // what has been read of the file, from base on
	base     int64
	err      error
}

func newCursor(f *file) *cursor {
	return &cursor{f: f, end: min(f.src.Size(), maxMetadata)}
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// left is the bytes that may follow, in words and as a number.
func (c *cursor) left() (uint64, string) {
	if c.end == maxMetadata {
		return uint64(c.end - c.pos), "left of the 64 MiB for metadata"
	}
	return uint64(c.end - c.pos), "left in the file"
}

// room requires n things of at least size bytes each to fit in what is left.
func (c *cursor) room(what string, n, size uint64) bool {
	if left, of := c.left(); c.err == nil && n > left/size {
		c.fail("%s: got %d, want at most %d in the %d bytes %s", what, n, left/size, left, of)
	}
	return c.err == nil
}

// next gives n bytes, at most 4 KiB, until the next call.
func (c *cursor) next(what string, n int) []byte {
	if left, of := c.left(); uint64(n) > left {
		c.fail("%s: got %d bytes %s, want %d", what, left, of, n)
	}
	if c.err != nil {
		return make([]byte, n)
	}
	if c.pos < c.base || c.pos+int64(n) > c.base+int64(len(c.window)) {
		c.window = slices.Grow(c.window[:0], chunk)[:min(chunk, c.end-c.pos)]
		c.base = c.pos
		if err := c.f.read(c.window, c.base); err != nil {
			c.fail("%s: %w", what, err)
			c.window = c.window[:0]
			return make([]byte, n)
		}
	}
	at := int(c.pos - c.base)
	c.pos += int64(n)
	return c.window[at : at+n]
}

func (c *cursor) u32(what string) uint32 { return binary.LittleEndian.Uint32(c.next(what, 4)) }
func (c *cursor) u64(what string) uint64 { return binary.LittleEndian.Uint64(c.next(what, 8)) }

// skip goes over n things of size bytes.
func (c *cursor) skip(what string, n, size uint64) {
	if c.room(what, n, size) {
		c.pos += int64(n * size)
	}
}

// text reads a short string: a key or a name.
func (c *cursor) text(what string, most int) string {
	n := c.u64(what)
	if !c.room(what, n, 1) {
		return ""
	}
	if n == 0 || n > uint64(most) {
		c.fail("%s: got %d bytes, want 1 to %d", what, n, most)
		return ""
	}
	return string(c.next(what, int(n)))
}

// readGGUF reads all of a file that comes before its data, and checks it: after
// this every tensor lies within the file and no two of them overlap.
func readGGUF(f *file) (*GGUF, []*Tensor, error) {
	c := newCursor(f)
	g := &GGUF{f: f, values: map[string]ggufValue{}}
	count := c.header(g)
	alignment := int64(1)
	if c.err == nil {
		var err error
		if alignment, err = g.alignment(); err != nil {
			return nil, nil, err
		}
	}
	tensors := c.tensors(count, alignment)
	if c.err == nil {
		c.err = placeGGUF(tensors, (c.pos+alignment-1)/alignment*alignment, f.src.Size())
	}
	if c.err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.path, c.err)
	}
	return g, tensors, nil
}

// header reads up to the tensors and gives their number.
func (c *cursor) header(g *GGUF) (tensors uint64) {
	magic := string(c.next("magic", 4))
	if c.err == nil && magic != ggufMagic {
		c.fail("got %q first, want %q%s", magic, ggufMagic, foreign(c.window[:min(8, len(c.window))]))
	}
	switch version := c.u32("version"); {
	case c.err != nil:
	case version != 0 && version&0xffff == 0:
		c.fail("version: got %d, want 2 or 3: big-endian files are not supported", version)
	case version != 2 && version != 3:
		c.fail("version: got %d, want 2 or 3", version)
	}
	tensors, keys := c.u64("tensor count"), c.u64("key count")
	const leastKey, leastTensor = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8
	if c.room("key count", keys, leastKey) && keys > maxKeys {
		c.fail("key count: got %d, want at most %d", keys, maxKeys)
	}
	if c.room("tensor count", tensors, leastTensor) && tensors > maxTensors {
		c.fail("tensor count: got %d, want at most %d", tensors, maxTensors)
	}
	for i := uint64(0); i < keys && c.err == nil; i++ {
		c.key(g, i)
	}
	return tensors
}

func (c *cursor) tensors(count uint64, alignment int64) []*Tensor {
	if c.err != nil {
		return nil
	}
	list := make([]*Tensor, 0, count)
	names := make(map[string]bool, count)
	for i := uint64(0); i < count && c.err == nil; i++ {
		t := c.tensor(i, uint64(alignment))
		if names[t.Name] {
			c.fail("tensor %s: duplicate", strictjson.Name(t.stored))
		}
		t.file, names[t.Name] = c.f, true
		list = append(list, t)
	}
	return list
}

// key reads one key and where its value is.
func (c *cursor) key(g *GGUF, i uint64) {
	key := c.text(fmt.Sprintf("key %d of the file: its length", i), maxKey)
	if c.err != nil {
		return
	}
	what := "key " + strictjson.Name(key)
	if g.Has(key) {
		c.fail("%s: duplicate", what)
		return
	}
	v := ggufValue{kind: ggufKind(c.u32(what + ": type")), n: 1}
	if v.kind == ggufArray {
		v.array = true
		v.kind, v.n = ggufKind(c.u32(what+": type")), c.u64(what+": length")
		if v.kind == ggufArray {
			c.fail("%s: type: arrays of arrays are not supported", what)
		}
	}
	v.off = c.pos
	switch size := v.kind.size(); {
	case c.err != nil:
		return
	case size > 0:
		c.skip(what+": values", v.n, size)
	case v.kind == ggufString && c.room(what+": strings", v.n, 8):
		for j, each := uint64(0), what+": string"; j < v.n && c.err == nil; j++ {
			c.skip(each, c.u64(each), 1)
		}
	case c.err == nil:
		c.fail("%s: type: got %d, want one that this build knows", what, uint32(v.kind))
	}
	v.size = c.pos - v.off
	g.keys = append(g.keys, key)
	g.values[key] = v
}

// tensor reads one tensor's entry; begin is relative to the data.
func (c *cursor) tensor(i, alignment uint64) *Tensor {
	name := c.text(fmt.Sprintf("tensor %d of the file: length of its name", i), maxName)
	what := "tensor " + strictjson.Name(name)
	t := &Tensor{Name: name, stored: name}
	if hf, ok := renamed(name, 0); ok {
		t.Name = hf
	}
	rank := c.u32(what + ": dimensions")
	if c.err == nil && (rank < 1 || rank > maxDimensions) {
		c.fail("%s: dimensions: got %d, want 1 to %d", what, rank, maxDimensions)
	}
	if c.err != nil {
		return t
	}
	t.Shape = make([]int, rank)
	dims := make([]uint64, rank)
	for j := range dims {
		dims[j] = c.u64(what + ": dimensions")
	}
	kind, offset := c.u32(what+": type"), c.u64(what+": offset")
	if c.err != nil {
		return t
	}
	var err error
	if t.DType, err = ggufDType(kind); err == nil {
		err = t.measure(dims)
	}
	if err == nil && (offset%alignment != 0 || offset > math.MaxInt64) {
		err = fmt.Errorf("offset: got %d, want a multiple of %d", offset, alignment)
	}
	if err != nil {
		c.fail("%s: %w", what, err)
	}
	t.begin = int64(offset)
	return t
}

// measure sets shape and size from dimensions, innermost first.
func (t *Tensor) measure(dims []uint64) error {
	elements, bytes := t.DType.Block()
	if dims[0]%uint64(elements) != 0 {
		return fmt.Errorf("dimensions: got rows of %d, want a multiple of %d for %v", dims[0], elements, t.DType)
	}
	size := uint64(bytes)
	for i, d := range dims {
		n := d
		if i == 0 {
			n /= uint64(elements)
		}
		if d == 0 || d > math.MaxInt64 || n > math.MaxInt64/size {
			return fmt.Errorf("dimensions: got %v, want them positive and %v of that shape to fit in memory", dims, t.DType)
		}
		size *= n
		t.Shape[len(dims)-1-i] = int(d)
	}
	t.size = int64(size)
	return nil
}

// placeGGUF checks that the tensors lie between base and the file's end, apart
// from one another, and says where. Other bytes there mean nothing.
func placeGGUF(tensors []*Tensor, base, size int64) error {
	slices.SortFunc(tensors, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.stored, b.stored))
	})
	var at int64
	for i, t := range tensors {
		name := strictjson.Name(t.stored)
		if t.begin < at {
			return fmt.Errorf("tensor %s: offset: got %d, want %d or more, behind %s", name, t.begin, at, strictjson.Name(tensors[i-1].stored))
		}
		if base > size || t.size > size-base || t.begin > size-base-t.size {
			return fmt.Errorf("tensor %s: got %d bytes at %d, want them in the %d bytes of data (is the file truncated?)",
				name, t.size, t.begin, max(0, size-base))
		}
		at = t.begin + t.size
		t.begin += base
	}
	return nil
}

// ggufDType gives ggml's type as ours.
func ggufDType(kind uint32) (DType, error) {
	known := map[uint32]DType{0: F32, 1: F16, 2: Q40, 3: Q41, 6: Q50, 7: Q51, 8: Q80, 10: Q2K, 11: Q3K, 12: Q4K,
		13: Q5K, 14: Q6K, 24: I8, 25: I16, 26: I32, 27: I64, 28: F64, 30: BF16}
	if d, ok := known[kind]; ok {
		return d, nil
	}
	other := map[uint32]string{4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS",
		19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0",
		39: "MXFP4", 40: "NVFP4", 41: "Q1_0"}
	const want = "want F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K"
	if name, ok := other[kind]; ok {
		return 0, errors.New("type: " + name + " is not supported, " + want)
	}
	return 0, fmt.Errorf("type: %d is not known, %s", kind, want)
}
