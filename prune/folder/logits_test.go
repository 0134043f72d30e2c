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
	"armor/model/checkpoint"
)

// logits runs a folder on a few tokens: [tokens, vocab], in f32.
func logits(t *testing.T, dir string) []float32 {
	t.Helper()
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := model.Load(dir, b, model.Options{})
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
