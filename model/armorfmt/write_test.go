package armorfmt

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"armor/model/checkpoint"
)

func TestRoundTrip(t *testing.T) {
	base := openFolder(t, golden+"tiny-llama")
	all := armorParts(t, base)
	for _, shardBytes := range []int64{0, 30_000} {
		dir := filepath.Join(t.TempDir(), "new", "armor")
		totals := writeFolder(t, dir, base, all, shardBytes)
		if n := len(totals.Shards); (shardBytes > 0) != (n > 3) {
			t.Errorf("%d shards", n)
		}
		ck := openFolder(t, dir)
		c, err := ReadConfig(ck)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(c.Modules); got != len(all) || !slices.Equal(c.Dense, []string{"model.layers.1.self_attn.v_proj"}) {
			t.Errorf("%d modules, dense %v", got, c.Dense)
		}
		if c.BaseModelType != "llama" || c.BaseModel != "tiny" || c.ArmorVersion != "test" {
			t.Errorf("got %+v", c)
		}
		var sum Bytes
		shared := map[string]*Module{}
		for _, p := range all {
			m, err := Open(ck, c, p.Name, p.Out, p.In)
			if err != nil {
				t.Fatal(err)
			}
			shared[p.Name] = m
			sum.Add(m.Bytes())
			got := &Parts{Name: p.Name, Out: p.Out, In: p.In, BlockOut: p.BlockOut, BlockIn: p.BlockIn, SharedB: m.SharedB}
			if err := readModule(m, got); err != nil {
				t.Fatal(err)
			}
			want := *p
			if p.SharedB != "" {
				want.B = all[slices.IndexFunc(all, func(o *Parts) bool { return o.Name == p.SharedB })].B
			}
			if !reflect.DeepEqual(got, &want) {
				t.Errorf("%s comes back otherwise", p.Name)
			}
		}
		if shared["model.layers.0.self_attn.q_proj"].B != shared["model.layers.0.self_attn.k_proj"].B {
			t.Error("a shared B is not one")
		}
		if sum != totals.Modules {
			t.Errorf("the sizes read are %+v, those written %+v", sum, totals.Modules)
		}
		var packed int64
		for _, name := range ck.Names() {
			x, _ := ck.Tensor(name)
			packed += x.Bytes()
			if source, ok := base.Tensor(name); ok {
				var a, b bytes.Buffer
				if x.CopyBytes(&a) != nil || source.CopyBytes(&b) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) || x.DType != source.DType {
					t.Errorf("%s is not a copy", name)
				}
			}
		}
		if packed != totals.BytesPacked {
			t.Errorf("%d bytes of tensors, %d reported", packed, totals.BytesPacked)
		}
		for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "generation_config.json"} {
			a, err := os.ReadFile(golden + "tiny-llama/" + name)
			b, err2 := os.ReadFile(filepath.Join(dir, name))
			if err != nil || err2 != nil || !bytes.Equal(a, b) {
				t.Errorf("%s is not a copy: %v, %v", name, err, err2)
			}
		}
		config, err := BaseConfig(ck.Config())
		if err != nil {
			t.Fatal(err)
		}
		var a, b map[string]any
		if json.Unmarshal(config, &a) != nil || json.Unmarshal(base.Config(), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("the base's config comes back as %s", config)
		}
	}
}

// The layout of most modules is the section's own, whichever that is.
func TestUsualLayout(t *testing.T) {
	base := openFolder(t, golden+"tiny-llama")
	for plain := 0; plain <= len(linears()); plain += 2 {
		var all []*Parts
		r := rand.New(rand.NewPCG(9, 9))
		for i, name := range linears() {
			p := randomParts(t, base, name, r)
			if i < plain {
				p.A, p.B = nil, nil
			}
			all = append(all, p)
		}
		dir := filepath.Join(t.TempDir(), "armor")
		writeFolder(t, dir, base, all, 0)
		ck := openFolder(t, dir)
		c, err := ReadConfig(ck)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range all {
			want := Layout{CoreDType: BF16, WrapperDType: BF16, BlockOut: 32, BlockIn: 32}
			if i < plain {
				want = Layout{CoreDType: BF16, WrapperDType: None}
			}
			if got, _ := c.Layout(p.Name); got != want {
				t.Errorf("%d plain: %s: %+v, want %+v", plain, p.Name, got, want)
			}
		}
		var text struct {
			Armor struct{ Overrides map[string]any }
		}
		if err := json.Unmarshal(ck.Config(), &text); err != nil {
			t.Fatal(err)
		}
		if got, want := len(text.Armor.Overrides), min(plain, len(all)-plain); got != want {
			t.Errorf("%d plain: %d overrides, want %d", plain, got, want)
		}
	}
}

