package armorfmt

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	q0 = "model.layers.0.self_attn.q_proj" // shares its B with k_proj
	k0 = "model.layers.0.self_attn.k_proj"
	v0 = "model.layers.0.self_attn.v_proj" // the usual layout
	o0 = "model.layers.0.self_attn.o_proj" // a plain core
	v1 = "model.layers.1.self_attn.v_proj" // dense
	d1 = "model.layers.1.mlp.down_proj"    // blocks [16, 8]
)

// hostile are damages to a sound folder, by a name that begins with what the one
// line of error must have in it, up to " | ".
func hostile() map[string]func(*folder) {
	cases := map[string]func(*folder){}
	key := func(words, key string, value any) {
		cases[words] = func(f *folder) {
			if value == nil {
				delete(f.armor, key)
			} else {
				f.armor[key] = value
			}
		}
	}
	override := func(words, module string, value any) {
		cases[words] = func(f *folder) { f.armor["overrides"].(map[string]any)[module] = value }
	}
	shared := func(words string, value any) { key(words, "shared_b", value) }
	tensorOf := func(words, name string, change func(*tensor)) {
		cases[words] = func(f *folder) { change(f.tensors[name]) }
	}
	missing := func(name string) {
		cases["tensor "+name+": missing"] = func(f *folder) { f.tensors[name] = nil }
	}
	extra := func(words, name, dtype string, shape []int, n int) {
		cases[words] = func(f *folder) {
			f.tensors[name] = &tensor{dtype, shape, make([]byte, n)}
			f.order = append(f.order, name)
		}
	}
	modules := func(words string, change func([]any) []any) {
		cases[words] = func(f *folder) { f.armor["modules"] = change(f.armor["modules"].([]any)) }
	}
	value := func(words, name string, at int, bits uint16) {
		tensorOf(words, name, func(x *tensor) { binary.LittleEndian.PutUint16(x.data[2*at:], bits) })
	}
	bits := func(words, name string, at int, b byte) {
		tensorOf(words, name, func(x *tensor) { x.data[at] = b })
	}
	blocks := func(out, in any) map[string]any { return map[string]any{"block_size": []any{out, in}} }

	// The section's own keys.
	key("key armor.format_version: got 2, this build reads 1", "format_version", 2)
	key("key armor.format_version: got 0, this build reads 1", "format_version", 0)
	key("key armor.format_version: missing", "format_version", nil)
	key(`key armor.format_version: got "1"`, "format_version", "1")
	key(`key armor.pattern: "1:4" is not supported, want 2:4`, "pattern", "1:4")
	key("key armor.pattern: missing", "pattern", nil)
	key(`key armor.normalizer: "separate" is not supported, want folded`, "normalizer", "separate")
	key(`key armor.core_dtype: "fp8" is not known, want bf16, int8, int4`, "core_dtype", "fp8")
	key("tensor "+q0+".scales: missing", "core_dtype", "int8")
	key("tensor "+q0+".A_scales: missing", "wrapper_dtype", "int8")
	key("tensor model.embed_tokens.q: missing, key armor.head_dtype says int4", "head_dtype", "int4")
	key(`key armor.head_dtype: "none" is not known`, "head_dtype", "none")
	override("tensor "+q0+".scales: missing | override", q0, map[string]any{"core_dtype": "int8"})
	key(`key armor.core_dtype: "none" is not known`, "core_dtype", "none")
	key("key armor.core_dtype: missing", "core_dtype", nil)
	key(`key armor.wrapper_dtype: "int4" is not known, want bf16, int8, none`, "wrapper_dtype", "int4")
	key("key armor.wrapper_dtype: missing", "wrapper_dtype", nil)
	key("key armor.block_size: missing", "block_size", nil)
	key("key armor.block_size: got [32], want two numbers", "block_size", []any{32})
	key("key armor.block_size: too many elements", "block_size", []any{32, 32, 32})
	key("key armor.block_size: got [0 32], want two numbers", "block_size", []any{0, 32})
	key("key armor.block_size: got -32 in it", "block_size", []any{-32, 32})
	key("key armor.block_size: got [9223372036854775807 1]", "block_size", []any{int64(math.MaxInt64), 1})
	key("key armor.block_size: got 1e300 in it", "block_size", []any{1, json1e300{}})
	key("key armor.block_size: module "+q0+": got [48, 48], want divisors of its shape [64, 64]", "block_size", []any{48, 48})
	key("tensor "+q0+".A: shape: got [2 32 32], want [4 16 16]", "block_size", []any{16, 16})
	key("key armor.base_model_type: missing", "base_model_type", nil)
	key(`key armor.base_model_type: got "qwen2", want that of model_type "armor_llama"`, "base_model_type", "qwen2")
	key("key armor.base_model: got 5, want a string", "base_model", 5)
	key("key armor.recipe: got an array, want an object", "recipe", []any{})
	key("key armor.calibration: got true, want an object", "calibration", true)
	key("key armor.group_size: got 0, want a whole number", "group_size", 0)
	key("key armor.sparsity: unknown", "sparsity", 0.5)
	key(`key armor.Modules: unknown`, "Modules", []any{})
	cases["key armor: got an array, want an object"] = func(f *folder) { f.config["armor"] = []any{} }

	// Modules.
	key("key armor.modules: missing", "modules", nil)
	key("key armor.modules: empty", "modules", []any{})
	modules("key armor.modules: "+q0+" is in it twice", func(m []any) []any { return append(m, q0) })
	modules("key armor.modules: got 5 in it", func(m []any) []any { return append(m, 5) })
	modules(`key armor.modules: got "a\x1b[31m" in it`, func(m []any) []any { return append(m, "a\x1b[31m") })
	modules(`key armor.modules: got "" in it`, func(m []any) []any { return append(m, "") })
	modules("tensor model.layers.7.mlp.up_proj.shape: missing", func(m []any) []any { return append(m, "model.layers.7.mlp.up_proj") })
	modules("key armor.dense_modules: "+v1+" is in modules, too", func(m []any) []any { return append(m, v1) })
	modules("key armor.overrides."+o0+": not one of modules", func(m []any) []any { return slices.DeleteFunc(m, func(x any) bool { return x == o0 }) })
	modules("tensor "+v0+".A: not expected by the section armor", func(m []any) []any { return slices.DeleteFunc(m, func(x any) bool { return x == v0 }) })
	modules("key armor.modules: too many elements", func(m []any) []any {
		for i := range maxModules {
			m = append(m, fmt.Sprint("m", i))
		}
		return m
	})
	key("key armor.dense_modules: "+v1+" is in it twice", "dense_modules", []any{v1, v1})
	key("tensor model.layers.3.x.weight: missing", "dense_modules", []any{"model.layers.3.x"})
	key("key armor.dense_modules: got an object, want an array", "dense_modules", map[string]any{})

	// Overrides.
	key("key armor.overrides: got an array, want an object", "overrides", []any{})
	override("key armor.overrides."+v1+": not one of modules", v1, map[string]any{})
	override("key armor.overrides."+q0+": got 3, want an object", q0, 3)
	override("key armor.overrides."+q0+".sparsity: unknown", q0, map[string]any{"sparsity": 1})
	override("key armor.overrides."+v0+".block_size: got [0 1]", v0, blocks(0, 1))
	override("key armor.block_size: module "+v0+": got [64, 64], want divisors of its shape [32, 64]", v0, blocks(64, 64))
	override("tensor "+d1+".A: shape: got [4 16 16], want [2 32 32]", d1, map[string]any{})
	override("tensor "+o0+".A: missing", o0, map[string]any{})
	override("tensor "+v0+".A: not expected | none", v0, map[string]any{"wrapper_dtype": "none"})
	override("key armor.shared_b."+k0+": block_size: got 16, want 32", k0, blocks(32, 16))
	override("key armor.shared_b."+k0+": it and "+q0+" need wrappers", q0, map[string]any{"wrapper_dtype": "none"})

	// shared_b.
	shared("key armor.shared_b: got an array", []any{})
	shared("key armor.shared_b."+k0+": "+k0+" has no B of its own", map[string]any{k0: k0})
	shared("key armor.shared_b."+k0+": "+q0+" has no B of its own", map[string]any{k0: q0, q0: k0})
	shared("key armor.shared_b."+k0+`: "nobody" is not one of modules`, map[string]any{k0: "nobody"})
	shared("key armor.shared_b."+k0+`: "`+v1+`" is not one of modules`, map[string]any{k0: v1})
	shared("key armor.shared_b.nobody: not one of modules", map[string]any{"nobody": q0})
	shared("key armor.shared_b."+k0+": got 1, want a string", map[string]any{k0: 1})
	shared("tensor "+v0+".B: not expected", map[string]any{k0: q0, v0: q0})
	shared("tensor "+k0+".B: missing", map[string]any{})
	cases["tensor model.layers.0.mlp.down_proj.B: shape: got [5 32 32], want [2 32 32]"] = func(f *folder) {
		f.armor["shared_b"] = map[string]any{k0: "model.layers.0.mlp.down_proj"}
	}

	// Tensors that are not there, or should not be.
	for _, suffix := range []string{".shape", ".compressed", ".bitmask", ".A", ".B"} {
		missing(v0 + suffix)
	}
	missing(v1 + ".weight")
	extra("tensor "+v0+".weight: not expected, key armor.modules lists", v0+".weight", "BF16", []int{32, 64}, 4096)
	extra("tensor "+v0+".scales: not expected", v0+".scales", "F16", []int{32, 1}, 64)
	extra("tensor "+v0+".A_scales: not expected", v0+".A_scales", "F16", []int{32}, 64)
	extra("tensor "+o0+".B: not expected", o0+".B", "BF16", []int{2, 32, 32}, 4096)
	extra("tensor "+v1+".bitmask: not expected", v1+".bitmask", "U8", []int{32, 8}, 256)
	extra("tensor model.embed_tokens.q: not expected", "model.embed_tokens.q", "I8", []int{512, 64}, 512*64)
	extra("tensor model.layers.0.mlp.x: not part", "model.layers.0.mlp.x", "U8", []int{1}, 1)

	// Types and shapes.
	tensorOf("tensor "+v0+".shape: dtype: got I32, want I64", v0+".shape", func(x *tensor) { *x = tensor{"I32", []int{2, 1}, x.data[:8]} })
	tensorOf("tensor "+v0+".shape: shape: got [2], want [2 1]", v0+".shape", func(x *tensor) { x.shape = []int{2} })
	tensorOf("tensor "+v0+".shape: got [32, 60], want [32, 64]", v0+".shape", func(x *tensor) { x.data[8] = 60 })
	tensorOf("tensor "+v0+".shape: got [0 64], want two numbers", v0+".shape", func(x *tensor) { x.data[0] = 0 })
	tensorOf("tensor "+v0+".shape: got [32 -9223372036854775744]", v0+".shape", func(x *tensor) { x.data[15] = 0x80 })
	tensorOf("tensor "+v0+".shape: got [32 4611686018427387968]", v0+".shape", func(x *tensor) { x.data[15] = 0x40 })
	tensorOf("tensor "+v0+".compressed: dtype: got F16, want BF16", v0+".compressed", func(x *tensor) { x.dtype = "F16" })
	tensorOf("tensor "+v0+".compressed: dtype: got I8, want BF16", v0+".compressed", func(x *tensor) { *x = tensor{"I8", x.shape, x.data[:1024]} })
	tensorOf("tensor "+v0+".compressed: shape: got [64 16], want [32 32]", v0+".compressed", func(x *tensor) { x.shape = []int{64, 16} })
	tensorOf("tensor "+v0+".compressed: shape: got [31 32], want [32 32]", v0+".compressed", func(x *tensor) { *x = tensor{"BF16", []int{31, 32}, x.data[64:]} })
	tensorOf("tensor "+v0+".compressed: data_offsets: got 2046 bytes, want 2048", v0+".compressed", func(x *tensor) { x.data = x.data[2:] })
	tensorOf("tensor "+v0+".compressed: shape: the size overflows", v0+".compressed", func(x *tensor) { x.shape = []int{math.MaxInt64, math.MaxInt64} })
	tensorOf("tensor "+v0+".compressed: data_offsets: got 2048 bytes, want 4294967296", v0+".compressed", func(x *tensor) { x.shape = []int{1 << 26, 32} })
	tensorOf("tensor "+v0+".bitmask: dtype: got I8, want U8", v0+".bitmask", func(x *tensor) { x.dtype = "I8" })
	tensorOf("tensor "+v0+".bitmask: shape: got [256], want [32 8]", v0+".bitmask", func(x *tensor) { x.shape = []int{256} })
	tensorOf("tensor "+v0+".bitmask: shape: got [0 8], want [32 8]", v0+".bitmask", func(x *tensor) { *x = tensor{"U8", []int{0, 8}, nil} })
	tensorOf("tensor "+v0+".A: dtype: got U16, want BF16", v0+".A", func(x *tensor) { x.dtype = "U16" })
	tensorOf("tensor "+v0+".A: shape: got [32 32], want [1 32 32]", v0+".A", func(x *tensor) { x.shape = []int{32, 32} })
	tensorOf("tensor "+v0+".B: shape: got [1 32 32], want [2 32 32]", v0+".B", func(x *tensor) { *x = tensor{"BF16", []int{1, 32, 32}, x.data[:2048]} })
	tensorOf(v1+".weight: shape: got [64 32], want [32 64]", v1+".weight", func(x *tensor) { x.shape = []int{64, 32} })
	cases["module "+v0+": got 62 inputs, want a multiple of 4"] = func(f *folder) {
		f.shapes[v0] = [2]int{32, 62}
		f.tensors[v0+".shape"].data[8] = 62
	}
	cases["tensor "+v0+".shape: got [32, 64], want [64, 64]"] = func(f *folder) { f.shapes[v0] = [2]int{64, 64} }

	// What the tensors hold.
	value("tensor "+v0+".compressed: row 0, column 0: got NaN", v0+".compressed", 0, 0x7fc0)
	value("tensor "+v0+".compressed: row 31, column 31: got +Inf", v0+".compressed", 1023, 0x7f80)
	value("tensor "+v0+".A: row 5, column 1: got -Inf", v0+".A", 5*32+1, 0xff80)
	value("tensor "+q0+".B: row 63, column 31: got NaN", q0+".B", 2047, 0xffff)
	bits("tensor "+v0+".bitmask: row 0, group 0: got 0 bits, want 2 of 4", v0+".bitmask", 0, 0x30)
	bits("tensor "+v0+".bitmask: row 0, group 1: got 1 bits", v0+".bitmask", 0, 0x83)
	bits("tensor "+v0+".bitmask: row 7, group 0: got 3 bits", v0+".bitmask", 7*8, 0x37)
	bits("tensor "+v0+".bitmask: row 31, group 15: got 4 bits", v0+".bitmask", 255, 0xf3)
	return cases
}

