package prune

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/prune/folder"
	"armor/prune/report"
	"armor/prune/solve"
)

// readReport reads the report of a folder.
func readReport(t *testing.T, dir string) *report.Report {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "armor_report.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// load loads a folder and gives how its matrices are kept.
func load(t *testing.T, dir string) string {
	t.Helper()
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := model.Load(dir, b, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Storage
}

// checkSizes requires the report's sizes to be those on disk.
func checkSizes(t *testing.T, dir string) {
	t.Helper()
	r := readReport(t, dir)
	ck, err := checkpoint.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	total, scales, of := int64(0), map[string]int64{}, map[string]int64{}
	for _, name := range ck.Names() {
		x, _ := ck.Tensor(name)
		total += x.Bytes()
		module := name[:strings.LastIndex(name, ".")]
		of[module] += x.Bytes()
		if strings.HasSuffix(name, "scales") {
			scales[module] += x.Bytes()
		}
	}
	if r.BytesPacked != total {
		t.Errorf("%s: bytes_packed: got %d, on disk are %d", dir, r.BytesPacked, total)
	}
	for i := range r.Modules {
		m := &r.Modules[i]
		if m.BytesPacked() != of[m.Name] || m.BytesScales != scales[m.Name] {
			t.Errorf("%s: %s: got %d bytes, scales %d, on disk are %d, %d", dir, m.Name, m.BytesPacked(), m.BytesScales, of[m.Name], scales[m.Name])
		}
	}
}

// A job whose folder is in integers is resumed to the same bytes, its reports and
// sizes are right, and the folder runs and can be multiplied out.
func TestRunInIntegers(t *testing.T) {
	text := text(t)
	for _, types := range []Types{{Core: "int4", Wrappers: "int8", Head: "int8"}, {Core: "int8", Head: "int4"}} {
		settings := func(j *Job) { j.Recipe.Types = types; j.Recipe.Block = 32 }
		want := whole(t, text, settings)
		checkSizes(t, want)
		coded := 0
		for _, m := range readReport(t, want).Modules {
			if m.CoreDType == types.Core {
				coded++
			}
			if !(m.LossRounded > 0 && m.LossRounded < m.LossStart) {
				t.Errorf("%s: loss %v, NoWag-P's is %v", m.Name, m.LossRounded, m.LossStart)
			}
		}
		if coded < 8 {
			t.Errorf("%+v: %d modules have such cores", types, coded)
		}
		if storage := load(t, want); !strings.Contains(storage, types.Core+" as ") && !strings.Contains(storage, types.Core) ||
			!strings.Contains(storage, types.Head+" as "+types.Head+" in groups of 32, exactly") {
			t.Errorf("storage: %s", storage)
		}
		dense := filepath.Join(t.TempDir(), "dense")
		if err := folder.ExportDense(want, dense, folder.Options{}); err != nil {
			t.Fatal(err)
		}
		load(t, dense)

		target := filepath.Join(t.TempDir(), "out")
		stop, cancel := context.WithCancel(t.Context())
		j := newJob(target, text)
		settings(j)
		j.Progress = func(e Event) {
			if e.Phase == "prune" {
				cancel()
			}
		}
		if err := j.Run(stop); !errors.Is(err, ErrStopped) {
			t.Fatalf("got %v, want it stopped", err)
		}
		j, err := Unfinished(target)
		if err != nil {
			t.Fatal(err)
		}
		j.Compute = Compute{ISA: kernels.BestISA(), Threads: 1}
		if err := j.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		same(t, "resumed", target, want)
	}
}

// Quantizing a folder with the dense model beside it gives the bytes of a job that
// did so at once.
func TestQuantizeFolder(t *testing.T) {
	text := text(t)
	types := Types{Core: "int4", Wrappers: "int8", Head: "int8", Rounding: solve.Descent}
	source := whole(t, text, func(j *Job) { j.Recipe.Block = 32 })
	at := whole(t, text, func(j *Job) { j.Recipe.Types = types; j.Recipe.Block = 32 })
	before := files(t, source)
	quantize := func(change func(*Quantization)) (string, error) {
		q := &Quantization{Source: source, Target: filepath.Join(t.TempDir(), "out"), Types: types,
			Samples: 3, SeqLen: 40, Compute: Compute{ISA: kernels.BestISA(), Threads: 2}}
		change(q)
		return q.Target, q.Run(t.Context())
	}
	for name, change := range map[string]func(*Quantization){
		"alone":          func(*Quantization) {},
		"plain":          func(q *Quantization) { q.Types.Rounding = solve.Plain },
		"head alone":     func(q *Quantization) { q.Types = Types{Head: "int4"} },
		"with text":      func(q *Quantization) { q.Calib = text },
		"dense, no text": func(q *Quantization) { q.Dense = tiny },
	} {
		dir, err := quantize(change)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkSizes(t, dir)
		load(t, dir)
	}
	dir, err := quantize(func(q *Quantization) { q.Dense, q.Calib = tiny, text })
	if err != nil {
		t.Fatal(err)
	}
	if a, b := files(t, dir)["model.safetensors"], files(t, at)["model.safetensors"]; a != b {
		t.Error("other weights than those of a job that quantized at once")
	}
	for name, data := range files(t, source) {
		if before[name] != data {
			t.Errorf("the source's %s has changed", name)
		}
	}
	for words, change := range map[string]func(*Quantization){
		"not an ARMOR folder":             func(q *Quantization) { q.Source = tiny },
		"got int4 with wrappers in int8":  func(q *Quantization) { q.Source = at },
		"core_dtype: got \"int3\"":        func(q *Quantization) { q.Types.Core = "int3" },
		"their sizes differ":              func(q *Quantization) { q.Dense = "../testdata/golden/tiny-llama" },
		"int8_above: a layer has no loss": func(q *Quantization) { q.Types.Int8Above = 1.5 },
		"int8_above: got 0.5":             func(q *Quantization) { q.Types.Int8Above = 0.5 },
		"rounding: got \"up\"":            func(q *Quantization) { q.Types.Rounding = "up" },
		"inside it":                       func(q *Quantization) { q.Target = filepath.Join(source, "x") },
		"no such file":                    func(q *Quantization) { q.Calib = "nowhere.txt" },
		"got a GGUF file":                 func(q *Quantization) { q.Source = "../testdata/golden/tiny-llama2.gguf" },
	} {
		target, err := quantize(change)
		if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %q in it", err, words)
		}
		if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: left behind (%v)", words, err)
		}
	}
}

