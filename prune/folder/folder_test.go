package folder

import (
	"encoding/binary"
	"encoding/json"
	"errors"
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

func TestPackIsLossless(t *testing.T) {
	for _, name := range []string{"tiny-llama", "tiny-qwen2", "tiny-qwen3"} {
		r := rand.New(rand.NewPCG(3, 3))
		src := variant(t, name, func(x *checkpoint.Tensor, data []byte) (checkpoint.DType, []byte) {
			if isLinear(x.Name) && x.Name != "model.layers.1.mlp.up_proj.weight" {
				sparse(data, r)
			}
			return x.DType, data
		})
		before := snapshot(t, src)
		packed, back := filepath.Join(t.TempDir(), "packed"), filepath.Join(t.TempDir(), "back")
		told := 0
		result, err := Pack(src, packed, Options{ShardBytes: 50_000, Progress: func(done, all int, module string) { told++ },
			Report: func(r *Result) ([]byte, error) { return json.Marshal(r.Totals.Shards) }})
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Modules) != told-1 || len(result.Dense) != 1 || result.Dense[0].Name != "model.layers.1.mlp.up_proj" ||
			!strings.Contains(result.Dense[0].Reason, "row 0 has 4 nonzeros in columns 0 to 3") {
			t.Errorf("%s: %d modules, dense %+v", name, len(result.Modules), result.Dense)
		}
		if _, err := os.Stat(filepath.Join(packed, "armor_report.json")); err != nil {
			t.Error(err)
		}
		var sum armorfmt.Bytes
		for _, m := range result.Modules {
			sum.Add(m.Bytes)
		}
		if sum != result.Totals.Modules || sum.Wrappers != 0 || 2*sum.Values != sum.Dense || sum.Packed() >= sum.Dense {
			t.Errorf("%s: sizes %+v", name, sum)
		}
		if err := ExportDense(packed, back, Options{}); err != nil {
			t.Fatal(err)
		}
		sameFolder(t, src, back)
		if got := snapshot(t, src); !reflect.DeepEqual(got, before) {
			t.Errorf("%s: the source has changed", name)
		}
	}
}

// A layer of F32 or F16 becomes a core where bf16 holds it, else it stays.
func TestPackOtherTypes(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	src := variant(t, "tiny-llama", func(x *checkpoint.Tensor, data []byte) (checkpoint.DType, []byte) {
		if !isLinear(x.Name) {
			return x.DType, data
		}
		sparse(data, r)
		wide := make([]byte, 0, 2*len(data))
		for i := 0; i < len(data); i += 2 {
			bits := uint32(binary.LittleEndian.Uint16(data[i:])) << 16
			if strings.Contains(x.Name, "layers.1.") && bits != 0 {
				bits |= 1
			}
			wide = binary.LittleEndian.AppendUint32(wide, bits)
		}
		return checkpoint.F32, wide
	})
	packed, back := filepath.Join(t.TempDir(), "packed"), filepath.Join(t.TempDir(), "back")
	result, err := Pack(src, packed, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Modules) != 7 || len(result.Dense) != 7 {
		t.Errorf("%d modules and %d dense, want 7 each", len(result.Modules), len(result.Dense))
	}
	for _, d := range result.Dense {
		if !strings.Contains(d.Name, "layers.1.") || !strings.Contains(d.Reason, "of F32, the format's cores are bf16") {
			t.Errorf("%+v", d)
		}
	}
	if err := ExportDense(packed, back, Options{}); err != nil {
		t.Fatal(err)
	}
	x, y := openTest(t, src), openTest(t, back)
	for _, name := range x.Names() {
		p, _ := x.Tensor(name)
		q, _ := y.Tensor(name)
		n := p.Rows() * p.Cols()
		u, v := make([]float32, n), make([]float32, n)
		if p.ReadRows(u, 0, p.Rows()) != nil || q.ReadRows(v, 0, q.Rows()) != nil || !slices.Equal(u, v) {
			t.Errorf("%s: other numbers", name)
		}
	}
}

// product is A·S·B in f64 and, element by element, the product of the absolutes.
func product(p, owner *armorfmt.Parts) (w, size []float64) {
	s := make([]float64, p.Out*p.In)
	for g, m := range p.Masks {
		pair := [][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}[m]
		s[4*g+pair[0]], s[4*g+pair[1]] = float64(p.Values[2*g]), float64(p.Values[2*g+1])
	}
	size = make([]float64, len(s))
	if p.A == nil {
		return s, size
	}
	sb, sbSize := make([]float64, len(s)), make([]float64, len(s))
	for i := range p.Out {
		for c := range p.In {
			first := c / p.BlockIn * p.BlockIn
			for k := range p.BlockIn {
				x := s[i*p.In+first+k] * float64(owner.B[(first+k)*p.BlockIn+c-first])
				sb[i*p.In+c] += x
				sbSize[i*p.In+c] += math.Abs(x)
			}
		}
	}
	w = make([]float64, len(s))
	for i := range p.Out {
		first := i / p.BlockOut * p.BlockOut
		for c := range p.In {
			for k := range p.BlockOut {
				a := float64(p.A[i*p.BlockOut+k])
				w[i*p.In+c] += a * sb[(first+k)*p.In+c]
				size[i*p.In+c] += math.Abs(a) * sbSize[(first+k)*p.In+c]
			}
		}
	}
	return w, size
}

