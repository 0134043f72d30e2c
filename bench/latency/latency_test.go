package latency

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"armor/kernels"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// tinyConfig is a Llama of two layers whose matrices are whole tiles.
var tinyConfig = []byte(`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
	"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
	"intermediate_size": 128, "vocab_size": 256, "max_position_embeddings": 64, "tie_word_embeddings": true}`)

func tiny(name string, w nn.Weights, p *Pruning) Subject {
	return Subject{Name: name, Weights: w, Against: p == nil,
		Open: func() (*checkpoint.Checkpoint, error) { return RandomModel("tiny", tinyConfig, p) }}
}

func options(subjects ...Subject) Options {
	return Options{Subjects: subjects, Prompt: 20, Generate: 3, Batch: []int{1, 2}, Repetitions: 3, Threads: []int{1}, KV: kernels.BF16,
		StreamBytes: -1, Backend: func(threads int) (kernels.Backend, error) {
			return kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Compute: kernels.BF16, Threads: threads})
		}}
}

func report(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), "tiny", o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBytes counts by hand what a step reads.
func TestBytes(t *testing.T) {
	const (
		rows   = 64 + 2*32 + 2*128 // q, k, v, gate and up read 64 inputs
		linear = rows*64 + 64*64 + 64*128
		head   = 256 * 64
		norms  = 5 * 64 * 4
		block  = 16
		// A's blocks are [d_out, block], B's [d_in, block], one for each module.
		wrappers = (rows+64+64)*block + (5*64+64+128)*block
		sharedB  = (rows+64+64)*block + (2*64+64+128)*block
	)
	r := report(t, options(
		tiny("bf16", nn.WeightsBF16, nil), tiny("f32", nn.WeightsF32, nil), tiny("int8", nn.WeightsInt8, nil), tiny("int4", nn.WeightsInt4, nil),
		tiny("core", nn.WeightsAuto, &Pruning{}), tiny("armor", nn.WeightsAuto, &Pruning{Block: block}),
		tiny("shared", nn.WeightsAuto, &Pruning{Block: block, ShareB: true})))
	want := map[string]int64{ // of linear layers, head and one row of the embedding, in sixteenths of a byte
		"bf16": 32 * (2*linear + head + 64), "f32": 64 * (2*linear + head + 64),
		"int8": 17 * (2*linear + head + 64), "int4": 9 * (2*linear + head + 64),
		"core":   18*2*linear + 32*(head+64),
		"armor":  18*2*linear + 32*(2*wrappers+head+64),
		"shared": 18*2*linear + 32*(2*sharedB+head+64),
	}
	for _, m := range r.Models {
		if got := m.TokenBytes - norms; 16*got != want[m.Name] {
			t.Errorf("%s: got %d bytes for a token, want %v", m.Name, got, float64(want[m.Name])/16)
		}
		if m.Armor != slices.Contains([]string{"core", "armor", "shared"}, m.Name) {
			t.Errorf("%s: armor: got %v", m.Name, m.Armor)
		}
	}
	const kv = 2 * 2 * 2 * 16 * 2 // layers, k and v, heads, dimension, bf16
	for _, x := range r.Rows {
		if x.Test == Decode && x.KVBytes != int64(kv*22*x.Batch) { // 21, 22 and 23 positions
			t.Errorf("%s × %d: got %d bytes of keys and values, want %d", x.Model, x.Batch, x.KVBytes, kv*22*x.Batch)
		}
	}
	q := r.ratio("core", "bf16", 1, Decode, 2)
	bound := (float64(want["bf16"]+32*64)/16 + norms + kv*44) / (float64(want["core"]+32*64)/16 + norms + kv*44)
	if math.Abs(q.ByteBound-bound) > 1e-12 || math.Abs(q.BoundShare*bound-q.Ratio) > 1e-9 {
		t.Errorf("got a bound of %v and %v of it for a ratio of %v, want a bound of %v", q.ByteBound, q.BoundShare, q.Ratio, bound)
	}
}

