package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"armor/model/internal/gguftest"
)

// vector is a tensor of n F32 elements, all of them x.
func vector(name string, n int, x float32) ggufEntry {
	data := gguftest.AppendValue(nil, slices.Repeat([]float32{x}, n))[16:]
	return gguftest.NewTensor(name, []uint64{uint64(n)}, 0, data)
}

func TestGGUFNames(t *testing.T) {
	names := map[string]string{
		"token_embd.weight":        "model.embed_tokens.weight",
		"output_norm.weight":       "model.norm.weight",
		"output.weight":            "lm_head.weight",
		"rope_freqs.weight":        "rope_freqs.weight",
		"blk.0.attn_norm.weight":   "model.layers.0.input_layernorm.weight",
		"blk.0.attn_q.weight":      "model.layers.0.self_attn.q_proj.weight",
		"blk.11.attn_k.bias":       "model.layers.11.self_attn.k_proj.bias",
		"blk.0.attn_v.weight":      "model.layers.0.self_attn.v_proj.weight",
		"blk.0.attn_output.weight": "model.layers.0.self_attn.o_proj.weight",
		"blk.0.attn_q_norm.weight": "model.layers.0.self_attn.q_norm.weight",
		"blk.0.attn_k_norm.weight": "model.layers.0.self_attn.k_norm.weight",
		"blk.0.ffn_norm.weight":    "model.layers.0.post_attention_layernorm.weight",
		"blk.0.ffn_gate.weight":    "model.layers.0.mlp.gate_proj.weight",
		"blk.0.ffn_up.weight":      "model.layers.0.mlp.up_proj.weight",
		"blk.99.ffn_down.weight":   "model.layers.99.mlp.down_proj.weight",
		"blk.0.ffn_gate_inp":       "blk.0.ffn_gate_inp",
		"blk.01.attn_norm.weight":  "blk.01.attn_norm.weight",
		"blk.x.attn_norm.weight":   "blk.x.attn_norm.weight",
		"blk.0":                    "blk.0",
		"output":                   "output",
	}
	f := &ggufFile{Keys: []ggufKey{architecture("qwen3")}}
	for stored := range names {
		f.Tensors = append(f.Tensors, vector(stored, 4, float32(len(f.Tensors))))
	}
	c := mustOpenGGUF(t, f)
	if got, want := c.Names(), slices.Sorted(maps.Values(names)); !slices.Equal(got, want) {
		t.Errorf("names\n got %v\nwant %v", got, want)
	}
	for i, e := range f.Tensors {
		w, err := c.Need(names[e.Name], 4)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 4)
		if err := w.ReadRows(got, 0, 1); err != nil || got[3] != float32(i) {
			t.Errorf("%s: %v, %v", e.Name, got, err)
		}
		wantError(t, w.ReadRows(got, 0, 2), "model/m.gguf: tensor "+e.Name+": rows")
	}
	if !c.Has("lm_head.weight") || c.Has("output.weight") || len(c.Unused()) != 0 {
		t.Error("Has or Unused")
	}
	_, err := c.Need("model.layers.7.self_attn.q_proj.weight", 4)
	wantError(t, err, "model/m.gguf: tensor blk.7.attn_q.weight: missing")
	if _, err := c.File("config.json"); !errors.Is(err, fs.ErrNotExist) || c.Config() != nil {
		t.Errorf("a config.json: %v", err)
	}
}

