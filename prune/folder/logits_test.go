package folder

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

// logits runs a folder on a few tokens: [tokens, vocab], in f32.
func logits(t *testing.T, dir string) []float32 { return logitsWith(t, dir, model.Options{}) }

func logitsWith(t *testing.T, dir string, o model.Options) []float32 {
	t.Helper()
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := model.Load(dir, b, o)
	if err != nil {
		t.Fatal(err)
	}
	tokens := []int32{1, 17, 300, 42, 511, 8, 8, 99}
	n := len(tokens)
	if err := m.Decoder.Prepare(b, n, n); err != nil {
		t.Fatal(err)
	}
	kv, err := b.NewKV(m.Decoder.KVShape(kernels.F32))
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Reserve(1); err != nil {
		t.Fatal(err)
	}
	out, err := b.NewBuf(n, m.Decoder.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	pass, err := b.NewPass()
	if err != nil {
		t.Fatal(err)
	}
	batch := &kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: n, Pages: []int32{0}}}, Out: []int32{0, 1, 2, 3, 4, 5, 6, 7}, KV: kv}
	if err := m.Decoder.Forward(pass, batch, out); err != nil {
		t.Fatal(err)
	}
	all := make([]float32, n*m.Decoder.Vocab)
	for i := range n {
		if err := b.Download(all[i*m.Decoder.Vocab:(i+1)*m.Decoder.Vocab], out, i); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A packed model computes what the source with its zeros does, bit for bit: a
// kernel sums each output in the order of its inputs.
func TestPackedLogits(t *testing.T) {
	for _, name := range []string{"tiny-llama", "tiny-qwen2", "tiny-qwen3"} {
		r := rand.New(rand.NewPCG(8, 8))
		src := variant(t, name, func(x *checkpoint.Tensor, data []byte) (checkpoint.DType, []byte) {
			if isLinear(x.Name) {
				sparse(data, r)
			}
			return x.DType, data
		})
		packed := filepath.Join(t.TempDir(), "packed")
		if _, err := Pack(src, packed, Options{}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(logits(t, src), logits(t, packed)) {
			t.Errorf("%s: other logits than the source's", name)
		}
	}
}

// An ARMOR model computes what its layers multiplied out do, within the rounding of
// f32, the same after export and import under the authors' names, and about the
// same exported with weights in bf16.
func TestExportedLogits(t *testing.T) {
	dir, all := armorFolder(t)
	dense, official, back := filepath.Join(t.TempDir(), "dense"), filepath.Join(t.TempDir(), "official"), filepath.Join(t.TempDir(), "back")
	if err := ExportDense(dir, dense, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := ExportOfficial(dir, official, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(official, back, Options{}); err != nil {
		t.Fatal(err)
	}
	exact := variant(t, "tiny-qwen2", func(x *checkpoint.Tensor, data []byte) (checkpoint.DType, []byte) {
		p := all[strings.TrimSuffix(x.Name, ".weight")]
		if p == nil {
			return x.DType, data
		}
		owner := p
		if p.SharedB != "" {
			owner = all[p.SharedB]
		}
		w, _ := product(p, owner)
		wide := make([]byte, 0, 4*len(w))
		for _, v := range w {
			wide = binary.LittleEndian.AppendUint32(wide, math.Float32bits(float32(v)))
		}
		return checkpoint.F32, wide
	})
	want := logits(t, dir)
	if !slices.Equal(want, logits(t, back)) {
		t.Error("other logits after export and import")
	}
	for _, c := range []struct {
		what, dir string
		share     float32 // of the largest logit
	}{{"multiplied out in f32", exact, 1e-4}, {"exported in bf16", dense, 0.2}} {
		var most, off float32
		for i, v := range logits(t, c.dir) {
			most, off = max(most, want[i], -want[i]), max(off, v-want[i], want[i]-v)
		}
		t.Logf("%s: logits of up to %v are off by %v", c.what, most, off)
		if !(off <= c.share*most) {
			t.Errorf("%s: logits of up to %v are off by %v", c.what, most, off)
		}
	}
}

// Codes whose products with their scales bf16 holds are the same model as those
// products in bf16, bit for bit where both are kept as such.
func TestCodesAreTheirProducts(t *testing.T) {
	ck := openTest(t, golden+"tiny-llama")
	r := rand.New(rand.NewPCG(6, 6))
	codes := func(bits, n, each int) (*armorfmt.Codes, []float32) {
		c := &armorfmt.Codes{Bits: bits, Codes: make([]int8, n), Scales: make([]uint16, n/each)}
		x := make([]float32, n)
		for i := range x {
			e := i / each % 4 // scales are powers of two
			c.Scales[i/each] = uint16(15-6-e) << 10
			c.Codes[i] = int8(r.IntN(255) - 127)
			if bits == 4 {
				c.Codes[i] = int8(r.IntN(16) - 8)
			}
			x[i] = float32(math.Ldexp(float64(c.Codes[i]), -6-e))
			if bits == 4 && e == 2 {
				c.Scales[i/each] |= 0x8000
				x[i] = -x[i]
			}
		}
		return c, x
	}
	dirs := [2]string{filepath.Join(t.TempDir(), "codes"), filepath.Join(t.TempDir(), "floats")}
	var writers [2]*armorfmt.Writer
	for i := range dirs {
		var err error
		if writers[i], err = armorfmt.NewWriter(dirs[i], ck, 0, armorfmt.Info{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range modulesWith(ck, ".weight") {
		x, _ := ck.Tensor(name + ".weight")
		floats := armorfmt.Parts{Name: name, Out: x.Rows(), In: x.Cols(), BlockOut: 32, BlockIn: 32, Masks: make([]uint8, x.Rows()*x.Cols()/4)}
		for g := range floats.Masks {
			floats.Masks[g] = uint8(r.IntN(6))
		}
		coded := floats
		bits := 4 << (i % 2)
		if coded.Core, floats.Values = codes(bits, floats.Out*floats.In/2, 32); floats.In%armorfmt.GroupSize != 0 {
			coded.Core, coded.Values = nil, floats.Values
		}
		coded.CodesA, floats.A = codes(8, floats.Out*32, 32)
		coded.CodesB, floats.B = codes(8, floats.In*32, 32)
		for i, p := range []*armorfmt.Parts{&coded, &floats} {
			if _, err := writers[i].Module(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, w := range writers {
		if _, err := w.FinishWeights(); err != nil {
			t.Fatal(err)
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	for _, weights := range []string{"bf16", "f32"} {
		a, b := logitsWith(t, dirs[0], model.Options{Weights: weights}), logitsWith(t, dirs[1], model.Options{Weights: weights})
		for i, v := range a {
			if v != b[i] || v-v != 0 {
				t.Fatalf("%s: logit %d: got %v, want %v", weights, i, v, b[i])
			}
		}
	}
}