// TestTurns: in each repetition every model runs once, each time another first;
// medians, deviations and ratios follow from the clock.
func TestTurns(t *testing.T) {
	o := options(tiny("dense", nn.WeightsBF16, nil), tiny("armor", nn.WeightsAuto, &Pruning{Block: 16}))
	o.Batch = []int{2}
	var order []string
	step, clock := time.Duration(0), time.Unix(0, 0)
	o.Progress = func(s Step) {
		order = append(order, fmt.Sprint(s.Test, s.Repetition, s.Model))
		step = map[string][]time.Duration{"dense": {40, 10, 20}, "armor": {5, 20, 80}}[s.Model][s.Repetition] * time.Second
	}
	o.now = func() time.Time { clock = clock.Add(step); return clock }
	r := report(t, o)
	var want []string
	for _, test := range []Test{Prefill, Decode} {
		for i, pair := range [][2]string{{"dense", "armor"}, {"armor", "dense"}, {"dense", "armor"}} {
			want = append(want, fmt.Sprint(test, i, pair[0]), fmt.Sprint(test, i, pair[1]))
		}
	}
	if !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
	for _, x := range r.Rows {
		if seconds := map[string][]float64{"dense": {40, 10, 20}, "armor": {5, 20, 80}}[x.Model]; !slices.Equal(x.Seconds, seconds) {
			t.Errorf("%s: got %v seconds, want %v", x.Model, x.Seconds, seconds)
		}
		tokens := map[Test]float64{Prefill: 20, Decode: 6}[x.Test]
		if x.Speed != tokens/20 { // the median of both is 20 s
			t.Errorf("%s, %s: got %v tokens/s, want %v", x.Model, x.Test, x.Speed, tokens/20)
		}
		if x.Test == Decode && x.BytesPerSecond != float64(x.WeightBytes+x.KVBytes)*3/20 {
			t.Errorf("%s: got %v bytes/s of %d a step", x.Model, x.BytesPerSecond, x.WeightBytes+x.KVBytes)
		}
	}
	q := r.Ratios[0] // of the repetitions: 8, 0.5 and 0.25
	if mean := 8.75 / 3; q.Ratio != 1 || math.Abs(q.Deviation-math.Sqrt((math.Pow(8-mean, 2)+math.Pow(0.5-mean, 2)+math.Pow(0.25-mean, 2))/2)) > 1e-12 {
		t.Errorf("got %+v", q)
	}
}

// TestNoGain: what is slower is said, once for all batches.
func TestNoGain(t *testing.T) {
	o := options(tiny("dense", nn.WeightsBF16, nil), tiny("armor", nn.WeightsAuto, &Pruning{Block: 16}))
	step, clock := time.Duration(0), time.Unix(0, 0)
	o.Progress = func(s Step) {
		step = time.Second
		if s.Model == "armor" && s.Test == Decode {
			step = 2 * time.Second
		}
	}
	o.now = func() time.Time { clock = clock.Add(step); return clock }
	r := report(t, o)
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "no gain here: armor against dense, decode, 1 thread: 0.50 × with 1 sequence (bytes allow ") ||
		!strings.Contains(r.Notes[0], "), 0.50 × with 2 sequences (bytes allow ") {
		t.Errorf("got %q", r.Notes)
	}
	var out bytes.Buffer
	if err := r.Write(&out, "md"); err != nil || !strings.Contains(out.String(), "- no gain here: ") {
		t.Errorf("got %v in %q", err, out.String())
	}
}

func TestStatistics(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("got %v, want 5", got)
	}
	if got := median([]float64{9, 1, 5, 2}); got != 3.5 {
		t.Errorf("got %v, want 3.5", got)
	}
	if mean, d := meanAndDeviation([]float64{2, 4, 4, 4, 5, 5, 7, 9}); mean != 5 || math.Abs(d-math.Sqrt(32./7)) > 1e-12 {
		t.Errorf("got %v ± %v", mean, d)
	}
	if mean, d := meanAndDeviation([]float64{3}); mean != 3 || d != 0 {
		t.Errorf("got %v ± %v, want 3 ± 0", mean, d)
	}
}