func TestGGUFMetadata(t *testing.T) {
	c := mustOpenGGUF(t, &ggufFile{Version: 2, Tensors: []ggufEntry{vector("a", 1, 0)}, Alignment: 8, Keys: []ggufKey{
		architecture("x"), {"general.alignment", uint32(8)},
		{"u8", uint8(200)}, {"i8", int8(-3)}, {"u16", uint16(60000)}, {"i16", int16(-300)}, {"u32", uint32(1 << 31)},
		{"i32", int32(-1 << 31)}, {"u64", uint64(1) << 40}, {"i64", int64(-1) << 40}, {"most", uint64(math.MaxUint64)},
		{"f32", float32(0.5)}, {"f64", 1e-300}, {"nan", float32(math.NaN())}, {"yes", true}, {"no", false},
		{"two", raw{7, 0, 0, 0, 2}}, {"text", "déjà"}, {"empty", ""}, {"bytes", "\xff"},
		{"strings", []string{"a", "", "\xff"}}, {"ints", []int32{1, -2}}, {"floats", []float32{1, -2.5}}, {"none", []string{}}}})
	g := c.GGUF()
	for key, want := range map[string]int{"u8": 200, "i8": -3, "u16": 60000, "i16": -300, "u32": 1 << 31, "i32": -1 << 31, "u64": 1 << 40, "i64": -1 << 40} {
		if got, err := g.Int(key, math.MinInt, math.MaxInt); got != want || err != nil {
			t.Errorf("%s: %d, %v", key, got, err)
		}
	}
	for key, want := range map[string]float64{"f32": 0.5, "f64": 1e-300} {
		if got, err := g.Float(key, 0, 1); got != want || err != nil {
			t.Errorf("%s: %g, %v", key, got, err)
		}
	}
	for key, want := range map[string]bool{"yes": true, "no": false} {
		if got, err := g.Bool(key); got != want || err != nil {
			t.Errorf("%s: %t, %v", key, got, err)
		}
	}
	for key, want := range map[string]string{"text": "déjà", "empty": ""} {
		if got, err := g.String(key); got != want || err != nil {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	if got, err := g.Strings("strings", 3); !slices.Equal(got, []string{"a", "", "\xff"}) || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := g.Int32s("ints", 2); !slices.Equal(got, []int32{1, -2}) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := g.Float32s("floats", 2); !slices.Equal(got, []float32{1, -2.5}) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if g.Len("strings") != 3 || g.Len("none") != 0 || g.Len("u8") != 0 || g.Len("x") != 0 || !g.Has("none") || g.Has("x") || g.Keys()[2] != "u8" {
		t.Error("Len, Has or Keys")
	}
	for want, err := range map[string]error{
		"model/m.gguf: key x: missing, want a whole number from 0 to 9":                     second(g.Int("x", 0, 9)),
		"key u8: got 200, want a whole number from 0 to 9":                                  second(g.Int("u8", 0, 9)),
		"key most: got 9223372036854775807, want":                                           second(g.Int("most", 0, 9)),
		"key text: got a string, want a whole number":                                       second(g.Int("text", 0, 9)),
		"key ints: got an array of 2, each an integer, want a whole":                        second(g.Int("ints", 0, 9)),
		"key u16: got an integer, want a float from 0 to 1":                                 second(g.Float("u16", 0, 1)),
		"key f32: got 0.5, want a float from 1 to 2":                                        second(g.Float("f32", 1, 2)),
		"key nan: got NaN, want a float from 0 to 1":                                        second(g.Float("nan", 0, 1)),
		"key two: got 2, want a boolean":                                                    second(g.Bool("two")),
		"key u8: got an integer, want a boolean":                                            second(g.Bool("u8")),
		"key bytes: invalid UTF-8":                                                          second(g.String("bytes")),
		"key strings: got an array of 3, each a string, want a string":                      second(g.String("strings")),
		"key strings: got an array of 3, each a string, want an array of at most 2 strings": second(g.Strings("strings", 2)),
		"key ints: got an array of 2, each an integer, want an array of at most 2 strings":  second(g.Strings("ints", 2)),
		"key ints: got an array of 2, each an integer, want an array of at most 1 integers": second(g.Int32s("ints", 1)),
		"key floats: got an array of 2, each a float, want an array of at most 9 integers":  second(g.Int32s("floats", 9)),
		"key u8: got an integer, want an array of at most 9 floats":                         second(g.Float32s("u8", 9)),
	} {
		wantError(t, err, want)
	}
}

func second[T any](_ T, err error) error { return err }

// splitFiles is a model of two tensors in three files.
func splitFiles() files {
	part := func(i int, keys []ggufKey, tensors ...ggufEntry) []byte {
		keys = append(keys, ggufKey{"split.no", uint16(i)}, ggufKey{"split.count", uint16(3)}, ggufKey{"split.tensors.count", int32(2)})
		return (&ggufFile{Keys: keys, Tensors: tensors}).Bytes()
	}
	return files{
		"m-00001-of-00003.gguf": part(0, []ggufKey{architecture("x")}),
		"m-00002-of-00003.gguf": part(1, nil, vector("a", 4, 1)),
		"m-00003-of-00003.gguf": part(2, nil, vector("b", 4, 2)),
	}
}

func TestGGUFSplit(t *testing.T) {
	const first = "m-00001-of-00003.gguf"
	c, err := OpenGGUF(filepath.Join(splitFiles().write(t), first))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a", "b"} {
		got := make([]float32, 4)
		w, err := c.Need(name, 4)
		if err == nil {
			err = w.ReadRows(got, 0, 1)
		}
		if err != nil || got[0] != float32(i+1) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	open := func(name string, change func(m files)) error {
		m := splitFiles()
		change(m)
		_, err := openGGUF(name, m)
		return err
	}
	keys := func(no, count any, total any) []byte {
		return (&ggufFile{Keys: []ggufKey{architecture("x"), {"split.no", no}, {"split.count", count}, {"split.tensors.count", total}},
			Tensors: []ggufEntry{vector("c", 1, 0)}}).Bytes()
	}
	for want, err := range map[string]error{
		"model/m-00002-of-00003.gguf: key split.no: got 1, this is part 2 of 3: open the first": open("m-00002-of-00003.gguf", func(files) {}),
		"m-00003-of-00003.gguf: file does not exist":                                            open(first, func(m files) { delete(m, "m-00003-of-00003.gguf") }),
		"key split.count: the model has 3 files, want their n":                                  open("m.gguf", func(m files) { m["m.gguf"] = m[first] }),
		"the model has 3 files, want their names to end":                                        open("m-00001-of-00004.gguf", func(m files) { m["m-00001-of-00004.gguf"] = m[first] }),
		"key split.no: got 2, want 1":                                                           open(first, func(m files) { m["m-00002-of-00003.gguf"] = m["m-00003-of-00003.gguf"] }),
		"tensor a: duplicate, it is also in m-00002-of-00003":                                   open(first, func(m files) { m["m-00003-of-00003.gguf"] = m["m-00002-of-00003.gguf"] }),
		"key split.count: got 2, want 3 as in the first file":                                   open(first, func(m files) { m["m-00002-of-00003.gguf"] = keys(uint16(1), uint16(2), int32(2)) }),
		"key split.tensors.count: got 9, want the 3 of all":                                     open(first, func(m files) { m[first] = keys(uint16(0), uint16(3), int32(9)) }),
		"key split.count: got 2000, want a whole number":                                        open(first, func(m files) { m[first] = keys(uint16(0), uint16(2000), int32(2)) }),
		"key split.no: missing":                                                                 open(first, func(m files) { m[first] = (&ggufFile{Keys: []ggufKey{{"split.count", uint16(3)}}}).Bytes() }),
		"key split.count: missing, but the file's name":                                         open(first, func(m files) { m[first] = (&ggufFile{Tensors: []ggufEntry{vector("c", 1, 0)}}).Bytes() }),
		"m-00002-of-00003.gguf: magic: got 0 bytes":                                             open(first, func(m files) { m["m-00002-of-00003.gguf"] = nil }),
	} {
		wantError(t, err, want)
	}
}

func TestIsGGUF(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"a.gguf": "", "b": "GGUF", "c": "GGU", "d.GGUF": "x", "e.safetensors": "GGUF\x03"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, want := IsGGUF(path), name != "c"; got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "f.gguf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if IsGGUF(filepath.Join(dir, "f.gguf")) || IsGGUF(dir) || IsGGUF(filepath.Join(dir, "absent")) || !IsGGUF(filepath.Join(dir, "absent.gguf")) {
		t.Error("folders and absent files")
	}
	_, err := OpenGGUF(filepath.Join(dir, "absent.gguf"))
	wantError(t, err, "absent.gguf: no such file")
}

// TestGGUFRelease: interleaved heads are given back whole.
func TestGGUFRelease(t *testing.T) {
	f := &ggufFile{Keys: []ggufKey{architecture("llama"), {"llama.attention.head_count", uint32(2)}},
		Tensors: []ggufEntry{gguftest.NewTensor("blk.0.attn_q.weight", []uint64{32, 16}, 8, make([]byte, 34*16))}}
	src := &released{Source: FromBytes(f.Bytes())}
	c, err := ReadGGUF("m.gguf", func(string) (Source, error) { return src, nil })
	if err != nil {
		t.Fatal(err)
	}
	src.ranges = nil
	w, _ := c.Tensor("model.layers.0.self_attn.q_proj.weight")
	w.Release(9, 3)
	w.Release(7, 2)
	base := src.Size() - 34*16 - 0
	if want := fmt.Sprint([][2]int64{{base + 8*34, 8 * 34}, {base, 16 * 34}}); fmt.Sprint(src.ranges) != want {
		t.Errorf("released %v, want %s", src.ranges, want)
	}
}