// The reference library opens what was written, if a Python with it is named.
func TestPythonOpens(t *testing.T) {
	python := os.Getenv("ARMOR_PYTHON")
	if python == "" {
		t.Skip("ARMOR_PYTHON is not set")
	}
	if out, err := exec.Command(python, "-c", "import safetensors, numpy").CombinedOutput(); err != nil {
		t.Skipf("ARMOR_PYTHON has no safetensors or numpy: %s", out)
	}
	base := openFolder(t, golden+"tiny-llama")
	dir := filepath.Join(t.TempDir(), "armor")
	totals := writeFolder(t, dir, base, armorParts(t, base), 30_000)
	const script = `
import glob, hashlib, json, os, sys
from safetensors import safe_open
dir, sums = sys.argv[1], json.loads(sys.argv[2])
index = json.load(open(os.path.join(dir, "model.safetensors.index.json")))
found, total = {}, 0
for path in glob.glob(os.path.join(dir, "*.safetensors")):
    name = os.path.basename(path)
    assert hashlib.sha256(open(path, "rb").read()).hexdigest() == sums[name], name
    with safe_open(path, "np") as f:
        assert f.metadata() == {"format": "pt"}, f.metadata()
        for key in f.keys():
            s = f.get_slice(key)
            found[key] = name
            size = {"BF16": 2, "U8": 1, "I64": 8, "F32": 4, "F16": 2}[s.get_dtype()]
            for n in s.get_shape(): size *= n
            total += size
            if key.endswith(".bitmask"):
                import numpy as np
                assert np.unpackbits(f.get_tensor(key), bitorder="little").reshape(-1, 4).sum(1).tolist() == [2] * (8 * size // 4), key
            if key.endswith(".shape"):
                assert f.get_tensor(key).shape == (2, 1)
assert found == index["weight_map"] and total == index["metadata"]["total_size"]
print(len(found))
`
	sums := map[string]string{}
	for _, s := range totals.Shards {
		sums[s.Name] = s.SHA256
	}
	text, err := json.Marshal(sums)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", script, dir, string(text)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s tensors", bytes.TrimSpace(out))
}

