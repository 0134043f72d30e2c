package checkpoint

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"armor/model/checkpoint/strictjson"
)

const ggufMagic = "GGUF"

// IsGGUF reports whether path is for OpenGGUF: it ends in .gguf, or it is a file
// that begins with the format's magic. A folder never is.
func IsGGUF(path string) bool {
	f, err := openRegular(path)
	if err != nil {
		info, e := os.Stat(path)
		return strings.EqualFold(filepath.Ext(path), ".gguf") && (e != nil || !info.IsDir())
	}
	defer f.Close()
	var first [len(ggufMagic)]byte
	n, _ := f.ReadAt(first[:], 0)
	return strings.EqualFold(filepath.Ext(path), ".gguf") || string(first[:n]) == ggufMagic
}

// OpenGGUF opens a GGUF file, version 2 or 3. Of a model that was split into
// NAME-00001-of-0000N.gguf it takes the first file and finds the others beside it.
func OpenGGUF(path string) (*Checkpoint, error) {
	dir := filepath.Dir(path)
	return ReadGGUF(path, func(name string) (Source, error) { return OpenFile(filepath.Join(dir, name)) })
}

// ReadGGUF is OpenGGUF with files that open finds by their plain names; path only
// names the model in messages, and its last element the first file. Tensors have
// the names and row order of Hugging Face's folders; those that have no such name
// keep their own.
func ReadGGUF(path string, open func(name string) (Source, error)) (*Checkpoint, error) {
	c := &Checkpoint{Path: path, tensors: map[string]*Tensor{}, used: map[string]bool{}}
	c.open = func(name string) (Source, error) {
		return nil, fmt.Errorf("%s: no %s in a GGUF file: %w", path, strictjson.Name(name), fs.ErrNotExist)
	}
	if err := c.loadGGUF(open); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// GGUF is the metadata of a GGUF file, nil for a folder.
func (c *Checkpoint) GGUF() *GGUF { return c.gguf }

func (c *Checkpoint) loadGGUF(open func(name string) (Source, error)) error {
	g, err := c.loadPart(filepath.Base(c.Path), open)
	if err != nil {
		return err
	}
	c.gguf = g
	if err := c.loadSplits(open); err != nil {
		return err
	}
	if len(c.tensors) == 0 {
		return fmt.Errorf("%s: no tensors", c.Path)
	}
	return c.orderHeads()
}

// loadPart reads one file's metadata and adds its tensors.
func (c *Checkpoint) loadPart(name string, open func(name string) (Source, error)) (*GGUF, error) {
	src, err := open(name)
	if err != nil {
		return nil, err
	}
	f := newFile(filepath.Join(filepath.Dir(c.Path), name), src)
	c.files = append(c.files, f)
	g, tensors, err := readGGUF(f)
	if err != nil {
		return nil, err
	}
	for _, t := range tensors {
		if first := c.tensors[t.Name]; first != nil {
			return nil, t.errorf("duplicate, it is also in %s", filepath.Base(first.file.path))
		}
		c.tensors[t.Name] = t
	}
	return g, nil
}

var splitName = regexp.MustCompile(`^(.+-)([0-9]{5})(-of-[0-9]{5}\.gguf)$`)

// loadSplits opens the other files of a split model.
func (c *Checkpoint) loadSplits(open func(name string) (Source, error)) error {
	g := c.gguf
	name := splitName.FindStringSubmatch(filepath.Base(c.Path))
	if !g.Has("split.count") {
		if name != nil && !strings.HasSuffix(name[3], "-of-00001.gguf") {
			return g.Errorf("split.count", "missing, but the file's name is that of a part")
		}
		return nil
	}
	count, err := g.Int("split.count", 0, maxShards)
	if err != nil || count <= 1 {
		return err
	}
	if err := g.partOf(0, count); err != nil {
		return err
	}
	total, err := g.Int("split.tensors.count", 0, maxTensors)
	if err != nil {
		return err
	}
	if name == nil || name[2] != "00001" || name[3] != fmt.Sprintf("-of-%05d.gguf", count) {
		return g.Errorf("split.count", "the model has %d files, want their names to end in -00001-of-%05d.gguf and on", count, count)
	}
	for i := 1; i < count; i++ {
		part, err := c.loadPart(name[1]+fmt.Sprintf("%05d", i+1)+name[3], open)
		if err == nil {
			err = part.partOf(i, count)
		}
		if err != nil {
			return err
		}
	}
	if len(c.tensors) != total {
		return g.Errorf("split.tensors.count", "got %d, want the %d of all files", total, len(c.tensors))
	}
	return nil
}

// partOf requires g to be part i of count.
func (g *GGUF) partOf(i, count int) error {
	n, err := g.Int("split.count", 0, maxShards)
	if err != nil {
		return err
	}
	no, err := g.Int("split.no", 0, maxShards)
	switch {
	case err != nil:
		return err
	case n != count:
		return g.Errorf("split.count", "got %d, want %d as in the first file", n, count)
	case no != i && i == 0:
		return g.Errorf("split.no", "got %d, this is part %d of %d: open the first", no, no+1, count)
	case no != i:
		return g.Errorf("split.no", "got %d, want %d", no, i)
	}
	return nil
}

// blockNames are GGUF's and Hugging Face's names in a layer, without .weight or
// .bias.
var blockNames = [][2]string{
	{"attn_norm", "input_layernorm"},
	{"attn_q", "self_attn.q_proj"},
	{"attn_k", "self_attn.k_proj"},
	{"attn_v", "self_attn.v_proj"},
	{"attn_output", "self_attn.o_proj"},
	{"attn_q_norm", "self_attn.q_norm"},
	{"attn_k_norm", "self_attn.k_norm"},
	{"ffn_norm", "post_attention_layernorm"},
	{"ffn_gate", "mlp.gate_proj"},
	{"ffn_up", "mlp.up_proj"},
	{"ffn_down", "mlp.down_proj"},
}

var modelNames = [][2]string{
	{"token_embd", "model.embed_tokens"},
	{"output_norm", "model.norm"},
	{"output", "lm_head"},
}

// renamed turns a tensor's name from column from of the tables to the other, and
// the prefix of layers with it.
func renamed(name string, from int) (string, bool) {
	prefixes := [2]string{"blk.", "model.layers."}
	layer, table := "", modelNames
	if rest, ok := strings.CutPrefix(name, prefixes[from]); ok {
		number, inner, _ := strings.Cut(rest, ".")
		if n, err := strconv.ParseUint(number, 10, 31); err != nil || strconv.FormatUint(n, 10) != number {
			return "", false
		}
		layer, name, table = prefixes[1-from]+number+".", inner, blockNames
	}
	for _, kind := range []string{".weight", ".bias"} {
		if base, ok := strings.CutSuffix(name, kind); ok {
			for _, pair := range table {
				if pair[from] == base {
					return layer + pair[1-from] + kind, true
				}
			}
		}
	}
	return "", false
}

// StoredName is what the files call a tensor, there or not: for messages.
func (c *Checkpoint) StoredName(name string) string {
	if c.gguf != nil {
		if stored, ok := renamed(name, 1); ok {
			return stored
		}
	}
	return name
}

// orderHeads notes which tensors hold heads interleaved, see storedRow.
func (c *Checkpoint) orderHeads() error {
	g := c.gguf
	architecture, err := g.String("general.architecture")
	if err != nil || architecture != "llama" {
		return err
	}
	const maxHeads = 1 << 14
	q, err := g.Int("llama.attention.head_count", 1, maxHeads)
	kv := q
	if err == nil && g.Has("llama.attention.head_count_kv") {
		kv, err = g.Int("llama.attention.head_count_kv", 1, maxHeads)
	}
	if err != nil {
		return err
	}
	for _, name := range c.Names() {
		t := c.tensors[name]
		if t.Name == t.stored {
			continue
		}
		heads := 0
		switch base, _, _ := strings.Cut(t.Name, "_proj."); {
		case strings.HasSuffix(base, ".self_attn.q"):
			heads = q
		case strings.HasSuffix(base, ".self_attn.k"):
			heads = kv
		default:
			continue
		}
		rows := t.Rows()
		if len(t.Shape) == 1 {
			rows = t.Cols()
		}
		if rows%(2*heads) != 0 {
			return t.errorf("shape: got %d rows, want a multiple of %d for %d heads", rows, 2*heads, heads)
		}
		t.heads = heads
	}
	return nil
}
