// Package checkpoint opens the folder of a model, with its JSON files and the
// tensors of its safetensors files, or a GGUF file. It trusts none of them: lengths are compared with
// the file before anything is allocated, and whatever does not fit is one line of
// error, "PATH: tensor NAME: what is wrong: got X, want Y".
package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"armor/model/checkpoint/strictjson"
)

// Checkpoint is one model on disk (or embedded). Its methods are safe for
// concurrent use.
type Checkpoint struct {
	Path string // of the folder or GGUF file, for messages

	open    func(name string) (Source, error)
	config  []byte // nil for a GGUF file
	gguf    *GGUF  // nil for a folder
	files   []*file
	tensors map[string]*Tensor

	mu   sync.Mutex
	used map[string]bool
}

// OpenFolder opens a folder in Hugging Face's layout: config.json, and
// model.safetensors or model.safetensors.index.json with the files it names.
// Where both are there the single file counts, as in transformers.
func OpenFolder(path string) (*Checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: got a file, want a model folder", path)
	}
	return Open(path, func(name string) (Source, error) { return OpenFile(filepath.Join(path, name)) })
}

// Open opens a model whose files open finds by their plain names; path only
// names it in messages. Errors of open are passed on as they are, and must be
// fs.ErrNotExist for a file that is not there.
func Open(path string, open func(name string) (Source, error)) (*Checkpoint, error) {
	c := &Checkpoint{Path: path, open: open, tensors: map[string]*Tensor{}, used: map[string]bool{}}
	err := c.load()
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Checkpoint) load() error {
	var err error
	if c.config, err = c.File("config.json"); err != nil {
		return err
	}
	err = c.loadSingle("model.safetensors")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	const index = "model.safetensors.index.json"
	data, err := c.File(index)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no weights: model.safetensors and %s are missing", c.Path, index)
	}
	if err != nil {
		return err
	}
	return c.loadShards(filepath.Join(c.Path, index), data)
}

func (c *Checkpoint) loadSingle(name string) error {
	tensors, err := c.openTensors(name)
	for _, t := range tensors {
		c.tensors[t.Name] = t
	}
	return err
}

// openTensors opens a safetensors file and keeps it open until Close.
func (c *Checkpoint) openTensors(name string) ([]*Tensor, error) {
	src, err := c.open(name)
	if err != nil {
		return nil, err
	}
	f := newFile(filepath.Join(c.Path, name), src)
	c.files = append(c.files, f)
	return readTensors(f)
}

// Close closes the files. Reading tensors fails from then on.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, f := range c.files {
		if err := f.close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.path, err))
		}
	}
	return errors.Join(errs...)
}

// Config is the text of config.json, nil for a GGUF file.
func (c *Checkpoint) Config() []byte { return c.config }

// Bounds on the files that are read whole. The largest in use are tokenizers of
// 262,144 tokens (33 MB) and indexes of experts (10 MB).
func fileLimit(name string) int64 {
	switch name {
	case "tokenizer.json", "model.safetensors.index.json":
		return 64 << 20
	}
	return 4 << 20
}

// File reads one of the model's small files, such as tokenizer.json. The error
// is fs.ErrNotExist if it is not there. The name has no folders; the file may be
// a link to anywhere, as in the cache of the Hugging Face hub.
func (c *Checkpoint) File(name string) ([]byte, error) {
	if err := plainName(name); err != nil {
		return nil, fmt.Errorf("%s: file %s: %w", c.Path, strictjson.Name(name), err)
	}
	src, err := c.open(name)
	if err != nil {
		return nil, err
	}
	f := newFile(filepath.Join(c.Path, name), src)
	defer f.close()
	if limit := fileLimit(name); src.Size() > limit {
		return nil, fmt.Errorf("%s: too large: got %d bytes, want at most %d", f.path, src.Size(), limit)
	}
	data := make([]byte, src.Size())
	if err := f.read(data, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return data, nil
}

// Names gives the names of all tensors, sorted.
func (c *Checkpoint) Names() []string {
	names := make([]string, 0, len(c.tensors))
	for name := range c.tensors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Has reports whether there is a tensor of that name.
func (c *Checkpoint) Has(name string) bool { return c.tensors[name] != nil }

// Tensor finds a tensor and marks it as used.
func (c *Checkpoint) Tensor(name string) (*Tensor, bool) {
	t, ok := c.tensors[name]
	if ok {
		c.mu.Lock()
		c.used[name] = true
		c.mu.Unlock()
	}
	return t, ok
}

// Need finds a tensor of floats with that shape and marks it as used.
func (c *Checkpoint) Need(name string, shape ...int) (*Tensor, error) {
	t, ok := c.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("%s: tensor %s: missing", c.Path, strictjson.Name(c.StoredName(name)))
	}
	if !slices.Equal(t.Shape, shape) {
		return nil, t.errorf("shape: got %v, want %v", t.Shape, shape)
	}
	if !t.DType.Float() {
		return nil, t.errorf("dtype: got %v, want F32, F16 or BF16", t.DType)
	}
	return t, nil
}

// Unused gives the names of the tensors nobody has asked for, sorted.
func (c *Checkpoint) Unused() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(c.Names(), func(name string) bool { return c.used[name] })
}
