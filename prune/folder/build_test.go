package folder

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

const golden = "../../testdata/golden/"

func openTest(t *testing.T, dir string) *checkpoint.Checkpoint {
	t.Helper()
	ck, err := checkpoint.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	return ck
}

func bytesOf(t *testing.T, x *checkpoint.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := x.CopyBytes(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// variant writes a copy of a golden folder in which change may give other bytes of
// a tensor, nil to leave it out.
func variant(t *testing.T, name string, change func(x *checkpoint.Tensor, data []byte) (checkpoint.DType, []byte)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	ck := openTest(t, golden+name)
	err := plain(ck, dir, Options{}, ck.Config(), map[string]bool{}, func(*checkpoint.Writer) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	w, err := checkpoint.NewWriter(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range ck.Names() {
		x, _ := ck.Tensor(name)
		d, data := change(x, bytesOf(t, x))
		if data == nil {
			continue
		}
		if err := w.Add(name, d, x.Shape, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sparse zeroes two of each four numbers of bf16, at random places.
func sparse(data []byte, r *rand.Rand) {
	for g := 0; g < len(data); g += 8 {
		for _, i := range r.Perm(4)[:2] {
			data[g+2*i], data[g+2*i+1] = 0, 0
		}
	}
}

func isLinear(name string) bool {
	_, _, ok := place(strings.TrimSuffix(name, ".weight"))
	return ok
}

// armorFolder writes a folder with random parts; blocks differ, one module has no
// wrappers, k_proj uses q_proj's B.
func armorFolder(t *testing.T) (dir string, all map[string]*armorfmt.Parts) {
	t.Helper()
	ck := openTest(t, golden+"tiny-qwen2")
	r := rand.New(rand.NewPCG(5, 5))
	numbers := func(n int, scale float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = math.Float32frombits(math.Float32bits(float32(r.NormFloat64()*scale)) &^ 0xffff)
		}
		return x
	}
	dir = filepath.Join(t.TempDir(), "armor")
	w, err := armorfmt.NewWriter(dir, ck, 0, armorfmt.Info{})
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]*armorfmt.Parts{}
	for i, name := range modulesWith(ck, ".weight") {
		x, _ := ck.Tensor(name + ".weight")
		p := &armorfmt.Parts{Name: name, Out: x.Rows(), In: x.Cols(), BlockOut: []int{32, 16, 8, 4}[i%4], BlockIn: []int{32, 8}[i%2]}
		p.Values, p.Masks = numbers(p.Out*p.In/2, 1), make([]uint8, p.Out*p.In/4)
		for g := range p.Masks {
			p.Masks[g] = uint8(r.IntN(6))
		}
		switch {
		case strings.HasSuffix(name, "1.self_attn.o_proj"):
		case strings.HasSuffix(name, "0.self_attn.k_proj"):
			p.BlockIn, p.SharedB = 32, "model.layers.0.self_attn.q_proj"
			p.A = numbers(p.Out*p.BlockOut, 0.2)
		default:
			p.A, p.B = numbers(p.Out*p.BlockOut, 0.2), numbers(p.In*p.BlockIn, 0.2)
		}
		if _, err := w.Module(p); err != nil {
			t.Fatal(err)
		}
		all[name] = p
	}
	if _, err := w.FinishWeights(); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return dir, all
}

// snapshot is the content of all files of a folder.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

// sameFolder requires the same tensors, config and tokenizer.
func sameFolder(t *testing.T, a, b string) {
	t.Helper()
	x, y := openTest(t, a), openTest(t, b)
	if !slices.Equal(x.Names(), y.Names()) {
		t.Fatalf("tensors %v\nand %v", x.Names(), y.Names())
	}
	for _, name := range x.Names() {
		p, _ := x.Tensor(name)
		q, _ := y.Tensor(name)
		if p.DType != q.DType || !slices.Equal(p.Shape, q.Shape) || !bytes.Equal(bytesOf(t, p), bytesOf(t, q)) {
			t.Errorf("%s: %v %v and %v %v, or other bytes", name, p.DType, p.Shape, q.DType, q.Shape)
		}
	}
	var p, q map[string]any
	if json.Unmarshal(x.Config(), &p) != nil || json.Unmarshal(y.Config(), &q) != nil || !reflect.DeepEqual(p, q) {
		t.Errorf("config %s\nand %s", x.Config(), y.Config())
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "generation_config.json"} {
		p, err := os.ReadFile(filepath.Join(a, name))
		q, err2 := os.ReadFile(filepath.Join(b, name))
		if err != nil || err2 != nil || !bytes.Equal(p, q) {
			t.Errorf("%s: %v, %v, or other bytes", name, err, err2)
		}
	}
}

// checkModules requires exactly these parts of a folder, shared ones each its own.
func checkModules(t *testing.T, dir string, all map[string]*armorfmt.Parts) {
	t.Helper()
	ck := openTest(t, dir)
	c, err := armorfmt.ReadConfig(ck)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Modules) != len(all) {
		t.Errorf("%d modules, want %d", len(c.Modules), len(all))
	}
	for name, p := range all {
		m, err := armorfmt.Open(ck, c, name, p.Out, p.In)
		if err != nil {
			t.Fatal(err)
		}
		values, masks := make([]float32, len(p.Values)), make([]uint8, len(p.Masks))
		if err := m.Core.ReadCore(values, masks, 0, p.Out); err != nil || !slices.Equal(values, p.Values) || !slices.Equal(masks, p.Masks) {
			t.Errorf("%s: another core, %v", name, err)
		}
		if p.A == nil {
			if m.A != nil {
				t.Errorf("%s has wrappers", name)
			}
			continue
		}
		owner := p
		if p.SharedB != "" {
			owner = all[p.SharedB]
		}
		a, b := make([]float32, len(p.A)), make([]float32, len(owner.B))
		if m.A.ReadRows(a, 0, p.Out) != nil || m.B.ReadRows(b, 0, p.In) != nil || !slices.Equal(a, p.A) || !slices.Equal(b, owner.B) {
			t.Errorf("%s: other wrappers", name)
		}
	}
}

func wantLine(t *testing.T, what string, err error, words string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: accepted, want %q", what, words)
		return
	}
	if !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: got %q, want %q", what, err, words)
	}
}
