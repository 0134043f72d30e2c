package latency

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strings"

	"armor/kernels/sparse24"
	"armor/model"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// Pruning says how the linear layers of a random ARMOR model are made.
type Pruning struct {
	Block  int  // the largest side of A's and B's blocks, halved until it divides a matrix; 0: a core alone
	ShareB bool // q, k and v have one B, gate and up another
}

// RandomModel is a checkpoint in the shape of a config.json whose weights are
// pseudo-random numbers, made as they are read: dense in bf16, or with pruned
// linear layers. Speed does not depend on the numbers.
func RandomModel(name string, config []byte, p *Pruning) (*checkpoint.Checkpoint, error) {
	s, err := shapeOf(name, config)
	if err != nil {
		return nil, err
	}
	b := builder{prune: p}
	b.decoder(&s.Config, s.Extras)
	if p != nil {
		if config, err = b.armorConfig(config, s.Architecture); err != nil {
			return nil, fmt.Errorf("%s: config.json: %w", name, err)
		}
	}
	return openRandom(name, config, b.file())
}

// ParseShape gives the shape of a config.json; name is for messages.
func ParseShape(name string, config []byte) (nn.Config, error) {
	s, err := shapeOf(name, config)
	return s.Config, err
}

// shapeOf reads a config.json. ShapeOf wants a checkpoint, which has a tensor.
func shapeOf(name string, config []byte) (model.Shape, error) {
	var b builder
	b.bf16("weight", 1)
	ck, err := openRandom(name, config, b.file())
	if err != nil {
		return model.Shape{}, err
	}
	return model.ShapeOf(ck)
}

func openRandom(name string, config []byte, weights *randomFile) (*checkpoint.Checkpoint, error) {
	return checkpoint.Open(name, func(file string) (checkpoint.Source, error) {
		switch file {
		case "config.json":
			return checkpoint.FromBytes(config), nil
		case "model.safetensors":
			return weights, nil
		}
		return nil, fs.ErrNotExist
	})
}

// content is what the bytes of a tensor are.
type content int

const (
	given   content = iota // literal
	numbers                // bf16, ± 2^-7 … 2^-5: nothing overflows or becomes denormal
	masks                  // 2 of 4 bits
)

type randomTensor struct {
	name    string
	dtype   string
	shape   []int
	content content
	literal []byte
	half    bool  // of masks: the last byte of a row is one group
	begin   int64 // in the file
	size    int64 // bytes
}

// builder lists the tensors of a model.
type builder struct {
	prune   *Pruning
	tensors []randomTensor
	modules []string
	sharedB map[string]string
	blocks  map[string]int
}

func (b *builder) add(name, dtype string, c content, elementBytes int, shape ...int) {
	size := int64(elementBytes)
	for _, n := range shape {
		size *= int64(n)
	}
	b.tensors = append(b.tensors, randomTensor{name: name, dtype: dtype, shape: shape, content: c, size: size})
}

func (b *builder) bf16(name string, shape ...int) { b.add(name, "BF16", numbers, 2, shape...) }

func (b *builder) decoder(c *nn.Config, x nn.Extras) {
	b.sharedB, b.blocks = map[string]string{}, map[string]int{}
	b.bf16("model.embed_tokens.weight", c.Vocab, c.Dim)
	for i := range c.Layers {
		layer := fmt.Sprintf("model.layers.%d.", i)
		attn, mlp := layer+"self_attn.", layer+"mlp."
		q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
		b.bf16(layer+"input_layernorm.weight", c.Dim)
		b.linear(attn+"q_proj", q, c.Dim, x.QKVBias, "")
		b.linear(attn+"k_proj", kv, c.Dim, x.QKVBias, attn+"q_proj")
		b.linear(attn+"v_proj", kv, c.Dim, x.QKVBias, attn+"q_proj")
		if x.QKNorm {
			b.bf16(attn+"q_norm.weight", c.HeadDim)
			b.bf16(attn+"k_norm.weight", c.HeadDim)
		}
		b.linear(attn+"o_proj", c.Dim, q, x.OBias, "")
		b.bf16(layer+"post_attention_layernorm.weight", c.Dim)
		b.linear(mlp+"gate_proj", c.FF, c.Dim, false, "")
		b.linear(mlp+"up_proj", c.FF, c.Dim, false, mlp+"gate_proj")
		b.linear(mlp+"down_proj", c.Dim, c.FF, false, "")
	}
	b.bf16("model.norm.weight", c.Dim)
	if !c.Tied {
		b.bf16("lm_head.weight", c.Vocab, c.Dim)
	}
}

// linear adds a module; owner is the one whose B it may share.
func (b *builder) linear(module string, out, in int, bias bool, owner string) {
	if bias {
		b.bf16(module+".bias", out)
	}
	if b.prune == nil {
		b.bf16(module+".weight", out, in)
		return
	}
	b.modules = append(b.modules, module)
	shape := binary.LittleEndian.AppendUint64(nil, uint64(out))
	shape = binary.LittleEndian.AppendUint64(shape, uint64(in))
	b.add(module+".shape", "I64", given, 8, 2, 1)
	b.tensors[len(b.tensors)-1].literal = shape
	b.bf16(module+".compressed", out, in/2)
	b.add(module+".bitmask", "U8", masks, 1, out, sparse24.RowBytes(in))
	b.tensors[len(b.tensors)-1].half = in%8 != 0
	if b.prune.Block == 0 {
		return
	}
	block := b.prune.Block
	for block > sparse24.Group && (out%block != 0 || in%block != 0) {
		block /= 2
	}
	b.blocks[module] = block
	b.bf16(module+".A", out/block, block, block)
	if b.prune.ShareB && b.blocks[owner] == block {
		b.sharedB[module] = owner
	} else {
		b.bf16(module+".B", in/block, block, block)
	}
}

