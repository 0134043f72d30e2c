package armorfmt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"armor/kernels/sparse24"
	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// Parts are a pruned module to write: y = A·(S·(B·x)). All floats must be finite
// and have been rounded to bf16.
type Parts struct {
	Name              string
	Out, In           int
	Values            []float32 // [Out, In/2] kept values, ascending column
	Masks             []uint8   // [Out, In/4] numbers 0..5, see package sparse24
	BlockOut, BlockIn int       // of A and B; not read without A
	A                 []float32 // [Out, BlockOut] blocks on top of one another, or nil
	B                 []float32 // [In, BlockIn] likewise; nil with SharedB
	SharedB           string    // the module whose B this one uses, or ""

	// The same as codes, in place of the floats, or nil.
	Core   *Codes // codes [Out, In/2] with scales [Out, In/64]
	CodesA *Codes // int8 codes [Out, BlockOut] with scales [Out]
	CodesB *Codes // int8 codes [In, BlockIn] with scales [In]; nil with SharedB

	// Replaces are the source's tensors that this module stands for. Without any
	// it is Name.weight, which must be there, [Out, In].
	Replaces []string
}

// Writer writes an ARMOR folder module by module. The calls are any number of
// Module, then FinishWeights, any number of WriteFile, Finish; Abort instead
// after an error. All but the modules is copied from the source.
type Writer struct {
	source  *checkpoint.Checkpoint
	target  *Target
	weights *checkpoint.Writer
	info    Info

	modules   []string
	layouts   map[string]Layout
	replaced  map[string]bool // tensors of the source
	sharedB   map[string]string
	quantized map[string]string // dense modules → their type
	headGroup int               // their inputs that share a scale, 0: there are none
	section   section
	total     Totals
}

// Totals are the sizes of a folder that was written.
type Totals struct {
	BytesDense  int64    // of the tensors of the dense model
	BytesPacked int64    // of the written tensors
	Modules     Bytes    // of the pruned modules together
	Dense       []string // linear layers that are not pruned
	Shards      []checkpoint.Shard
}

// NewWriter begins a folder dir, which must be absent or empty, from the dense
// folder source. shardBytes bounds its weight files, 0 for checkpoint.ShardBytes.
func NewWriter(dir string, source *checkpoint.Checkpoint, shardBytes int64, info Info) (*Writer, error) {
	if source.GGUF() != nil {
		return nil, fmt.Errorf("%s: got a GGUF file, want a folder of safetensors", source.Path)
	}
	w := &Writer{source: source, info: info, layouts: map[string]Layout{}, replaced: map[string]bool{}, sharedB: map[string]string{}, quantized: map[string]string{}}
	// What can be wrong with the config is known before any work.
	if info.Config == nil {
		w.info.Config = source.Config()
	}
	if _, err := armorConfig(w.info.Config, &section{}); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(source.Path, "config.json"), err)
	}
	var err error
	if w.target, err = NewTarget(dir, source); err != nil {
		return nil, err
	}
	if w.weights, err = checkpoint.NewWriter(dir, shardBytes); err != nil {
		w.target.Remove()
		return nil, err
	}
	return w, nil
}

// Abort removes what has been written.
func (w *Writer) Abort() {
	w.weights.Abort()
	w.target.Remove()
}

// Module writes a pruned module, whose dense weight the source must have in that
// shape, and returns its sizes.
func (w *Writer) Module(p *Parts) (Bytes, error) {
	b, err := w.module(p)
	if err != nil {
		err = fmt.Errorf("%s: module %s: %w", w.target.Dir, strictjson.Name(p.Name), err)
	}
	return b, err
}

