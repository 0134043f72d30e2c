package checkpoint

import (
	"fmt"
	"io"
	"sync"

	"armor/model/checkpoint/strictjson"
)

// Tensor is a tensor in a file. All methods are safe for concurrent use.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // row-major, outermost first

	file   *file
	begin  int64  // in the file
	size   int64  // bytes, the product of Shape and the size of DType
	stored string // the file's name for it, where Name is another
	heads  int    // its rows are as GGUF orders those of so many heads, or 0
}

// file is an open safetensors or GGUF file.
type file struct {
	path    string
	src     Source
	buffers sync.Pool // *[chunk]byte: what decoding reads into
}

// At most chunk bytes are read and decoded at a time: they stay in the cache
// between the two.
const chunk = 64 << 10

func newFile(path string, src Source) *file {
	return &file{path: path, src: src, buffers: sync.Pool{New: func() any { return new([chunk]byte) }}}
}

// read fills p from off.
func (f *file) read(p []byte, off int64) error {
	n, err := f.src.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = fmt.Errorf("unexpected end: got %d bytes at %d, want %d", n, off, len(p))
	}
	return err
}

func (f *file) close() error {
	if c, ok := f.src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Cols is the innermost dimension; that of a scalar is 1.
func (t *Tensor) Cols() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Rows is the product of all dimensions but the innermost: 1 for a vector, and
// blocks · rows for a stack of blocks [blocks, rows, cols].
func (t *Tensor) Rows() int {
	rows := 1
	for i := 0; i+1 < len(t.Shape); i++ {
		rows *= t.Shape[i]
	}
	return rows
}

// Bytes is the tensor's size in the file.
func (t *Tensor) Bytes() int64 { return t.size }

// ReadRows sets dst [n, Cols] to n rows from row on, exactly, as f32. It fails
// if the type is not a float, if rows or dst are too short, or if reading fails.
func (t *Tensor) ReadRows(dst []float32, row, n int) error {
	rows, cols := t.Rows(), t.Cols()
	if !t.DType.Float() {
		return t.errorf("dtype: got %v, want F32, F16 or BF16", t.DType)
	}
	if row < 0 || n < 0 || row > rows || n > rows-row {
		return t.errorf("rows: got %d from %d on, want within %d", n, row, rows)
	}
	if n*cols > len(dst) {
		return t.errorf("destination: got %d elements, want %d rows of %d", len(dst), n, cols)
	}
	dst = dst[:n*cols]
	if t.heads > 0 {
		return t.readHeads(dst, row, n)
	}
	return t.decodeAt(dst, t.offset(row))
}

// offset is where a row of the file begins.
func (t *Tensor) offset(row int) int64 {
	elements, bytes := t.DType.Block()
	return t.begin + int64(row)*int64(t.Cols()/elements)*int64(bytes)
}

// decodeAt reads what begins at off, whole blocks.
func (t *Tensor) decodeAt(dst []float32, off int64) error {
	return t.blocks(len(dst), off, func(src []byte, at, n int) { decode(dst[at:at+n], t.DType, src) })
}

// blocks reads n elements in pieces of whole blocks and gives each to use: its
// bytes, the number of the first element and how many they are.
func (t *Tensor) blocks(n int, off int64, use func(src []byte, at, n int)) error {
	elements, bytes := t.DType.Block()
	buffer := t.file.buffers.Get().(*[chunk]byte)
	defer t.file.buffers.Put(buffer)
	for at := 0; at < n; {
		k := min((n-at)/elements, chunk/bytes)
		src := buffer[:k*bytes]
		if err := t.file.read(src, off); err != nil {
			return t.errorf("%w", err)
		}
		use(src, at, k*elements)
		at, off = at+k*elements, off+int64(len(src))
	}
	return nil
}

// Release gives the pages of n rows from row on back to the system where the
// source can. They may be read again.
func (t *Tensor) Release(row, n int) {
	if r, ok := t.file.src.(Releaser); ok {
		first, end := t.storedRows(row, n)
		r.Release(t.offset(first), t.offset(end)-t.offset(first))
	}
}

// Errorf makes an error about the tensor's content: "PATH: tensor NAME: ...".
func (t *Tensor) Errorf(format string, args ...any) error { return t.errorf(format, args...) }

func (t *Tensor) errorf(format string, args ...any) error {
	name := t.Name
	if t.stored != "" {
		name = t.stored
	}
	return fmt.Errorf("%s: tensor %s: %w", t.file.path, strictjson.Name(name), fmt.Errorf(format, args...))
}