// armorConfig adds the section armor, see package armorfmt.
func (b *builder) armorConfig(config []byte, architecture string) ([]byte, error) {
	family := map[string]string{"LlamaForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3"}[architecture]
	section := map[string]any{"format_version": armorfmt.Version, "base_model_type": family, "pattern": "2:4",
		"core_dtype": "bf16", "wrapper_dtype": "none", "normalizer": "folded", "modules": b.modules}
	if b.prune.Block > 0 {
		section["wrapper_dtype"], section["block_size"] = "bf16", []int{b.prune.Block, b.prune.Block}
		overrides := map[string]any{}
		for module, block := range b.blocks {
			if block != b.prune.Block {
				overrides[module] = map[string]any{"block_size": []int{block, block}}
			}
		}
		section["overrides"], section["shared_b"] = overrides, b.sharedB
	}
	return armorfmt.SetKeys(config, map[string]any{
		"architectures": []string{"Armor" + architecture}, "model_type": "armor_" + family, "armor": section})
}

// file lays the tensors out: masks, whose bytes may be odd in number, come last.
func (b *builder) file() *randomFile {
	sort.SliceStable(b.tensors, func(i, j int) bool { return b.tensors[i].content != masks && b.tensors[j].content == masks })
	var header bytes.Buffer
	header.WriteString(`{"__metadata__":{"format":"pt"}`)
	at := int64(0)
	for i := range b.tensors {
		t := &b.tensors[i]
		name, _ := json.Marshal(t.name) // strings and numbers cannot fail
		shape, _ := json.Marshal(t.shape)
		fmt.Fprintf(&header, `,%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, name, t.dtype, shape, at, at+t.size)
		t.begin = at
		at += t.size
	}
	header.WriteByte('}')
	header.WriteString(strings.Repeat(" ", (8-header.Len()%8)%8))
	f := &randomFile{tensors: b.tensors}
	f.header = append(binary.LittleEndian.AppendUint64(nil, uint64(header.Len())), header.Bytes()...)
	for i := range f.tensors {
		f.tensors[i].begin += int64(len(f.header))
	}
	f.size = at
	return f
}

// randomFile is a safetensors file of which only the header is in memory.
type randomFile struct {
	header  []byte
	size    int64          // of the data
	tensors []randomTensor // in the file's order, without gaps
}

// Size implements checkpoint.Source.
func (f *randomFile) Size() int64 { return int64(len(f.header)) + f.size }

// ReadAt implements io.ReaderAt.
func (f *randomFile) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off > f.Size() {
		return 0, io.EOF
	}
	if rest := f.Size() - off; int64(len(p)) > rest {
		p, err = p[:rest], io.EOF
	}
	if off < int64(len(f.header)) {
		n = copy(p, f.header[off:])
	}
	i := sort.Search(len(f.tensors), func(i int) bool { return f.tensors[i].begin+f.tensors[i].size > off+int64(n) })
	for n < len(p) {
		t := &f.tensors[i]
		at := off + int64(n)
		piece := p[n:min(len(p), n+int(t.begin+t.size-at))]
		t.fill(piece, at)
		n += len(piece)
		i++
	}
	return n, err
}

// fill sets p to the bytes of the file from at on, which are the tensor's.
func (t *randomTensor) fill(p []byte, at int64) {
	switch t.content {
	case given:
		copy(p, t.literal[at-t.begin:])
	case numbers:
		hashed(p, at, 0x80ff80ff80ff80ff, 0x3c003c003c003c00)
	case masks:
		hashed(p, at, ^uint64(0), 0)
		for i, v := range p {
			p[i] = twoOfFour[v]
			if cols := int64(t.shape[len(t.shape)-1]); t.half && (at-t.begin+int64(i))%cols == cols-1 {
				p[i] &= 0x0f
			}
		}
	}
}

// hashed sets p to the bytes from at on of a random sequence of words, each
// w & keep | set. Bytes do not depend on how they are read.
func hashed(p []byte, at int64, keep, set uint64) {
	for len(p) > 0 {
		w := mix(uint64(at)/8)&keep | set
		if at%8 == 0 && len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, w)
			p, at = p[8:], at+8
			continue
		}
		p[0] = byte(w >> (at % 8 * 8))
		p, at = p[1:], at+1
	}
}

// mix is the output function of SplitMix64 (Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x = (x + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// twoOfFour maps any byte to two groups of four bits with two set.
var twoOfFour = func() (table [256]byte) {
	groups := [6]byte{3, 5, 6, 9, 10, 12}
	for i := range table {
		k := i * 36 / 256
		table[i] = groups[k/6]<<4 | groups[k%6]
	}
	return table
}()