func (w *Writer) module(p *Parts) (Bytes, error) {
	if _, ok := w.layouts[p.Name]; ok {
		return Bytes{}, errors.New("it has been written already")
	}
	replaces, dense := p.Replaces, 2*int64(p.Out)*int64(p.In)
	if replaces == nil {
		weight, err := w.source.Need(p.Name+".weight", p.Out, p.In)
		if err != nil {
			return Bytes{}, err
		}
		replaces, dense = []string{weight.Name}, weight.Bytes()
	}
	err := p.check()
	if err != nil {
		return Bytes{}, err
	}
	bits := make([]byte, 0, p.Out*sparse24.RowBytes(p.In))
	row := make([]byte, sparse24.RowBytes(p.In))
	for r := range p.Out {
		sparse24.ToBits(row, p.Masks[r*p.In/4:(r+1)*p.In/4])
		bits = append(bits, row...)
	}
	shape := binary.LittleEndian.AppendUint64(nil, uint64(p.Out))
	shape = binary.LittleEndian.AppendUint64(shape, uint64(p.In))
	b := Bytes{Dense: dense, Index: int64(len(bits) + len(shape))}
	l := Layout{CoreDType: BF16, WrapperDType: None}
	add := func(suffix string, d checkpoint.DType, write func(io.Writer) error, shape ...int) {
		if err == nil {
			err = w.weights.Add(p.Name+suffix, d, shape, write)
		}
	}
	add(".shape", checkpoint.I64, raw(shape), 2, 1)
	wrapper := func(suffix string, x []float32, c *Codes, n, block int) {
		if c != nil {
			add(suffix, checkpoint.I8, raw(c.codeBytes()), n/block, block, block)
			add(suffix+"_scales", checkpoint.F16, raw(halfBytes(c.Scales)), n)
			b.Wrappers += int64(len(c.Codes))
			b.Scales += 2 * int64(len(c.Scales))
		} else if x != nil {
			add(suffix, checkpoint.BF16, bf16(x), n/block, block, block)
			b.Wrappers += 2 * int64(len(x))
		}
	}
	if p.wrapped() {
		l.WrapperDType, l.BlockOut, l.BlockIn = BF16, p.BlockOut, p.BlockIn
		if p.CodesA != nil {
			l.WrapperDType = Int8
		}
	}
	wrapper(".A", p.A, p.CodesA, p.Out, p.BlockOut)
	wrapper(".B", p.B, p.CodesB, p.In, p.BlockIn)
	if c := p.Core; c != nil {
		l.CoreDType, l.Group = integers(c.Bits), GroupSize
		d, cols := checkpoint.I8, p.In/2
		if c.Bits == 4 {
			d, cols = checkpoint.U8, p.In/4
		}
		add(".compressed", d, raw(c.codeBytes()), p.Out, cols)
		add(".scales", checkpoint.F16, raw(halfBytes(c.Scales)), p.Out, p.In/GroupSize)
		b.Values = int64(len(c.Codes) * c.Bits / 8)
		b.Scales += 2 * int64(len(c.Scales))
	} else {
		add(".compressed", checkpoint.BF16, bf16(p.Values), p.Out, p.In/2)
		b.Values = 2 * int64(len(p.Values))
	}
	add(".bitmask", checkpoint.U8, raw(bits), p.Out, sparse24.RowBytes(p.In))
	if err != nil {
		return Bytes{}, err
	}
	for _, name := range replaces {
		w.replaced[name] = true
	}
	w.modules = append(w.modules, p.Name)
	w.layouts[p.Name] = l
	if p.SharedB != "" {
		w.sharedB[p.Name] = p.SharedB
	}
	w.total.Modules.Add(b)
	w.total.BytesDense += b.Dense
	w.total.BytesPacked += b.Packed()
	return b, nil
}

func raw(data []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(data); return err }
}