func TestExportDense(t *testing.T) {
	dir, all := armorFolder(t)
	var first map[string]string
	for _, threads := range []int{1, 3, 0} {
		out := filepath.Join(t.TempDir(), "dense")
		if err := ExportDense(dir, out, Options{Threads: threads}); err != nil {
			t.Fatal(err)
		}
		files := snapshot(t, out)
		if first == nil {
			first = files
		} else if !reflect.DeepEqual(files, first) {
			t.Errorf("%d threads give other files", threads)
		}
		base, ck := openTest(t, golden+"tiny-qwen2"), openTest(t, out)
		if !slices.Equal(base.Names(), ck.Names()) {
			t.Fatal("other tensors than the base has")
		}
		for name, p := range all {
			owner := p
			if p.SharedB != "" {
				owner = all[p.SharedB]
			}
			want, size := product(p, owner)
			x, err := ck.Need(name+".weight", p.Out, p.In)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float32, p.Out*p.In)
			if err := x.ReadRows(got, 0, p.Out); err != nil || x.DType != checkpoint.BF16 {
				t.Fatal(err)
			}
			// Sums of BlockIn and BlockOut products in f32, then half a unit of bf16.
			const eps, half = 1.0 / (1 << 24), 1.0 / (1 << 8)
			for i, v := range got {
				bound := float64(p.BlockIn+p.BlockOut+2)*eps*size[i]*(1+half) + half*math.Abs(want[i])
				if p.A == nil {
					bound = 0
				}
				if math.Abs(float64(v)-want[i]) > bound {
					t.Fatalf("%s: element %d: got %v, want %v ± %v", name, i, v, want[i], bound)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	armor, _ := armorFolder(t)
	official := filepath.Join(t.TempDir(), "official")
	if err := ExportOfficial(armor, official, Options{}); err != nil {
		t.Fatal(err)
	}
	llama := golden + "tiny-llama"
	withNaN := variant(t, "tiny-llama", func(x *checkpoint.Tensor, data []byte) (checkpoint.DType, []byte) {
		if x.Name == "model.layers.0.self_attn.q_proj.weight" {
			for i := range data {
				data[i] = 0
			}
			data[2], data[3] = 0xc0, 0x7f
		}
		return x.DType, data
	})
	run := map[string]func(src, dst string, o Options) error{
		"pack":     func(src, dst string, o Options) error { _, err := Pack(src, dst, o); return err },
		"dense":    ExportDense,
		"official": ExportOfficial,
		"import":   func(src, dst string, o Options) error { _, err := Import(src, dst, o); return err },
	}
	for _, c := range []struct{ what, src, words string }{
		{"pack", llama, "no layer is 2:4: model.layers.0.self_attn.q_proj: row 0 has 4 nonzeros in columns 0 to 3"},
		{"pack", armor, "key armor: the model is ARMOR already, want a dense one"},
		{"pack", withNaN, "tensor model.layers.0.self_attn.q_proj.weight: row 0, column 1: got NaN, want finite numbers"},
		{"dense", llama, "not an ARMOR folder: config.json has no key armor"},
		{"official", llama, "not an ARMOR folder"},
		{"import", llama, "key compress_config: missing, want an object"},
		{"import", armor, "key compress_config: missing"},
		{"dense", official, "not an ARMOR folder"},
		{"dense", filepath.Join(t.TempDir(), "none"), "no such file"},
		{"pack", golden + "tiny-llama2.gguf", "got a file, want a model folder"},
	} {
		dst := filepath.Join(t.TempDir(), "new", "dst")
		wantLine(t, c.what+" "+c.src, run[c.what](c.src, dst, Options{}), c.words)
		if _, err := os.Stat(dst); !os.IsNotExist(err) {
			t.Errorf("%s %s left %s behind", c.what, c.src, dst)
		}
	}
	for what, src := range map[string]string{"dense": armor, "official": armor, "import": official} {
		before := snapshot(t, src)
		wantLine(t, what, run[what](src, src, Options{}), "inside it")
		wantLine(t, what, run[what](src, filepath.Join(src, "x"), Options{}), "inside it")
		full := t.TempDir()
		if err := os.WriteFile(filepath.Join(full, "precious"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		wantLine(t, what, run[what](src, full, Options{}), `not empty: it has "precious"`)
		if len(snapshot(t, full)) != 1 || !reflect.DeepEqual(snapshot(t, src), before) {
			t.Errorf("%s changed a folder that it refused", what)
		}
	}
	failed := errors.New("no report")
	dst := filepath.Join(t.TempDir(), "dst")
	_, err := Import(official, dst, Options{Report: func(*Result) ([]byte, error) { return nil, failed }})
	if !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(dst); !os.IsNotExist(err) {
		t.Errorf("left %s behind", dst)
	}
}
