package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"

	"armor/model/checkpoint/strictjson"
)

// NeedType is Need for a tensor of exactly that type, be it of integers.
func (c *Checkpoint) NeedType(name string, d DType, shape ...int) (*Tensor, error) {
	t, ok := c.Tensor(name)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: tensor %s: missing", c.Path, strictjson.Name(c.StoredName(name)))
	case t.DType != d:
		return nil, t.errorf("dtype: got %v, want %v", t.DType, d)
	case !slices.Equal(t.Shape, shape):
		return nil, t.errorf("shape: got %v, want %v", t.Shape, shape)
	}
	return t, nil
}

// OpenFile opens one of the model's files, of any size, to be read from its
// beginning. Like File it fails with fs.ErrNotExist for one that is not there.
func (c *Checkpoint) OpenFile(name string) (io.ReadCloser, error) {
	if err := plainName(name); err != nil {
		return nil, fmt.Errorf("%s: file %s: %w", c.Path, strictjson.Name(name), err)
	}
	src, err := c.open(name)
	if err != nil {
		return nil, err
	}
	f := newFile(filepath.Join(c.Path, name), src)
	return &modelFile{io.NewSectionReader(f.src, 0, src.Size()), f}, nil
}

type modelFile struct {
	*io.SectionReader
	f *file
}

func (o *modelFile) Close() error { return o.f.close() }

// SHA256 is the hash of the weight files one after another, by name, hexadecimal:
// that of the file where there is one.
func (c *Checkpoint) SHA256() (string, error) {
	hash := sha256.New()
	for _, f := range c.files {
		size := f.src.Size()
		if _, err := io.Copy(hash, io.NewSectionReader(f.src, 0, size)); err != nil {
			return "", fmt.Errorf("%s: %w", f.path, err)
		}
		if r, ok := f.src.(Releaser); ok {
			r.Release(0, size)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Raw reports whether the file's bytes are the tensor as it is: not so for what
// GGUF files order in another way.
func (t *Tensor) Raw() bool { return t.heads == 0 }

// ReadBytes fills dst with the tensor's bytes from off on, as the file has them:
// little-endian elements, row-major.
func (t *Tensor) ReadBytes(dst []byte, off int64) error {
	if off < 0 || off > t.size || int64(len(dst)) > t.size-off {
		return t.errorf("bytes: got %d from %d on, want within %d", len(dst), off, t.size)
	}
	if err := t.file.read(dst, t.begin+off); err != nil {
		return t.errorf("%w", err)
	}
	return nil
}

// CopyBytes writes all of the tensor's bytes to w, whose errors it passes on.
func (t *Tensor) CopyBytes(w io.Writer) error {
	if !t.Raw() {
		return t.errorf("its rows are in GGUF's order, want those of a safetensors file")
	}
	buffer := t.file.buffers.Get().(*[chunk]byte)
	defer t.file.buffers.Put(buffer)
	for at := int64(0); at < t.size; {
		p := buffer[:min(t.size-at, chunk)]
		if err := t.ReadBytes(p, at); err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
		at += int64(len(p))
	}
	return nil
}

// ReadInts fills dst with elements from first on of a tensor of integers or
// booleans (0 or 1).
func (t *Tensor) ReadInts(dst []int64, first int) error {
	size := t.DType.Size()
	if t.DType.Float() || t.DType == F64 {
		return t.errorf("dtype: got %v, want integers", t.DType)
	}
	elements := int(t.size / size)
	if first < 0 || first > elements || len(dst) > elements-first {
		return t.errorf("elements: got %d from %d on, want within %d", len(dst), first, elements)
	}
	raw := make([]byte, min(len(dst)*int(size), chunk))
	for len(dst) > 0 {
		n := min(len(dst), chunk/int(size))
		src := raw[:n*int(size)]
		if err := t.ReadBytes(src, int64(first)*size); err != nil {
			return err
		}
		for i := range dst[:n] {
			v, ok := integer(t.DType, src[i*int(size):])
			if !ok {
				return t.errorf("element %d: got %d, want at most %d", first+i, uint64(v), t.DType.most())
			}
			dst[i] = v
		}
		dst, first = dst[n:], first+n
	}
	return nil
}

// most is the largest element that ReadInts accepts where not all are.
func (d DType) most() int64 {
	if d == Bool {
		return 1
	}
	return math.MaxInt64
}

// integer decodes the first element of src. It is not ok where it does not fit.
func integer(d DType, src []byte) (v int64, ok bool) {
	switch d {
	case I8:
		return int64(int8(src[0])), true
	case U8:
		return int64(src[0]), true
	case Bool:
		return int64(src[0]), src[0] <= 1
	case I16:
		return int64(int16(binary.LittleEndian.Uint16(src))), true
	case U16:
		return int64(binary.LittleEndian.Uint16(src)), true
	case I32:
		return int64(int32(binary.LittleEndian.Uint32(src))), true
	case U32:
		return int64(binary.LittleEndian.Uint32(src)), true
	case I64:
		return int64(binary.LittleEndian.Uint64(src)), true
	case U64:
		u := binary.LittleEndian.Uint64(src)
		return int64(u), u <= math.MaxInt64
	}
	panic("checkpoint: integer of " + d.String())
}