// bf16 writes numbers of which the upper halves are all.
func bf16(x []float32) func(io.Writer) error {
	return func(w io.Writer) error {
		buf := make([]byte, 0, 64<<10)
		for len(x) > 0 {
			n := min(len(x), cap(buf)/2)
			buf = buf[:0]
			for _, v := range x[:n] {
				buf = binary.LittleEndian.AppendUint16(buf, uint16(math.Float32bits(v)>>16))
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
			x = x[n:]
		}
		return nil
	}
}

// check requires the lengths of the slices and what the format can hold.
func (p *Parts) check() error {
	if p.Out < 1 || p.In < 1 {
		return fmt.Errorf("shape: got [%d, %d], want numbers from 1 on", p.Out, p.In)
	}
	if p.In%sparse24.Group != 0 {
		return fmt.Errorf("got %d inputs, want a multiple of %d", p.In, sparse24.Group)
	}
	if strictjson.Name(p.Name) != p.Name {
		return errors.New("the format cannot hold this name")
	}
	type length struct {
		name      string
		got, want int
	}
	lengths := []length{{"masks", len(p.Masks), p.Out * p.In / 4}}
	codes := func(name string, c *Codes, n, each int) (err error) {
		if err = c.check(n, each); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return err
	}
	if p.Core != nil {
		if p.Values != nil {
			return errors.New("values: got floats and codes, want one of them")
		}
		if p.In%GroupSize != 0 {
			return fmt.Errorf("group_size: got %d, want a divisor of %d inputs", GroupSize, p.In)
		}
		if err := codes("values", p.Core, p.Out*p.In/2, GroupSize/2); err != nil {
			return err
		}
	} else {
		lengths = append(lengths, length{"values", len(p.Values), p.Out * p.In / 2})
	}
	switch {
	case !p.wrapped():
		if p.B != nil || p.CodesB != nil || p.SharedB != "" {
			return errors.New("got B without A, want both or neither")
		}
	case p.BlockOut < 1 || p.BlockIn < 1 || p.Out%p.BlockOut != 0 || p.In%p.BlockIn != 0 || max(p.BlockOut, p.BlockIn) > maxBlock:
		return fmt.Errorf("block_size: got [%d, %d], want divisors of [%d, %d]", p.BlockOut, p.BlockIn, p.Out, p.In)
	case p.CodesA != nil:
		if p.CodesA.Bits != 8 || p.A != nil || p.B != nil || (p.CodesB == nil) != (p.SharedB != "") {
			return errors.New("wrappers: want A and B alike, int8 if they are codes")
		}
		if err := codes("A", p.CodesA, p.Out*p.BlockOut, p.BlockOut); err != nil {
			return err
		}
		if c := p.CodesB; c != nil {
			if c.Bits != 8 {
				return errors.New("wrappers: want A and B alike, int8 if they are codes")
			}
			if err := codes("B", c, p.In*p.BlockIn, p.BlockIn); err != nil {
				return err
			}
		}
	default:
		want := p.In * p.BlockIn
		if p.SharedB != "" {
			want = 0
		}
		lengths = append(lengths, length{"A", len(p.A), p.Out * p.BlockOut}, length{"B", len(p.B), want}, length{"codes of B", p.codesOfB(), 0})
	}
	for _, l := range lengths {
		if l.got != l.want {
			return fmt.Errorf("%s: got %d elements, want %d", l.name, l.got, l.want)
		}
	}
	if g := sparse24.CheckMasks(p.Masks); g >= 0 {
		return fmt.Errorf("masks: group %d: got %d, want 0 to %d", g, p.Masks[g], sparse24.Masks-1)
	}
	for _, part := range []struct {
		name string
		x    []float32
	}{{"values", p.Values}, {"A", p.A}, {"B", p.B}} {
		for i, v := range part.x {
			if !IsBF16(v) {
				return fmt.Errorf("%s: element %d: got %v, want a finite bf16", part.name, i, v)
			}
		}
	}
	return nil
}

// wrapped reports whether there are A and B.
func (p *Parts) wrapped() bool { return p.A != nil || p.CodesA != nil }

func (p *Parts) codesOfB() int {
	if p.CodesB == nil {
		return 0
	}
	return len(p.CodesB.Codes)
}

// IsBF16 says whether v is finite and bf16 holds it exactly.
func IsBF16(v float32) bool { return finite(v) && math.Float32bits(v)&0xffff == 0 }

// Drop leaves a tensor of the source out of the folder.
func (w *Writer) Drop(name string) { w.replaced[name] = true }

// FinishWeights copies all other tensors and completes the weight files and those
// of the tokenizer.
func (w *Writer) FinishWeights() (*Totals, error) {
	if len(w.modules) == 0 {
		return nil, fmt.Errorf("%s: no pruned modules", w.target.Dir)
	}
	w.section = section{FormatVersion: Version, Pattern: "2:4", Normalizer: "folded", Modules: w.modules, SharedB: w.sharedB,
		BaseModel: w.info.BaseModel, BaseSHA256: w.info.BaseSHA256, ArmorVersion: w.info.ArmorVersion,
		Calibration: w.info.Calibration, Recipe: w.info.Recipe}
	w.section.setLayouts(w.modules, w.layouts)
	for _, name := range w.source.Names() {
		t, _ := w.source.Tensor(name)
		if w.replaced[name] {
			continue
		}
		if err := w.weights.Copy(t); err != nil {
			return nil, err
		}
		w.total.BytesPacked += t.Bytes()
		w.total.BytesDense += t.Bytes()
		t.Release(0, t.Rows())
		module, isWeight := strings.CutSuffix(name, ".weight")
		coded, isCoded := strings.CutSuffix(name, ".q")
		switch {
		case isCoded:
			if err := w.copied(coded); err != nil {
				return nil, err
			}
		case isWeight && len(t.Shape) == 2 && strings.HasSuffix(name, "embed_tokens.weight"):
			if t.DType == checkpoint.BF16 {
				w.section.HeadDType = BF16
			}
		case isWeight && len(t.Shape) == 2:
			w.total.Dense = append(w.total.Dense, module)
		}
	}
	if d := w.quantized[embedding]; d != "" {
		w.section.HeadDType = d
	}
	w.section.HeadGroupSize = w.headGroup
	w.section.DenseModules = w.total.Dense
	var err error
	if w.total.Shards, err = w.weights.Finish(); err != nil {
		return nil, err
	}
	return &w.total, w.target.CopyFiles(w.source)
}

// WriteFile writes another file into the folder, such as a report.
func (w *Writer) WriteFile(name string, content io.Reader) error {
	return w.target.WriteFile(name, content)
}

// Finish writes config.json: with it the folder is whole.
func (w *Writer) Finish() error {
	config, err := armorConfig(w.info.Config, &w.section)
	if err == nil {
		_, err = ParseConfig(config) // such as shared_b of a module that never came
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(w.target.Dir, "config.json"), err)
	}
	return w.target.WriteFile("config.json", bytes.NewReader(config))
}
