package armorfmt

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model/checkpoint"
)

const golden = "../../testdata/golden/"

// linears are the pruned layers of the golden models' two layers.
func linears() (names []string) {
	for layer := range 2 {
		for _, m := range []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
			"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"} {
			names = append(names, fmt.Sprintf("model.layers.%d.%s", layer, m))
		}
	}
	return names
}

func openFolder(t testing.TB, dir string) *checkpoint.Checkpoint {
	t.Helper()
	ck, err := checkpoint.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	return ck
}

// randomParts are random bf16 numbers in the shape of a module, with blocks of 32.
func randomParts(t testing.TB, ck *checkpoint.Checkpoint, name string, r *rand.Rand) *Parts {
	t.Helper()
	w, ok := ck.Tensor(name + ".weight")
	if !ok {
		t.Fatalf("no %s", name)
	}
	out, in := w.Rows(), w.Cols()
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = math.Float32frombits(math.Float32bits(float32(r.NormFloat64())) &^ 0xffff)
		}
		return x
	}
	p := &Parts{Name: name, Out: out, In: in, BlockOut: 32, BlockIn: 32,
		Values: numbers(out * in / 2), A: numbers(out * 32), B: numbers(in * 32), Masks: make([]uint8, out*in/4)}
	for i := range p.Masks {
		p.Masks[i] = uint8(r.IntN(6))
	}
	return p
}

// armorParts prunes tiny-llama at random: one module stays dense, one is a plain
// core, one has other blocks, k_proj shares B with q_proj.
func armorParts(t testing.TB, ck *checkpoint.Checkpoint) (all []*Parts) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, name := range linears() {
		p := randomParts(t, ck, name, r)
		switch name {
		case "model.layers.1.self_attn.v_proj":
			continue
		case "model.layers.0.self_attn.o_proj":
			p.A, p.B = nil, nil
		case "model.layers.1.mlp.down_proj":
			p.BlockOut, p.BlockIn = 16, 8
			p.A, p.B = p.A[:p.Out*16], p.B[:p.In*8]
		case "model.layers.0.self_attn.k_proj":
			p.B, p.SharedB = nil, "model.layers.0.self_attn.q_proj"
		}
		all = append(all, p)
	}
	return all
}