// Where int4 would raise the loss by more than the bound, cores are in int8: all of
// them with a bound of nothing, none with a vast one.
func TestInt8Above(t *testing.T) {
	text := text(t)
	for above, want := range map[float64]string{1: "int8", 1e6: "int4"} {
		dir := whole(t, text, func(j *Job) {
			j.Recipe.Types = Types{Core: "int4", Rounding: solve.Plain, Int8Above: above}
		})
		for _, m := range readReport(t, dir).Modules {
			if strings.Contains(m.Name, "down_proj") { // 160 inputs: bf16
				continue
			}
			if m.CoreDType != want {
				t.Errorf("above %v: %s is in %s, want %s", above, m.Name, m.CoreDType, want)
			}
		}
		load(t, dir)
	}
}

// The tighter the bound on perplexity, the more cores are in int8.
func TestQuantizeMaxPPL(t *testing.T) {
	text := text(t)
	source := whole(t, text, func(j *Job) { j.Recipe.Block = 32 })
	predicted := 0.0
	quantize := func(change func(*Quantization)) (string, error) {
		q := &Quantization{Source: source, Target: filepath.Join(t.TempDir(), "out"), Types: Types{Core: "int4", Rounding: solve.Plain},
			Dense: tiny, Calib: text, Samples: 3, SeqLen: 64, MaxPPL: 0.05, Tokens: 64, Compute: Compute{ISA: min(kernels.BestISA(), kernels.AVX512), Threads: 2}}
		change(q)
		err := q.Run(t.Context())
		predicted = q.Predicted
		return q.Target, err
	}
	last := -1
	for _, most := range []float64{1e6, 1e-3, 1e-9} {
		dir, err := quantize(func(q *Quantization) { q.MaxPPL = most })
		if err != nil {
			t.Fatal(err)
		}
		checkSizes(t, dir)
		load(t, dir)
		count := map[string]int{}
		for _, m := range readReport(t, dir).Modules {
			count[m.CoreDType]++
		}
		t.Logf("%v: %v", most, count)
		if count["int8"] <= last || count["int8"]+count["int4"] != 12 { // two down_proj of 160 inputs are in bf16
			t.Errorf("bound %v: cores %v, after %d in int8", most, count, last)
		}
		if predicted < 0 || predicted > most {
			t.Errorf("bound %v: predicts %v", most, predicted)
		}
		last = count["int8"]
	}
	if last < 10 {
		t.Errorf("with a bound of next to nothing %d cores are in int8", last)
	}
	for words, change := range map[string]func(*Quantization){
		"max_ppl: want core_dtype int4":   func(q *Quantization) { q.Types.Core = "int8" },
		"max_ppl: want no int8_above":     func(q *Quantization) { q.Types.Int8Above = 1.5 },
		"max_ppl: want calibration text":  func(q *Quantization) { q.Calib = "" },
		"budget: got -1, want a positive": func(q *Quantization) { q.MaxPPL = -1 },
		"budget: got 3 tokens":            func(q *Quantization) { q.Tokens = 3 },
	} {
		if _, err := quantize(change); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q in it", err, words)
		}
	}
}

