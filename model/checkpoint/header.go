package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nlpodyssey/safetensors"

	"armor/model/checkpoint/strictjson"
)

// Bounds on a safetensors header. The length is the reference implementation's;
// real files have a few thousand tensors of rank 4 at most.
const (
	prefix     = 8 // the header's length, little-endian
	maxHeader  = 100_000_000
	maxTensors = 1 << 17
	maxRank    = 8
)

// readTensors reads the header of a safetensors file and checks all of it: after
// this every tensor lies within the file and the product of its shape is its size.
func readTensors(f *file) ([]*Tensor, error) {
	header, err := readHeader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	tensors, err := parseHeader(header)
	if err == nil {
		base := prefix + int64(len(header))
		err = place(tensors, f, base, f.src.Size()-base)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return tensors, nil
}

func readHeader(f *file) ([]byte, error) {
	size := f.src.Size()
	if size < prefix+2 {
		return nil, fmt.Errorf("too short for a safetensors header: got %d bytes, want at least %d", size, prefix+2)
	}
	var first [prefix]byte
	if err := f.read(first[:], 0); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	n := binary.LittleEndian.Uint64(first[:])
	if limit := uint64(min(size-prefix, maxHeader)); n < 2 || n > limit {
		return nil, fmt.Errorf("header length: got %d, want 2 to %d%s", n, limit, foreign(first[:]))
	}
	header := make([]byte, n)
	if err := f.read(header, prefix); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if r, ok := f.src.(Releaser); ok {
		r.Release(prefix, int64(n))
	}
	if header[0] != '{' {
		return nil, fmt.Errorf("header: got %q first, want '{'%s", header[:1], foreign(first[:]))
	}
	return header, nil
}

// foreign names another kind of file by its first bytes.
func foreign(first []byte) string {
	for _, kind := range []struct{ magic, name string }{
		{"version ", "a Git LFS pointer (fetch it with git lfs pull)"},
		{"GGUF", "a GGUF file"},
		{"PK\x03\x04", "a zip archive (perhaps a PyTorch .bin)"},
		{"\x1f\x8b", "gzip data"},
	} {
		if bytes.HasPrefix(first, []byte(kind.magic)) {
			return "; this looks like " + kind.name
		}
	}
	return ""
}

// parseHeader gives the tensors in the header's order, begin relative to the
// data. What lies in the file is not checked yet.
func parseHeader(header []byte) ([]*Tensor, error) {
	o, err := strictjson.Parse(header)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	names := o.Keys()
	if len(names) > maxTensors {
		return nil, fmt.Errorf("header: too many tensors: got %d, want at most %d", len(names), maxTensors)
	}
	tensors := make([]*Tensor, 0, len(names))
	for _, name := range names {
		if name == "__metadata__" {
			if err := checkMetadata(o); err != nil {
				return nil, err
			}
			continue
		}
		t, err := parseEntry(name, o.Raw(name))
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", strictjson.Name(name), err)
		}
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// checkMetadata requires strings, which mean nothing here.
func checkMetadata(o *strictjson.Object) error {
	meta, err := o.Object("__metadata__")
	if err != nil {
		return err
	}
	for _, key := range meta.Keys() {
		if meta.Raw(key)[0] != '"' {
			_, err := meta.String(key)
			return err
		}
	}
	return nil
}

// parseEntry has the library decode one entry. A header at a time would take it
// several times the header's size, and it merges duplicate keys.
func parseEntry(name string, raw []byte) (*Tensor, error) {
	if err := checkEntry(raw); err != nil {
		return nil, err
	}
	var meta safetensors.Metadata
	if err := meta.UnmarshalJSON(slices.Concat([]byte(`{"t":`), raw, []byte("}"))); err != nil {
		return nil, errors.New(strictjson.Quote(err.Error()))
	}
	return newTensor(name, meta.Tensors()["t"])
}

// checkEntry bounds what the library gets: it quotes whole values in its errors.
func checkEntry(raw []byte) error {
	e, err := strictjson.Parse(raw)
	if err != nil {
		return err
	}
	dtype, err := e.String("dtype")
	if err != nil {
		return err
	}
	if _, err := safetensors.ParseDType(dtype); err != nil {
		return fmt.Errorf("dtype %s is not supported", strictjson.Quote(dtype))
	}
	if _, err := e.Naturals("shape", maxRank); err != nil {
		return err
	}
	offsets, err := e.Naturals("data_offsets", 2)
	if err != nil {
		return err
	}
	if len(offsets) != 2 {
		return fmt.Errorf("data_offsets: got %d numbers, want 2", len(offsets))
	}
	for _, key := range e.Keys() {
		if key != "dtype" && key != "shape" && key != "data_offsets" {
			return fmt.Errorf("unknown key %s, want dtype, shape and data_offsets", strictjson.Name(key))
		}
	}
	return nil
}

// newTensor checks that the shape's bytes are those between the offsets.
func newTensor(name string, info *safetensors.TensorInfo) (*Tensor, error) {
	dtype, err := dtypeOf(info.DType)
	if err != nil {
		return nil, err
	}
	begin, end := info.DataOffsets[0], info.DataOffsets[1]
	if end < begin || end > math.MaxInt64 {
		return nil, fmt.Errorf("data_offsets: got [%d, %d], want the end not before the beginning", begin, end)
	}
	// A dimension of 0 counts as 1 here, so that no order of dimensions and no
	// part of them overflows later.
	bytes, empty := uint64(dtype.Size()), false
	shape := make([]int, len(info.Shape))
	for i, d := range info.Shape {
		if d > math.MaxInt/bytes {
			return nil, fmt.Errorf("shape: the size overflows, got %v of %v", info.Shape, dtype)
		}
		bytes *= max(d, 1)
		empty = empty || d == 0
		shape[i] = int(d)
	}
	if empty {
		bytes = 0
	}
	if end-begin != bytes {
		return nil, fmt.Errorf("data_offsets: got %d bytes, want %d for shape %v of %v", end-begin, bytes, shape, dtype)
	}
	return &Tensor{Name: name, DType: dtype, Shape: shape, begin: int64(begin), size: int64(bytes)}, nil
}

// place checks that the tensors cover size bytes of data without hole or overlap,
// as the format demands, and says where in the file they are. It sorts them.
func place(tensors []*Tensor, f *file, base, size int64) error {
	slices.SortFunc(tensors, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.size, b.size), cmp.Compare(a.Name, b.Name))
	})
	for _, t := range tensors {
		if end := t.begin + t.size; end > size {
			return fmt.Errorf("tensor %s: data_offsets: got %d to %d, beyond the %d bytes of data in the file (is it truncated?)",
				strictjson.Name(t.Name), t.begin, end, size)
		}
	}
	var at int64
	for i, t := range tensors {
		if t.begin != at {
			what, after := "a hole", "the header"
			if t.begin < at {
				what = "an overlap"
			}
			if i > 0 {
				after = strictjson.Name(tensors[i-1].Name)
			}
			return fmt.Errorf("tensor %s: data_offsets: %s after %s: got %d, want %d",
				strictjson.Name(t.Name), what, after, t.begin, at)
		}
		at += t.size
		t.file, t.begin = f, base+t.begin
	}
	if at != size {
		return fmt.Errorf("trailing bytes after the last tensor: got %d bytes of data, want %d", size, at)
	}
	if len(tensors) == 0 {
		return errors.New("no tensors")
	}
	return nil
}