// json1e300 is a number that no integer holds.
type json1e300 struct{}

func (json1e300) MarshalJSON() ([]byte, error) { return []byte("1e300"), nil }

func TestHostileFolders(t *testing.T) {
	sound := newFolder(t)
	ck, err := sound.open("model")
	if err == nil {
		err = load(ck, sound.shapes)
	}
	if err != nil {
		t.Fatalf("the sound folder: %v", err)
	}
	if dir := os.Getenv("ARMOR_BAD_FOLDERS"); dir != "" {
		sound.save(t, dir, "")
		defer func() {
			manifest, err := json.Marshal(saved)
			if err = errors.Join(err, os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o644)); err != nil {
				t.Error(err)
			}
		}()
	}
	cases := hostile()
	if len(cases) < 60 {
		t.Errorf("%d cases", len(cases))
	}
	refuse(t, sound, cases)
}

// refuse requires each damage to give the error that its name begins with.
func refuse(t *testing.T, sound *folder, cases map[string]func(*folder)) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		f := sound.clone(t)
		cases[name](f)
		ck, err := f.open("model")
		if err == nil {
			err = load(ck, f.shapes)
		}
		words, _, _ := strings.Cut(name, " | ")
		wantLine(t, name, err, words)
		if dir := os.Getenv("ARMOR_BAD_FOLDERS"); dir != "" && maps.Equal(f.shapes, sound.shapes) {
			f.save(t, dir, words)
		}
		if err != nil && !strings.Contains(err.Error(), "model/config.json: ") && !strings.HasPrefix(err.Error(), "model: ") &&
			!strings.HasPrefix(err.Error(), "model/model.safetensors: ") {
			t.Errorf("%s: %q does not name the file", name, err)
		}
	}
}