func writeFolder(t testing.TB, dir string, ck *checkpoint.Checkpoint, all []*Parts, shardBytes int64) *Totals {
	t.Helper()
	w, err := NewWriter(dir, ck, shardBytes, Info{BaseModel: "tiny", ArmorVersion: "test",
		Recipe: json.RawMessage(`{"method": "armor"}`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if _, err := w.Module(p); err != nil {
			t.Fatal(err)
		}
	}
	totals, err := w.FinishWeights()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFile("armor_report.json", strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return totals
}

// tensor is one of a folder in memory, to be damaged.
type tensor struct {
	dtype string
	shape []int
	data  []byte
}

// folder is an ARMOR folder in memory.
type folder struct {
	config  map[string]any
	armor   map[string]any // config["armor"]
	tensors map[string]*tensor
	order   []string
	shapes  map[string][2]int // of the modules that a model of this shape opens
}

func newFolder(t testing.TB) *folder {
	t.Helper()
	base := openFolder(t, golden+"tiny-llama")
	dir := filepath.Join(t.TempDir(), "armor")
	writeFolder(t, dir, base, armorParts(t, base), 0)
	return readFolder(t, base, dir)
}

// readFolder takes a folder made of base into memory.
func readFolder(t testing.TB, base *checkpoint.Checkpoint, dir string) *folder {
	t.Helper()
	f := &folder{tensors: map[string]*tensor{}, shapes: map[string][2]int{}}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f.config); err != nil {
		t.Fatal(err)
	}
	f.armor = f.config["armor"].(map[string]any)
	ck := openFolder(t, dir)
	for _, name := range ck.Names() {
		x, _ := ck.Tensor(name)
		var b bytes.Buffer
		if err := x.CopyBytes(&b); err != nil {
			t.Fatal(err)
		}
		f.tensors[name] = &tensor{x.DType.String(), x.Shape, b.Bytes()}
		f.order = append(f.order, name)
	}
	for _, name := range linears() {
		w, _ := base.Tensor(name + ".weight")
		f.shapes[name] = [2]int{w.Rows(), w.Cols()}
	}
	return f
}

// clone is a copy to be damaged.
func (f *folder) clone(t testing.TB) *folder {
	t.Helper()
	c := &folder{order: slices.Clone(f.order), tensors: map[string]*tensor{}, shapes: maps.Clone(f.shapes)}
	text, err := json.Marshal(f.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c.config); err != nil {
		t.Fatal(err)
	}
	c.armor = c.config["armor"].(map[string]any)
	for name, x := range f.tensors {
		c.tensors[name] = &tensor{x.dtype, slices.Clone(x.shape), slices.Clone(x.data)}
	}
	return c
}

// files builds config.json and the weights. Sizes that a tensor claims need not be
// those it has.
func (f *folder) files() (map[string][]byte, error) {
	config, err := json.Marshal(f.config)
	if err != nil {
		return nil, err
	}
	header := map[string]any{}
	var data []byte
	for _, name := range f.order {
		x := f.tensors[name]
		if x == nil {
			continue
		}
		header[name] = map[string]any{"dtype": x.dtype, "shape": x.shape, "data_offsets": []int{len(data), len(data) + len(x.data)}}
		data = append(data, x.data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	weights := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	weights = append(append(weights, text...), data...)
	return map[string][]byte{"config.json": config, "model.safetensors": weights}, nil
}

func (f *folder) open(path string) (*checkpoint.Checkpoint, error) {
	files, err := f.files()
	if err != nil {
		return nil, err
	}
	return checkpoint.Open(path, func(name string) (checkpoint.Source, error) {
		b, ok := files[name]
		if !ok {
			return nil, fmt.Errorf("%s/%s: %w", path, name, fs.ErrNotExist)
		}
		return checkpoint.FromBytes(b), nil
	})
}

// load reads all of a folder as a model loader would: modules in the model's
// shapes, every row, and nothing may be left over.
func load(ck *checkpoint.Checkpoint, shapes map[string][2]int) error {
	c, err := ReadConfig(ck)
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("not ARMOR")
	}
	for _, name := range linears() {
		out, in := shapes[name][0], shapes[name][1]
		if c.Quantized(name) {
			continue
		}
		if !c.Pruned(name) {
			if _, err := ck.Need(name+".weight", out, in); err != nil {
				return err
			}
			continue
		}
		m, err := Open(ck, c, name, out, in)
		if err != nil {
			return err
		}
		if err := readModule(m, nil); err != nil {
			return err
		}
	}
	for _, name := range c.QuantizedModules() {
		shape := shapes[name]
		if name == embedding {
			shape = [2]int{512, 64}
		}
		q, err := OpenQuantized(ck, c, name, shape[0], shape[1])
		if err != nil {
			return err
		}
		if err := readQuantized(q, &Codes{}); err != nil {
			return err
		}
	}
	for _, name := range ck.Unused() {
		if !strings.HasSuffix(name, "norm.weight") && name != "model.embed_tokens.weight" {
			return fmt.Errorf("%s: tensor %s: not part of this architecture", ck.Path, name)
		}
	}
	return nil
}

// readModule reads a module in pieces of a few rows, into p if that is given.
func readModule(m *Module, p *Parts) error {
	if p == nil {
		p = &Parts{}
	}
	for row := 0; row < m.Out; row += 5 {
		n := min(5, m.Out-row)
		values, masks := make([]float32, n*m.In/2), make([]uint8, n*m.In/4)
		err := m.Core.ReadCore(values, masks, row, n)
		if m.Core.Fits(kernels.Quant{Bits: 8, Group: GroupSize}) { // the codes are refused in the same words
			coded := m.Core.ReadCoded(make([]int8, n*m.In/2), make([]uint16, n*m.In/GroupSize), make([]uint8, n*m.In/8), row, n)
			if fmt.Sprint(coded) != fmt.Sprint(err) {
				return fmt.Errorf("as codes: %v; as numbers: %v", coded, err)
			}
		}
		if err != nil {
			return err
		}
		p.Values, p.Masks = append(p.Values, values...), append(p.Masks, masks...)
	}
	m.Core.Release(0, m.Out)
	if m.A == nil {
		return nil
	}
	p.A, p.B = make([]float32, m.Out*m.Layout.BlockOut), make([]float32, m.In*m.Layout.BlockIn)
	if err := m.A.ReadRows(p.A, 0, m.Out); err != nil {
		return err
	}
	return m.B.ReadRows(p.B, 0, m.In)
}
