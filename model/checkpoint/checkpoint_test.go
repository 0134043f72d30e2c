package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// golden is the folder of the tiny models; see the README and the script there.
const golden = "../../testdata/golden"

// The numbers were read from the files with Python's struct module.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		model   string
		tensors int
		down    [3]float32 // model.layers.1.mlp.down_proj.weight: first, second, last
	}{
		{"tiny-llama", 20, [3]float32{0.08203125, -0.1728515625, 0.004852294921875}},
		{"tiny-llama3-rope", 21, [3]float32{-0.03857421875, 0.033203125, -0.09765625}},
		{"tiny-qwen2", 26, [3]float32{0.01165771484375, 0.019775390625, -0.0255126953125}},
		{"tiny-qwen3", 25, [3]float32{0.07177734375, -0.0169677734375, -0.1064453125}},
	} {
		t.Run(c.model, func(t *testing.T) {
			ck, err := OpenFolder(filepath.Join(golden, c.model))
			if err != nil {
				t.Fatal(err)
			}
			defer ck.Close()
			if n := len(ck.Names()); n != c.tensors {
				t.Errorf("%d tensors, want %d", n, c.tensors)
			}
			down, err := ck.Need("model.layers.1.mlp.down_proj.weight", 64, 160)
			if err != nil {
				t.Fatal(err)
			}
			w := make([]float32, 64*160)
			if err := down.ReadRows(w, 0, 64); err != nil {
				t.Fatal(err)
			}
			if got := [3]float32{w[0], w[1], w[len(w)-1]}; got != c.down {
				t.Errorf("down_proj is %v, want %v", got, c.down)
			}
			compareWithLibrary(t, ck, filepath.Join(golden, c.model, "model.safetensors"))
			if unused := ck.Unused(); len(unused) != 0 {
				t.Errorf("unused: %v", unused)
			}
		})
	}
}

// compareWithLibrary checks every bit of every tensor against safetensors' own
// reading of the file.
func compareWithLibrary(t *testing.T, ck *Checkpoint, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := safetensors.Deserialize(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ck.Names() {
		w, _ := ck.Tensor(name)
		view, ok := theirs.Tensor(name)
		if !ok {
			t.Fatalf("the library has no %s", name)
		}
		got := make([]float32, w.Rows()*w.Cols())
		if err := w.ReadRows(got, 0, w.Rows()); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if want := uint32(binary.LittleEndian.Uint16(view.Data()[2*i:])) << 16; math.Float32bits(v) != want {
				t.Fatalf("%s[%d] is %08x, want %08x", name, i, math.Float32bits(v), want)
			}
		}
		w.Release(0, w.Rows())
	}
}

// Real folders, where there are some.
func TestModels(t *testing.T) {
	models := os.Getenv("ARMOR_MODELS")
	if models == "" {
		t.Skip("ARMOR_MODELS names no folder of models")
	}
	for model, want := range map[string]struct {
		tensors int
		norm    [3]float32 // model.norm.weight: first, second, last
	}{
		"smollm2-135m-instruct":       {272, [3]float32{1.7578125, 1.8203125, 1.984375}},
		"qwen2.5-coder-0.5b-instruct": {291, [3]float32{7.0625, 7.125, 8.125}},
	} {
		path := filepath.Join(models, model)
		if _, err := os.Stat(path); err != nil {
			t.Logf("skipped: %v", err)
			continue
		}
		ck, err := OpenFolder(path)
		if err != nil {
			t.Error(err)
			continue
		}
		defer ck.Close()
		norm, ok := ck.Tensor("model.norm.weight")
		if !ok || len(ck.Names()) != want.tensors {
			t.Errorf("%s: %d tensors, want %d", model, len(ck.Names()), want.tensors)
			continue
		}
		v := make([]float32, norm.Cols())
		if err := norm.ReadRows(v, 0, 1); err != nil {
			t.Error(err)
		}
		if got := [3]float32{v[0], v[1], v[len(v)-1]}; got != want.norm {
			t.Errorf("%s: norm is %v, want %v", model, got, want.norm)
		}
	}
}

func TestOpenFolderRefuses(t *testing.T) {
	valid := build(entry{"a", "U8", []int{1}, []byte{0}})
	_, err := OpenFolder(filepath.Join(t.TempDir(), "absent"))
	wantError(t, err, "absent: ")
	_, err = OpenFolder(writeFile(t, valid))
	wantError(t, err, "got a file, want a model folder")
	_, err = OpenFolder(files{"model.safetensors": valid}.write(t))
	wantError(t, err, "config.json: ")
	_, err = OpenFolder(files{"config.json": []byte("{}")}.write(t))
	wantError(t, err, "no weights")
	_, err = OpenFolder(files{"config.json": make([]byte, 4<<20+1), "model.safetensors": valid}.write(t))
	wantError(t, err, "config.json: too large: got 4194305 bytes, want at most 4194304")

	dir := files{"config.json": []byte("{}")}.write(t)
	if err := os.Mkdir(filepath.Join(dir, "model.safetensors"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = OpenFolder(dir)
	wantError(t, err, "model.safetensors: got a directory, want a regular file")
}

func TestFile(t *testing.T) {
	m := single(build(entry{"a", "U8", []int{1}, []byte{0}}))
	m["config.json"] = []byte(`{"x":1}`)
	m["tokenizer.json"] = bytes.Repeat([]byte(" "), 5<<20) // above the limit of other files
	m["chat_template.jinja"] = nil
	c, err := OpenFolder(m.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if string(c.Config()) != `{"x":1}` {
		t.Errorf("config %q", c.Config())
	}
	for _, name := range []string{"config.json", "tokenizer.json", "chat_template.jinja"} {
		got, err := c.File(name)
		if err != nil || !bytes.Equal(got, m[name]) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := c.File("tokenizer_config.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	for _, name := range []string{"", ".", "..", "../config.json", "/etc/passwd", `a\b`, "a/b", "a\x00b", "a\x1bb"} {
		_, err := c.File(name)
		wantError(t, err, "want a plain file name")
	}
}

// A Checkpoint that fails to open leaves nothing open.
func TestOpenCloses(t *testing.T) {
	m := sharded()
	m[shardB] = m[shardB][:9]
	open := 0
	_, err := Open("model", func(name string) (Source, error) {
		src, err := m.open(name)
		if err != nil {
			return nil, err
		}
		open++
		return &counted{src, &open}, nil
	})
	wantError(t, err, shardB+": too short")
	if open != 0 {
		t.Errorf("%d files left open", open)
	}
}

type counted struct {
	Source
	open *int
}

func (c *counted) Close() error { *c.open--; return nil }