func TestTargets(t *testing.T) {
	source := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(golden + "tiny-llama/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(source, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	base := openFolder(t, source)
	elsewhere := t.TempDir()
	link := filepath.Join(elsewhere, "link")
	if err := os.Symlink(source, link); err != nil {
		t.Skip(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "a"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := listing(t, source)
	for dir, words := range map[string]string{
		source:                             "inside it",
		source + "/.":                      "inside it",
		filepath.Join(source, "x"):         "inside it",
		filepath.Join(source, "x", "y"):    "inside it",
		link:                               "inside it",
		filepath.Join(link, "x", "y"):      "inside it",
		full:                               `not empty: it has "a"`,
		filepath.Join(full, "a"):           "not a directory",
		filepath.Join(full, "a", "b"):      "not a directory",
		filepath.Join(elsewhere, "a\x00b"): "invalid argument",
		filepath.Join(source, "config.json", "x"): "inside it",
	} {
		_, err := NewWriter(dir, base, 0, Info{})
		wantLine(t, dir, err, words)
	}
	if got := listing(t, source); got != before {
		t.Errorf("the source has %s, it had %s", got, before)
	}
	if os.Getuid() != 0 {
		readOnly := t.TempDir()
		if err := os.Chmod(readOnly, 0o555); err != nil {
			t.Fatal(err)
		}
		_, err := NewWriter(readOnly, base, 0, Info{})
		wantLine(t, readOnly, err, "permission denied")
	}
	// A folder that was there stays, a new one goes, at whatever step.
	there, fresh := t.TempDir(), filepath.Join(elsewhere, "fresh")
	for _, dir := range []string{there, fresh} {
		w, err := NewWriter(dir, base, 0, Info{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Module(armorParts(t, base)[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := w.FinishWeights(); err != nil {
			t.Fatal(err)
		}
		w.Abort()
	}
	if got := listing(t, there); got != "" {
		t.Errorf("left behind: %s", got)
	}
	if _, err := os.Stat(fresh); !os.IsNotExist(err) {
		t.Errorf("left behind: %s (%v)", fresh, err)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, e := range entries {
		text += e.Name() + " "
	}
	return text
}

func wantLine(t *testing.T, what string, err error, words string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: accepted, want %q", what, words)
		return
	}
	text := err.Error()
	if !strings.Contains(text, words) {
		t.Errorf("%s: got %q, want %q in it", what, text, words)
	}
	if len(text) > 600 || strings.ContainsAny(text, "\n\r\x1b") {
		t.Errorf("%s: not one short line: %q", what, text)
	}
}

func TestBadParts(t *testing.T) {
	base := openFolder(t, golden+"tiny-llama")
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for words, damage := range map[string]func(*Parts){
		"tensor model.layers.9.q.weight: missing":            func(p *Parts) { p.Name = "model.layers.9.q" },
		"shape: got [64 64], want [64 32]":                   func(p *Parts) { p.In = 32 },
		"values: got 2047 elements, want 2048":               func(p *Parts) { p.Values = p.Values[1:] },
		"masks: got 1025 elements, want 1024":                func(p *Parts) { p.Masks = append(p.Masks, 0) },
		"A: got 2040 elements, want 2048":                    func(p *Parts) { p.A = p.A[8:] },
		"B: got 0 elements, want 2048":                       func(p *Parts) { p.B = nil },
		"B: got 2048 elements, want 0":                       func(p *Parts) { p.SharedB = "x" },
		"got B without A":                                    func(p *Parts) { p.A = nil },
		"block_size: got [0, 32]":                            func(p *Parts) { p.BlockOut = 0 },
		"block_size: got [32, 48], want divisors":            func(p *Parts) { p.BlockIn = 48 },
		"masks: group 3: got 6, want 0 to 5":                 func(p *Parts) { p.Masks[3] = 6 },
		"values: element 5: got NaN, want a finite bf16":     func(p *Parts) { p.Values[5] = nan },
		"A: element 1: got +Inf, want a finite bf16":         func(p *Parts) { p.A[1] = inf },
		"B: element 2: got 0.1, want a finite bf16":          func(p *Parts) { p.B[2] = 0.1 },
		"values: element 2047: got 1.0039062, want a finite": func(p *Parts) { p.Values[2047] = 1 + 1./256 },
	} {
		dir := filepath.Join(t.TempDir(), "armor")
		w, err := NewWriter(dir, base, 0, Info{})
		if err != nil {
			t.Fatal(err)
		}
		p := armorParts(t, base)[0]
		damage(p)
		_, err = w.Module(p)
		wantLine(t, words, err, words)
		_, err = w.FinishWeights()
		wantLine(t, words, err, "no pruned modules")
		w.Abort()
	}
	w, err := NewWriter(filepath.Join(t.TempDir(), "armor"), base, 0, Info{})
	if err != nil {
		t.Fatal(err)
	}
	all := armorParts(t, base)
	for _, p := range []*Parts{all[1], all[1]} {
		_, err = w.Module(p)
	}
	wantLine(t, "twice", err, "written already")
	if _, err := w.FinishWeights(); err != nil {
		t.Fatal(err)
	}
	wantLine(t, "a B that never came", w.Finish(), "key armor.shared_b.model.layers.0.self_attn.k_proj: ")
	w.Abort()

	armor := filepath.Join(t.TempDir(), "armor")
	writeFolder(t, armor, base, all, 0)
	_, err = NewWriter(filepath.Join(t.TempDir(), "again"), openFolder(t, armor), 0, Info{})
	wantLine(t, "twice", err, "key armor: the model is ARMOR already")
	gguf, err := checkpoint.OpenGGUF(golden + "tiny-llama2.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer gguf.Close()
	_, err = NewWriter(filepath.Join(t.TempDir(), "gguf"), gguf, 0, Info{})
	wantLine(t, "GGUF", err, "got a GGUF file")
	if c, err := ReadConfig(gguf); c != nil || err != nil {
		t.Errorf("GGUF: %v, %v", c, err)
	}
	if c, err := ReadConfig(base); c != nil || err != nil {
		t.Errorf("dense: %v, %v", c, err)
	}
}