// TestStreaming: shares are of what was measured in the same repetitions.
func TestStreaming(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 192 MiB")
	}
	o := options(tiny("dense", nn.WeightsBF16, nil))
	o.StreamBytes = 192 << 20
	for _, x := range report(t, o).Rows {
		if x.Test == Prefill && x.StreamingAll == nil {
			continue
		}
		if len(x.StreamingAll) != 3 || x.Streaming != median(x.StreamingAll) || math.Abs(x.StreamingShare*x.Streaming/x.BytesPerSecond-1) > 1e-12 {
			t.Errorf("%s × %d: got %v of %v, share %v", x.Test, x.Batch, x.Streaming, x.StreamingAll, x.StreamingShare)
		}
	}
}

// TestSteps: a step allocates nothing, and a prompt of several steps ends with
// the logits of its last token.
func TestSteps(t *testing.T) {
	o := options(tiny("armor", nn.WeightsAuto, &Pruning{Block: 16}))
	o.Prompt = stepRows + 7
	b, err := o.Backend(2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g := &rig{o: &o, b: b}
	if err := g.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	decode := g.newRun(&g.models[0], Decode, 2)
	if n := testing.AllocsPerRun(10, func() { err = decode.step(1) }); n != 0 || err != nil {
		t.Errorf("a step allocates %v times (%v)", n, err)
	}
	prefill := g.newRun(&g.models[0], Prefill, 1)
	if err := prefill.once(); err != nil {
		t.Fatal(err)
	}
	if got := prefill.batch.Out; !slices.Equal(got, []int32{6}) {
		t.Errorf("rows with logits: got %v, want the last of 7", got)
	}
	logits := make([]float32, 256)
	for i, x := range []*run{decode, prefill} {
		if err := b.Download(logits, x.m.logits, 0); err != nil {
			t.Fatal(err)
		}
		for _, v := range logits {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("run %d: a logit is %v", i, v)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	dense := tiny("dense", nn.WeightsBF16, nil)
	other, err := WithLayers(tinyConfig, 1)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"no models":             func(o *Options) { o.Subjects = nil },
		"two models are called": func(o *Options) { o.Subjects = append(o.Subjects, dense) },
		"nothing to measure":    func(o *Options) { o.Prompt, o.Generate = 0, 0 },
		"batch: got 0":          func(o *Options) { o.Batch = []int{0} },
		"batch: 2 is given":     func(o *Options) { o.Batch = []int{2, 1, 2} },
		"prompt: got":           func(o *Options) { o.Prompt = -1 },
		"repetitions: got 0":    func(o *Options) { o.Repetitions = 0 },
		"threads: got 9999":     func(o *Options) { o.Threads = []int{9999} },
		"layers differs, 1 and 2": func(o *Options) {
			o.Subjects = append(o.Subjects, Subject{Name: "short", Open: func() (*checkpoint.Checkpoint, error) { return RandomModel("short", other, &Pruning{}) }})
		},
	} {
		o := options(dense)
		change(&o)
		if _, err := Run(t.Context(), "", o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line with %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, "", options(dense)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if free := freeMemory(); free > 0 {
		o := options(dense)
		o.Prompt, o.Batch = MaxTokens, []int{MaxBatch}
		if _, err := Run(t.Context(), "", o); err == nil || !strings.Contains(err.Error(), "GiB is free") {
			t.Errorf("4 billion positions: got %v", err)
		}
	}
}

// TestKeys: JSON, JSONL and CSV have the keys that scripts rely on.
func TestKeys(t *testing.T) {
	r := report(t, options(tiny("dense, bf16", nn.WeightsBF16, nil), tiny("armor", nn.WeightsAuto, &Pruning{Block: 16})))
	print := func(format string) string {
		var out bytes.Buffer
		if err := r.Write(&out, format); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	lines := strings.Split(strings.TrimSpace(print("csv")), "\n")
	if lines[0] != strings.Join(columns, ",") || len(lines) != 1+2*3 {
		t.Errorf("csv: got %d lines, the first %q", len(lines), lines[0])
	}
	lines = strings.Split(strings.TrimSpace(print("jsonl")), "\n")
	if len(lines) != 2*3 {
		t.Fatalf("jsonl: got %d lines, want 6", len(lines))
	}
	for i, line := range lines {
		at := -1
		for _, key := range columns {
			next := strings.Index(line, `"`+key+`":`)
			if next <= at {
				t.Fatalf("jsonl: no %s in its place in %s", key, line)
			}
			at = next
		}
		var x record
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}
		if (x.Ratio != nil) != (x.Model == "armor") || (x.ByteBound != nil) != (x.Model == "armor" && x.Test == Decode) || x.Speed != r.Rows[i].Speed {
			t.Errorf("jsonl: got %s", line)
		}
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(print("json")), &back); err != nil {
		t.Fatal(err)
	}
	for object, keys := range map[string]string{
		"machine":  "cpu processors system",
		"settings": "batch generate kv prompt repetitions threads",
		"models":   "armor head_bytes head_kernel kernel kv_token_bytes layers name storage token_bytes weight_bytes",
		"rows":     "backend batch deviation mean model seconds test threads tokens tokens_per_second",
		"ratios":   "against batch deviation model ratio test threads",
	} {
		value, _ := back[object].(map[string]any)
		if list, ok := back[object].([]any); ok {
			value = list[0].(map[string]any)
		}
		var got []string
		for key := range value {
			got = append(got, key)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != keys {
			t.Errorf("json: %s has %v, want %s", object, got, keys)
		}
	}
	if err := r.Write(&bytes.Buffer{}, "xml"); err == nil {
		t.Error("xml was written")
	}
	if md := print("md"); !strings.Contains(md, "| armor : dense, bf16 |") || !strings.Contains(md, "decode × 2 |") {
		t.Errorf("md: got\n%s", md)
	}
}

// TestBars: a model's bars are those of its type and instruction set.
func TestBars(t *testing.T) {
	r := &Report{Settings: Settings{Prompt: 512, Generate: 8, Batch: []int{1, 4}},
		Models: []Model{{Name: "d8", Type: "int8"}, {Name: "d16", Type: "bf16"}, {Name: "a8", Type: "int8", Armor: true}, {Name: "a16", Type: "bf16", Armor: true}},
		Rows:   []Row{{Model: "a8", Backend: "cpu amx, bf16, 2 threads", Test: Decode, Batch: 1, StreamingShare: 0.89, Threads: 2, Speed: 13}, {Model: "a8", Test: Decode, Batch: 1, Threads: 3, Speed: 9.9}},
		Ratios: []Ratio{
			{Model: "a8", Against: "d8", Test: Decode, Batch: 1, Ratio: 1.2, ByteBound: 1.3, BoundShare: 0.92},
			{Model: "a8", Against: "d16", Test: Decode, Batch: 1, Ratio: 2, ByteBound: 4, BoundShare: 0.5}, // not of its type
			{Model: "a8", Against: "d8", Test: Decode, Batch: 4, Ratio: 1.2},                               // only bf16 has one
			{Model: "a16", Against: "d16", Test: Decode, Batch: 4, Ratio: 1.44},
			{Model: "a16", Against: "d16", Test: Prefill, Batch: 1, Ratio: 0.95},
		}}
	var got []string
	for _, b := range append(r.Bars(), r.ThreadBars()...) {
		got = append(got, fmt.Sprint(b.Model, " ", b.Got, " ", b.Want, " ", b.Met()))
	}
	want := []string{"a8 0.89 0.9 false", "a8 : d8 0.92 0.9 true", "a16 : d16 1.44 1.45 false", "a16 : d16 0.95 0.95 true", "a8 1.3131313131313131 1.3 false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Rows[0].Backend = "cpu avx2, bf16, 2 threads"
	for _, b := range r.Bars() {
		if b.Model == "a16 : d16" && b.Want != 1.4 && b.Want != 1.2 {
			t.Errorf("AVX2: got %+v", b)
		}
	}
}
