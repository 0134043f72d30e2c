package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// example is a report of a model of so many layers, like a real one: losses
// fall with a power of the sweeps, and late layers are harder.
func example(layers int) *Report {
	r := rand.New(rand.NewPCG(1, uint64(layers)))
	const dim, hidden, kv = 2048, 8192, 512
	kinds := []struct {
		name    string
		out, in int64
	}{
		{"self_attn.q_proj", dim, dim}, {"self_attn.k_proj", kv, dim}, {"self_attn.v_proj", kv, dim}, {"self_attn.o_proj", dim, dim},
		{"mlp.gate_proj", hidden, dim}, {"mlp.up_proj", hidden, dim}, {"mlp.down_proj", dim, hidden},
	}
	rep := &Report{
		FormatVersion: FormatVersion,
		ArmorVersion:  "v0.4.0",
		Source:        Source{Model: "meta-llama/Llama-3.2-1B", Revision: "4e20de362430cd3b72f300e6b0f18e50e7166e08", Architecture: "LlamaForCausalLM", SHA256: strings.Repeat("3f", 32), Parameters: 1235814400, DType: "bf16"},
		Calibration:   &Calibration{File: "c4-train.00000-of-01024.jsonl.gz", SHA256: strings.Repeat("9c", 32), FileBytes: 319e6, Documents: 356317, DocumentsUsed: 612, Bytes: 1154321, Tokens: 262144, Samples: 128, SeqLen: 2048},
		Recipe:        json.RawMessage(`{"method":"armor","solver":"bcd","block":128,"sweeps":40,"core_dtype":"int8","loss":"diag","exceptions":[{"modules":"model.layers.0.self_attn.v_proj","keep":"dense"}]}`),
		Machine:       Machine{CPU: "Intel(R) Xeon(R) Platinum 8481C", ISA: "avx512", Threads: 16, Memory: 64 << 30, Peak: 5 << 30, OS: "linux", Arch: "amd64", Go: "go1.26.0"},
		Shards:        map[string]string{"model-00001-of-00002.safetensors": strings.Repeat("ab", 32), "model-00002-of-00002.safetensors": strings.Repeat("cd", 32)},
	}
	rest := int64(128256 * dim * 2)
	rep.BytesDense, rep.BytesPacked = rest, rest
	klSum := 0.0
	for l := range layers {
		for i, k := range kinds {
			m := Module{Name: fmt.Sprintf("model.layers.%d.%s", l, k.name), Method: "armor", Solver: "bcd", Block: [2]int{128, 128}, CoreDType: "int8", Sweeps: 40}
			if i == 1 {
				m.Block = [2]int{64, 128}
			}
			n := k.out * k.in
			m.LossStart = 0.08 + 0.05*r.Float64() + 0.03*float64(l)/float64(layers)
			power := 0.45 + 0.2*r.Float64()
			for s := range m.Sweeps + 1 {
				m.Losses = append(m.Losses, m.LossStart*math.Pow(1+float64(s), -power))
			}
			m.LossEnd = m.Losses[m.Sweeps]
			m.LossRounded = m.LossEnd * 1.01
			m.Seconds = float64(n) * 50e-9 * float64(m.Sweeps) / 16
			m.BytesDense, m.BytesValues, m.BytesIndex = 2*n, n/2, n/8
			m.BytesWrappers, m.BytesScales = 2*128*(k.out+k.in), n/64*2
			kl := m.LossEnd * (0.02 + 0.03*r.Float64()) * (1 + 3*math.Exp(-float64(l)/2))
			kept := (l == 0 || l == 1) && i == 2
			rep.BytesDense += m.BytesDense
			rep.Sensitivity = append(rep.Sensitivity, Sensitivity{Name: m.Name, KL: kl, KLPerWeight: kl / float64(n), KeptDense: kept})
			if kept {
				rep.BytesPacked += m.BytesDense
				continue
			}
			m.KL = &kl
			klSum += kl
			rep.Seconds += m.Seconds
			rep.BytesPacked += m.BytesPacked()
			rep.Modules = append(rep.Modules, m)
		}
	}
	measured, ratio := klSum*1.17, 1.118
	rep.Prediction = &Prediction{KLSum: klSum, PredictedPPLRatio: math.Exp(klSum), MeasuredKL: &measured, MeasuredPPLRatio: &ratio}
	rep.Eval = &Eval{File: "wiki.test.raw", SHA256: strings.Repeat("17", 32), Mode: "hf", Window: 2048, Windows: 141, Tokens: 288627, PPLDense: 9.754, PPLPacked: 10.905, PPLError: 0.068, KL: &measured, Top1: 0.871, BaselinePPL: 31.2}
	return rep
}