// A layer in codes comes back from its file as it was, and other lengths are refused.
func TestLayerFileOfCodes(t *testing.T) {
	dir := whole(t, text(t), func(j *Job) { j.Recipe.Types = Types{Core: "int8", Wrappers: "int8"}; j.Recipe.Block = 32 })
	ck, err := checkpoint.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	c, err := armorfmt.ReadConfig(ck)
	if err != nil {
		t.Fatal(err)
	}
	l := &solve.Layer{}
	for _, bits := range []int{8, 4} {
		m, err := armorfmt.Open(ck, c, "model.layers.0.mlp.gate_proj", 160, 64)
		if err != nil {
			t.Fatal(err)
		}
		if l, err = readLayer(m); err != nil {
			t.Fatal(err)
		}
		l.Core = &solve.Codes{Bits: bits, Codes: make([]int8, len(l.Values)), Scales: make([]uint16, len(l.Values)/32)}
		l.CodesA = &solve.Codes{Bits: 8, Codes: make([]int8, len(l.A)), Scales: make([]uint16, l.Out)}
		l.CodesB = &solve.Codes{Bits: 8, Codes: make([]int8, len(l.B)), Scales: make([]uint16, l.In)}
		for _, c := range []*solve.Codes{l.Core, l.CodesA, l.CodesB} {
			for i := range c.Codes {
				c.Codes[i] = int8(i%16 - 8)
			}
			for i := range c.Scales {
				c.Scales[i] = uint16(0x3000 + i)
			}
		}
		l.Core.Values(l.Values)
		l.CodesA.Values(l.A)
		l.CodesB.Values(l.B)
		data, err := encodeLayer(l)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeLayer(data, l.Out, l.In)
		if err != nil {
			t.Fatal(err)
		}
		again, err := encodeLayer(got)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%d bits: comes back otherwise, error %v", bits, err)
		}
		if _, err := decodeLayer(data[:len(data)-1], l.Out, l.In); err == nil || !strings.Contains(err.Error(), "bytes of data, want") {
			t.Errorf("a byte less: %v", err)
		}
		bad := bytes.Replace(data, []byte(`"WrapperBits":8`), []byte(`"WrapperBits":4`), 1)
		if _, err := decodeLayer(bad, l.Out, l.In); err == nil || !strings.Contains(err.Error(), "codes: got") {
			t.Errorf("wrappers in int4: %v", err)
		}
	}
}
