package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"unicode/utf8"

	"armor/model/atomicfile"
	"armor/model/checkpoint/strictjson"
)

// ShardBytes is the size that a Writer's files have at most, as in transformers.
const ShardBytes = 5_000_000_000

// Writer writes the tensors of a model folder as safetensors, one after another,
// so that no more than one is in memory. The files get their names together at
// Finish: model.safetensors where one is enough, else shards with an index. Same
// tensors in the same order give the same bytes.
type Writer struct {
	dir    string
	limit  int64 // of a file, bytes
	room   int   // for the header of a file that is not held in memory, bytes
	memory int   // data of a file that are held in memory, bytes
	create func(dir string) (tempFile, error)

	shard *shardWriter
	done  []*shardWriter
	seen  map[string]bool
	err   error
}

// tempFile is what a Writer needs of an *os.File.
type tempFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Chmod(os.FileMode) error
	Sync() error
}

// Shard is a file that a Writer has written.
type Shard struct {
	Name   string
	Bytes  int64
	SHA256 string // hexadecimal
}

const (
	headerRoom = 256 << 10 // some 1,700 tensors; more begin another file
	heldBytes  = 16 << 20  // smaller files have headers that fit exactly
	delayed    = 16 << 20  // larger tensors of an odd size have a file of their own
)

// NewWriter begins to write into dir, which must be there. Files of at most
// shardBytes, or ShardBytes if that is 0, hold the tensors; one that is larger
// is alone in its file.
func NewWriter(dir string, shardBytes int64) (*Writer, error) {
	if shardBytes <= 0 {
		shardBytes = ShardBytes
	}
	w := &Writer{dir: dir, limit: shardBytes, room: headerRoom, memory: heldBytes, seen: map[string]bool{},
		create: func(dir string) (tempFile, error) { return os.CreateTemp(dir, ".model-*.tmp") }}
	return w, w.begin()
}

func (w *Writer) errorf(err error) error {
	return fmt.Errorf("%s: cannot write the weights: %w", w.dir, atomicfile.Cause(err))
}

// begin opens the next file.
func (w *Writer) begin() error {
	f, err := w.create(w.dir)
	if err != nil {
		return w.errorf(err)
	}
	w.shard = &shardWriter{file: f, room: w.room, memory: w.memory}
	return nil
}

// Add writes one tensor, row-major and little-endian: write gets where its bytes
// go and must write exactly those of the shape. After an error the Writer is only
// good for Abort.
func (w *Writer) Add(name string, d DType, shape []int, write func(io.Writer) error) error {
	if w.err == nil {
		w.err = w.add(name, d, shape, write)
	}
	return w.err
}

func (w *Writer) add(name string, d DType, shape []int, write func(io.Writer) error) error {
	size, err := byteSize(d, shape)
	switch {
	case err != nil:
	case name == "" || name == "__metadata__" || !utf8.ValidString(name):
		err = errors.New("it cannot have this name")
	case w.seen[name]:
		err = errors.New("it has been written already")
	}
	if err != nil {
		return fmt.Errorf("%s: tensor %s: %w", w.dir, strictjson.Name(name), err)
	}
	w.seen[name] = true
	e := writtenTensor{name: name, dtype: d, shape: shape, size: size}
	if !w.shard.fits(e, w.limit) {
		if err := w.next(); err != nil {
			return err
		}
	}
	s := w.shard
	if !s.roomFor(e) {
		return fmt.Errorf("%s: tensor %s: the name is too long for a header of %d bytes", w.dir, strictjson.Name(name), s.room)
	}
	// The format allows no gaps, so what would move all that follows off their
	// alignment waits for the end of the file.
	if size%8 != 0 && size <= delayed {
		var b bytes.Buffer
		if err := w.fill(&b, e, write); err != nil {
			return err
		}
		s.delay(e, b.Bytes())
		return nil
	}
	if size%8 != 0 && !s.empty() {
		if err := w.next(); err != nil {
			return err
		}
		s = w.shard
	}
	b := bufio.NewWriterSize(s, 1<<20)
	if err := w.fill(b, e, write); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return w.errorf(err)
	}
	s.place(e)
	if size%8 != 0 {
		return w.next()
	}
	return nil
}