// savedFolder is one of a manifest as run_bad_models.py reads it.
type savedFolder struct {
	Name   string   `json:"name"`
	Group  string   `json:"group"`
	Path   string   `json:"path"`
	Broken string   `json:"broken"`
	Expect string   `json:"expect"`
	Error  []string `json:"error"`
}

var saved []savedFolder

// save writes the folder where a program is to be run on it: ARMOR_BAD_FOLDERS.
func (f *folder) save(t *testing.T, dir, words string) {
	t.Helper()
	name := fmt.Sprintf("armor_%03d", len(saved))
	e := savedFolder{Name: name, Group: "armor", Path: name, Broken: words, Expect: "reject", Error: []string{regexp.QuoteMeta(words)}}
	if words == "" {
		e.Expect, e.Error = "accept", []string{}
	}
	saved = append(saved, e)
	files, err := f.files()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		if files[name], err = os.ReadFile(golden + "tiny-llama/" + name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, e.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, e.Path, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Any one byte of bits or values changed: an error or a folder that reads, and
// the bits that read are exactly those with two of each four.
func TestEveryBitmaskByte(t *testing.T) {
	f := newFolder(t)
	x := f.tensors[v0+".bitmask"]
	for b := range 256 {
		x.data[9] = byte(b)
		ck, err := f.open("model")
		if err != nil {
			t.Fatal(err)
		}
		c, err := ReadConfig(ck)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(ck, c, v0, 32, 64)
		if err != nil {
			t.Fatal(err)
		}
		ones := func(n int) int { return n&1 + n>>1&1 + n>>2&1 + n>>3&1 }
		err = m.Core.ReadCore(make([]float32, 32), make([]uint8, 16), 1, 1)
		if sound := ones(b&15) == 2 && ones(b>>4) == 2; sound != (err == nil) {
			t.Errorf("byte %08b: %v", b, err)
		}
		if err := m.Core.ReadCore(make([]float32, 32), make([]uint8, 16), 0, 1); err != nil {
			t.Errorf("another row: %v", err)
		}
	}
}

func TestReadCoreBounds(t *testing.T) {
	f := newFolder(t)
	ck, err := f.open("model")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig(ck)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(ck, c, v0, 32, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []struct{ values, masks, row, n int }{
		{31, 16, 0, 1}, {32, 15, 0, 1}, {1024, 512, 1, 32}, {32, 16, -1, 1}, {32, 16, 32, 1}, {32, 16, 0, -1}, {32, 16, 1 << 62, 1 << 62},
	} {
		err := m.Core.ReadCore(make([]float32, b.values), make([]uint8, b.masks), b.row, b.n)
		wantLine(t, fmt.Sprint(b), err, "tensor "+v0)
	}
	if err := m.Core.ReadCore(nil, nil, 32, 0); err != nil {
		t.Error(err)
	}
	if m.Core.Rows() != 32 || m.Core.Cols() != 64 || m.A.Rows() != 32 || m.B.Rows() != 64 || m.B.Cols() != 32 {
		t.Error("other shapes")
	}
	_, err = Open(ck, c, v1, 32, 64)
	wantLine(t, "dense", err, "module "+v1+": not one of")
}

// FuzzConfig: whatever the text, an error of one line or a section whose parts
// agree and which survives being rewritten.
func FuzzConfig(f *testing.F) {
	sound := newFolder(f)
	ck, err := sound.open("model")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ck.Config())
	f.Add([]byte(`{"armor":{"format_version":1,"base_model_type":"llama","pattern":"2:4","normalizer":"folded","core_dtype":"bf16",` +
		`"wrapper_dtype":"none","modules":["a","b"],"overrides":{"a":{"wrapper_dtype":"bf16","block_size":[8,4]}},"shared_b":{}}}`))
	f.Add([]byte(`{"armor":{"format_version":1,"base_model_type":"llama","pattern":"2:4","normalizer":"folded","core_dtype":"int4","group_size":128,` +
		`"wrapper_dtype":"int8","block_size":[8,4],"head_dtype":"int8","head_group_size":64,"modules":["a"],"overrides":{"a":{"core_dtype":"int8"}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			wantLine(t, "config", err, "")
			return
		}
		if c == nil {
			return
		}
		for _, m := range c.Modules {
			l, ok := c.Layout(m)
			if !ok || (l.CoreDType == BF16) != (l.Group == 0) || l.Group%GroupSize != 0 || (l.WrapperDType == "none") != (l.BlockOut == 0) || l.BlockOut < 0 || l.BlockIn > maxBlock {
				t.Fatalf("%s: %+v", m, l)
			}
		}
		for m, owner := range c.SharedB {
			if !c.Pruned(m) || !c.Pruned(owner) || c.SharedB[owner] != "" {
				t.Fatalf("%s uses the B of %s", m, owner)
			}
		}
		if base, err := BaseConfig(data); err == nil {
			if again, err := ParseConfig(base); again != nil || err != nil {
				t.Fatalf("the base's config is ARMOR: %v", err)
			}
		}
	})
}