func html(t testing.TB, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRoundTrip(t *testing.T) {
	for _, r := range []*Report{example(30), {FormatVersion: FormatVersion, Modules: []Module{}, Shards: map[string]string{}}} {
		data, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Read(data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := back.JSON()
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("written again it differs, %v", err)
		}
		back.Recipe, r.Recipe = nil, nil // their white space differs
		if !reflect.DeepEqual(back, r) {
			t.Errorf("got %+v, want %+v", back, r)
		}
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "unexpected end"},
		{"{}", "format_version: absent, want 1"},
		{`{"format_version":2}`, "got 2, want 1"},
		{`{"format_version":1,"seconds":"a"}`, "seconds"},
		{`{"format_version":1,"bytes_dense":-1}`, "no negative size"},
		{`{"format_version":1,"bytes_dense":9,"bytes_packed":5,"modules":[{"name":"x","bytes_dense":5,"bytes_values":6}]}`, `module "x"`},
		{`{"format_version":1,"bytes_dense":9,"bytes_packed":9,"modules":[{"name":"x","bytes_values":-6,"bytes_index":6}]}`, "size of -6"},
	} {
		if _, err := Read([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := Read([]byte(`{"format_version":1,"later":{}}`)); err != nil {
		t.Errorf("a key of a later version: %v", err)
	}
}

func TestNotFinite(t *testing.T) {
	for want, change := range map[string]func(r *Report, x float64){
		"seconds":              func(r *Report, x float64) { r.Seconds = x },
		"o_proj\".loss_end":    func(r *Report, x float64) { r.Modules[8].LossEnd = x },
		"q_proj\".losses[2]":   func(r *Report, x float64) { r.Modules[0].Losses[2] = x },
		"q_proj\".kl":          func(r *Report, x float64) { r.Modules[0].KL = &x },
		"eval.ppl_dense":       func(r *Report, x float64) { r.Eval.PPLDense = x },
		"sensitivity[3].kl":    func(r *Report, x float64) { r.Sensitivity[3].KL = x },
		"prediction.kl_sum":    func(r *Report, x float64) { r.Prediction.KLSum = x },
		"measured_ppl_ratio: ": func(r *Report, x float64) { r.Prediction.MeasuredPPLRatio = &x },
	} {
		for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			r := example(2)
			change(r, x)
			if data, err := r.JSON(); err == nil || data != nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %v: JSON: got %v", want, x, err)
			}
			var b bytes.Buffer
			if err := r.HTML(&b); err == nil || b.Len() > 0 {
				t.Errorf("%s %v: HTML: got %v and %d bytes", want, x, err, b.Len())
			}
		}
	}
}

// TestSums: the parts of the bars are the whole.
func TestSums(t *testing.T) {
	for _, layers := range []int{1, 30} {
		r := example(layers)
		for _, b := range r.bars() {
			sum, width := int64(0), 0.0
			for _, p := range b.Parts {
				sum += p.Bytes
				width += p.Width
			}
			if sum != b.Bytes {
				t.Errorf("%s: the parts are %d bytes, want %d", b.Name, sum, b.Bytes)
			}
			if want := 100 * float64(b.Bytes) / float64(r.BytesDense); math.Abs(width-want) > 0.05 {
				t.Errorf("%s: got a width of %g %%, want %g", b.Name, width, want)
			}
		}
		packed := int64(0)
		for _, m := range r.Modules {
			packed += m.BytesPacked()
		}
		if bars := r.bars(); bars[1].Parts[4].Bytes != r.BytesPacked-packed {
			t.Errorf("the dense rest is %d bytes, want %d", bars[1].Parts[4].Bytes, r.BytesPacked-packed)
		}
	}
}

func TestEscaping(t *testing.T) {
	const evil = `model.layers.0.<script>alert(1)</script>"'><img src=x onerror=alert(2)>.%s.q_proj`
	r := example(2)
	clean := html(t, r)
	for i := range r.Modules {
		r.Modules[i].Name, r.Modules[i].Method, r.Modules[i].Solver, r.Modules[i].CoreDType = fmt.Sprintf(evil, r.Modules[i].Name), evil, evil, evil
	}
	for i := range r.Sensitivity {
		r.Sensitivity[i].Name = evil
	}
	r.Source = Source{Model: evil, Revision: evil, Architecture: evil, SHA256: evil, DType: evil}
	r.Machine = Machine{CPU: evil, ISA: evil, OS: evil}
	r.Calibration.File, r.Eval.File = evil, `</title></style></pre>`+evil
	r.Shards = map[string]string{evil: evil}
	r.Recipe, _ = json.Marshal(map[string]string{evil: evil})
	dirty := html(t, r)
	tags := regexp.MustCompile(`<(/?[a-z0-9!]+)`)
	known := map[string]bool{}
	for _, m := range tags.FindAllStringSubmatch(clean, -1) {
		known[m[1]] = true
	}
	for _, m := range tags.FindAllStringSubmatch(dirty, -1) {
		if !known[m[1]] {
			t.Errorf("the page has a tag <%s", m[1])
		}
	}
	for _, bad := range []string{"<script", "<img", `"'>`, "ZgotmplZ"} {
		if strings.Contains(dirty, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	if n := strings.Count(dirty, "</style>"); n != 1 {
		t.Errorf("%d ends of the style sheet", n)
	}
}

func TestSelfContained(t *testing.T) {
	for _, layers := range []int{0, 1, 30, 86} {
		p := html(t, example(layers))
		for _, bad := range []string{"http:", "https:", "url(", "@import", " src=", " href=", "<link", "<script", "NaN", "Inf", "ZgotmplZ", "%!"} {
			if strings.Contains(p, bad) {
				t.Errorf("%d layers: the page contains %q", layers, bad)
			}
		}
		if want := `name="viewport"`; !strings.Contains(p, want) {
			t.Errorf("no %s", want)
		}
		if len(p) > 1<<20 {
			t.Errorf("%d layers: a page of %d bytes", layers, len(p))
		}
	}
}

// TestChart: lines begin and end where the losses say.
func TestChart(t *testing.T) {
	c := lossCurves([]Module{
		{Name: "a", Sweeps: 10, Losses: []float64{0.1, 0.01}},
		{Name: "b", Sweeps: 5, LossStart: 0.1, LossEnd: 0.001},
		{Name: "none"},
	})
	// Two decades and 5 % of them at each end: 0.1 at 0.1/2.2, 0.001 at 2.1/2.2.
	for i, want := range []string{"M0 4.55L100 50", "M0 4.55L50 95.45"} {
		if c.Lines[i].Path != want {
			t.Errorf("got %s, want %s", c.Lines[i].Path, want)
		}
	}
	if len(c.Lines) != 2 || !strings.HasPrefix(c.Median, "M0 4.55L") {
		t.Errorf("got %d lines, median %s", len(c.Lines), c.Median)
	}
	if lossCurves([]Module{{Name: "a"}, {Name: "b", Losses: []float64{0, 0}}}) != nil {
		t.Error("curves without losses")
	}
	lossCurves([]Module{{Sweeps: math.MaxInt, Losses: []float64{math.MaxFloat64, 5e-324, -1}}, {Losses: []float64{1, 1}}})
}

func TestHeatMap(t *testing.T) {
	h := newHeatMap("", []value{
		{"model.layers.99999999999.mlp.up_proj", 1, false}, {"model.layers.2.self_attn.q_proj", 100, false},
		{"model.layers.2.mlp.up_proj", 10, false}, {"model.layers.3.x", 0, true}, {"lm_head", 5, false},
	})
	if h.Width != 3 || len(h.Rows) != 3 || h.Rows[0].Kind != "q_proj" || h.Rows[1].Kind != "up_proj" || !h.Dense {
		t.Fatalf("got %+v", h)
	}
	if up := h.Rows[1].Cells; up[0].X != 2 || up[0].Shade != 0.08 || up[1].Shade != 0.54 || h.Rows[0].Cells[0].Shade != 1 {
		t.Errorf("got %+v, want shades 0.08, 0.54 and 1", h.Rows)
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.0123456: "0.0123", 0.1: "0.1", 1: "1", 5.4321: "5.432", 123.45: "123.5", 1.5e-7: "1.5e-7", 1e5: "1e5", 2.346e12: "2.35e12", -0.05: "-0.05"} {
		if got := number(x); got != want {
			t.Errorf("%g: got %s, want %s", x, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0\u00a0B", 1023: "1023\u00a0B", 1536: "1.50\u00a0KiB", 5 << 30: "5.00\u00a0GiB"} {
		if got := size(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for s, want := range map[float64]string{0.5: "0.50 s", 61: "61 s", 125: "2 min 05 s", 3725: "1 h 02 min"} {
		if got := duration(s); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestWrite leaves pages to look at in the folder ARMOR_REPORT_OUT.
func TestWrite(t *testing.T) {
	dir := os.Getenv("ARMOR_REPORT_OUT")
	if dir == "" {
		t.Skip("ARMOR_REPORT_OUT is not set")
	}
	for name, r := range map[string]*Report{"30": example(30), "1": {Modules: example(2).Modules[:2], BytesDense: 1 << 30, BytesPacked: 1 << 29}, "86": example(86)} {
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(html(t, r)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