// fill has one tensor written to dst and counts the bytes.
func (w *Writer) fill(dst io.Writer, e writtenTensor, write func(io.Writer) error) error {
	c := &exact{w: dst, left: e.size}
	err := write(c)
	if c.err != nil { // of the disk, whatever became of it since
		return w.errorf(c.err)
	}
	if err == nil && c.left != 0 {
		err = fmt.Errorf("%s: tensor %s: got %d bytes, want %d of shape %v of %v",
			w.dir, strictjson.Name(e.name), e.size-c.left, e.size, e.shape, e.dtype)
	}
	return err
}

// exact passes on what does not exceed left.
type exact struct {
	w    io.Writer
	left int64
	err  error // of w
}

func (c *exact) Write(p []byte) (int, error) {
	c.left -= int64(len(p))
	if c.left < 0 || c.err != nil {
		return len(p), c.err
	}
	n, err := c.w.Write(p)
	c.err = err
	return n, err
}

// Copy writes a tensor of an open checkpoint as it is.
func (w *Writer) Copy(t *Tensor) error { return w.Add(t.Name, t.DType, t.Shape, t.CopyBytes) }

// next completes the file and begins another.
func (w *Writer) next() error {
	if err := w.complete(); err != nil {
		return err
	}
	return w.begin()
}

// complete puts the file's bytes on the disk, still under its temporary name.
func (w *Writer) complete() error {
	if err := w.shard.complete(); err != nil {
		return w.errorf(err)
	}
	w.done = append(w.done, w.shard)
	w.shard = nil
	return nil
}

// Finish completes the files and gives them their names.
func (w *Writer) Finish() ([]Shard, error) {
	if w.err == nil {
		w.err = w.finish()
	}
	if w.err != nil {
		return nil, w.err
	}
	shards := make([]Shard, len(w.done))
	for i, s := range w.done {
		shards[i] = Shard{Name: s.name, Bytes: s.bytes, SHA256: s.sum}
	}
	return shards, nil
}

func (w *Writer) finish() error {
	if len(w.seen) == 0 {
		return fmt.Errorf("%s: no tensors", w.dir)
	}
	if w.shard.empty() && len(w.done) > 0 {
		w.shard.abort()
		w.shard = nil
	} else if err := w.complete(); err != nil {
		return err
	}
	for i, s := range w.done {
		s.name = "model.safetensors"
		if len(w.done) > 1 {
			s.name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(w.done))
		}
		path := filepath.Join(w.dir, s.name)
		if err := os.Rename(s.path, path); err != nil {
			return w.errorf(err)
		}
		s.path = path
	}
	atomicfile.SyncFolder(w.dir)
	if len(w.done) == 1 {
		return nil
	}
	return w.index()
}

func (w *Writer) index() error {
	var index struct {
		Metadata struct {
			TotalSize int64 `json:"total_size"`
		} `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}
	index.WeightMap = map[string]string{}
	for _, s := range w.done {
		for _, t := range s.tensors {
			index.WeightMap[t.name] = s.name
			index.Metadata.TotalSize += t.size
		}
	}
	data, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(w.dir, "model.safetensors.index.json"), bytes.NewReader(append(data, '\n')))
}

// Abort removes what has been written. After Finish it takes the named files too.
func (w *Writer) Abort() {
	if w.err == nil {
		w.err = fmt.Errorf("%s: aborted", w.dir)
	}
	if w.shard != nil {
		w.shard.abort()
		w.shard = nil
	}
	for _, s := range w.done {
		s.abort()
	}
	if len(w.done) > 1 {
		os.Remove(filepath.Join(w.dir, "model.safetensors.index.json"))
	}
	w.done = nil
}

// byteSize is the product of a shape and the size of an element.
func byteSize(d DType, shape []int) (int64, error) {
	if d.Quantized() || d == 0 {
		return 0, fmt.Errorf("dtype: got %v, want one of safetensors", d)
	}
	if len(shape) > maxRank {
		return 0, fmt.Errorf("shape: got %d dimensions, want at most %d", len(shape), maxRank)
	}
	size := d.Size()
	for _, n := range shape {
		if n < 0 || n > 0 && size > math.MaxInt64/int64(n) {
			return 0, fmt.Errorf("shape: the size overflows, got %v of %v", shape, d)
		}
		size *= int64(n)
	}
	return size, nil
}
