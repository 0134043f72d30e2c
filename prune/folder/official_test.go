package folder

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

func TestOfficialRoundTrip(t *testing.T) {
	dir, all := armorFolder(t)
	official, back := filepath.Join(t.TempDir(), "official"), filepath.Join(t.TempDir(), "back")
	if err := ExportOfficial(dir, official, Options{}); err != nil {
		t.Fatal(err)
	}
	ck := openTest(t, official)
	q := "model.layers.0.self_attn.q_proj"
	for suffix, want := range map[string]struct {
		d     checkpoint.DType
		shape []int
	}{
		".A.diag_blocks":                        {checkpoint.BF16, []int{2, 32, 32}},
		".B.diag_blocks":                        {checkpoint.BF16, []int{2, 32, 32}},
		".naive_compression_module.X":           {checkpoint.BF16, []int{64 * 64 / 2}},
		".naive_compression_module.sparse_mask": {checkpoint.Bool, []int{64, 64}},
		".normalizer.norms.0":                   {checkpoint.BF16, []int{64}},
		".normalizer.norms.1":                   {checkpoint.BF16, []int{64}},
		".bias":                                 {checkpoint.BF16, []int{64}},
	} {
		if _, err := ck.NeedType(q+suffix, want.d, want.shape...); err != nil {
			t.Error(err)
		}
	}
	var config map[string]any
	if json.Unmarshal(ck.Config(), &config) != nil || config["model_type"] != "qwen2" || config["compress_config"] == nil || config["armor"] != nil {
		t.Errorf("config %s", ck.Config())
	}
	result, err := Import(official, back, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range result.Modules {
		if m.Rounded {
			t.Errorf("%s was rounded", m.Name)
		}
	}
	checkModules(t, back, all)
}

// Norms in f32 are folded, of a module with wrappers and of one without.
func TestImportFolds(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(1+r.IntN(6)) / 4 // products of three fit bf16
		}
		return x
	}
	base := openTest(t, golden+"tiny-llama")
	dir := filepath.Join(t.TempDir(), "official")
	config, err := armorfmt.SetKeys(base.Config(), map[string]any{"compress_config": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	const q, o = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj"
	parts := map[string][]float32{}
	want := map[string]*armorfmt.Parts{}
	err = plain(base, dir, Options{}, config, map[string]bool{q + ".weight": true, o + ".weight": true}, func(w *checkpoint.Writer) error {
		for _, m := range []string{q, o} {
			add := func(suffix string, shape ...int) []float32 {
				n := 1
				for _, d := range shape {
					n *= d
				}
				x := numbers(n)
				parts[m+suffix] = x
				var b []byte
				for _, v := range x {
					b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
				}
				err = errors.Join(err, w.Add(m+suffix, checkpoint.F32, shape, func(w io.Writer) error { _, err := w.Write(b); return err }))
				return x
			}
			p := &armorfmt.Parts{Name: m, Out: 64, In: 64, BlockOut: 16, BlockIn: 8, Masks: make([]uint8, 64*16)}
			mask := make([]byte, 64*64)
			for g := range p.Masks {
				p.Masks[g] = uint8(r.IntN(6))
				pair := [][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}[p.Masks[g]]
				mask[4*g+pair[0]], mask[4*g+pair[1]] = 1, 1
			}
			p.Values = slices.Clone(add(".naive_compression_module.X", 64*32))
			columns, rows := add(".normalizer.norms.0", 1, 64), add(".normalizer.norms.1", 64, 1)
			if m == q {
				p.A, p.B = slices.Clone(add(".A.diag_blocks", 4, 16, 16)), slices.Clone(add(".B.diag_blocks", 8, 8, 8))
				for i := range p.A {
					p.A[i] *= rows[i/16]
				}
				for i := range p.B {
					p.B[i] *= columns[i/64*8+i%8]
				}
			} else {
				for i := range p.Values {
					pair := [][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}[p.Masks[i/2]]
					p.Values[i] *= rows[i/32] * columns[i/2%16*4+pair[i%2]]
				}
			}
			want[m] = p
			err = errors.Join(err, w.Add(m+".naive_compression_module.sparse_mask", checkpoint.Bool, []int{64, 64},
				func(w io.Writer) error { _, err := w.Write(mask); return err }))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(t.TempDir(), "back")
	result, err := Import(dir, back, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range result.Modules {
		if m.Rounded {
			t.Errorf("%s: small integers were rounded", m.Name)
		}
	}
	checkModules(t, back, want)

	for _, c := range []struct {
		name, words string
		damage      func(*damaged)
	}{
		{q + maskName, "row 0, column 0: got 2, want 0 or 1", func(x *damaged) { x.data[0] = 2 }},
		{q + maskName, "row 1, group 0: got 4 bits, want 2 of 4", func(x *damaged) { copy(x.data[64:], "\x01\x01\x01\x01") }},
		{q + maskName, "want BOOL [d_out, d_in]", func(x *damaged) { x.shape = []int{4096} }},
		{q + maskName, "want BOOL [d_out, d_in]", func(x *damaged) { x.dtype = checkpoint.U8 }},
		{q + maskName, "want BOOL [d_out, d_in]", func(x *damaged) { x.shape = []int{2048, 2} }},
		{q + maskName, "not expected of a compressed module", func(x *damaged) { x.drop = true }},
		{q + official + ".X", ".X: missing", func(x *damaged) { x.drop = true }},
		{q + official + ".X", "shape: got [64 32], want [2048]", func(x *damaged) { x.shape = []int{64, 32} }},
		{q + official + ".X", "values: element 0: got NaN, want a finite bf16", func(x *damaged) { copy(x.data, "\x00\x00\xc0\x7f") }},
		{q + ".A.diag_blocks", "got one of A and B", func(x *damaged) { x.drop = true }},
		{q + ".B.diag_blocks", "got one of A and B", func(x *damaged) { x.drop = true }},
		{q + ".A.diag_blocks", "shape: got [2 16 32], want [2 32 32]", func(x *damaged) { x.shape = []int{2, 16, 32} }},
		{q + ".A.diag_blocks", "want square blocks that divide 64", func(x *damaged) { x.shape = []int{1, 1, 1024} }},
		{q + ".A.diag_blocks", "want square blocks that divide 64", func(x *damaged) { x.shape, x.data = []int{4, 16, 0}, nil }},
		{q + ".normalizer.norms.0", "want 64 elements", func(x *damaged) { x.shape, x.data = []int{32}, x.data[:128] }},
		{q + ".normalizer.norms.0", "not expected of a compressed module", func(x *damaged) { x.name = q + ".normalizer.norms.2" }},
		{o + official + ".X", "not expected of a compressed module", func(x *damaged) { x.name = "lm_head" + official + ".X" }},
	} {
		bad := damagedCopy(t, dir, c.name, c.damage)
		dst := filepath.Join(t.TempDir(), "dst")
		_, err := Import(bad, dst, Options{})
		wantLine(t, fmt.Sprint(c.name, " ", c.words), err, c.words)
		if _, err := os.Stat(dst); !os.IsNotExist(err) {
			t.Errorf("left %s behind", dst)
		}
	}
}

type damaged struct {
	name  string
	dtype checkpoint.DType
	shape []int
	data  []byte
	drop  bool
}

// damagedCopy is a copy of a folder with one tensor changed.
func damagedCopy(t *testing.T, src, name string, damage func(*damaged)) string {
	t.Helper()
	ck := openTest(t, src)
	x, ok := ck.Tensor(name)
	if !ok {
		t.Fatal(name)
	}
	d := &damaged{name: name, dtype: x.DType, shape: x.Shape, data: bytesOf(t, x)}
	damage(d)
	dir := filepath.Join(t.TempDir(), "damaged")
	err := plain(ck, dir, Options{}, ck.Config(), map[string]bool{name: true}, func(w *checkpoint.Writer) error {
		if d.drop {
			return nil
		}
		return w.Add(d.name, d.dtype, d.shape, func(w io.Writer) error { _, err := w.Write(d.data); return err })
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
