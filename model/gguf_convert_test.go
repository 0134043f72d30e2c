package model_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/checkpoint"
	"armor/model/internal/gguftest"

	"github.com/x448/float16"
)

// ggml's numbers of types.
const (
	ggmlF32 = 0
	ggmlF16 = 1
	ggmlQ40 = 2
	ggmlQ41 = 3
	ggmlQ80 = 8
)

// encode stores x as a type, as badly as may be: it is read back the same.
func encode(kind uint32, x []float32) []byte {
	var b []byte
	le := binary.LittleEndian
	half := func(v float32) { b = le.AppendUint16(b, float16.Fromfloat32(v).Bits()) }
	switch kind {
	case ggmlF32:
		for _, v := range x {
			b = le.AppendUint32(b, math.Float32bits(v))
		}
		return b
	case ggmlF16:
		for _, v := range x {
			half(v)
		}
		return b
	}
	for ; len(x) > 0; x = x[32:] {
		most, least := float32(0), x[0]
		for _, v := range x[:32] {
			most, least = max(most, v, -v), min(least, v)
		}
		code := func(i int, d, from, to float64) byte {
			return byte(int8(min(to, max(from, math.Round(float64(x[i])/d)))))
		}
		switch kind {
		case ggmlQ80:
			half(most / 127)
			for i := range 32 {
				b = append(b, code(i, float64(most)/127, -127, 127))
			}
		case ggmlQ40:
			half(most / 7)
			for i := range 16 {
				b = append(b, (code(i, float64(most)/7, -8, 7)+8)|(code(i+16, float64(most)/7, -8, 7)+8)<<4)
			}
		case ggmlQ41: // codes that have nothing to do with x
			half(most / 7)
			half(least)
			for i := range 16 {
				b = append(b, byte(17*i))
			}
		}
	}
	return b
}

// converted is a folder of the golden files as a GGUF file: what a converter
// writes, with matrices of the type that kind gives for GGUF's name.
func converted(t *testing.T, folder, architecture string, kind func(name string) uint32) *gguftest.File {
	t.Helper()
	ck, err := checkpoint.OpenFolder(goldenPath(folder))
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	shape, err := model.ShapeOf(ck)
	c := shape.Config
	if err != nil {
		t.Fatal(err)
	}
	f := &gguftest.File{Keys: []gguftest.Key{{"general.architecture", architecture}}}
	for key, value := range map[string]any{"embedding_length": c.Dim, "block_count": c.Layers, "attention.head_count": c.Heads,
		"attention.head_count_kv": c.KVHeads, "attention.key_length": c.HeadDim, "attention.value_length": c.HeadDim,
		"feed_forward_length": c.FF, "context_length": c.Context, "attention.layer_norm_rms_epsilon": c.Eps,
		"rope.freq_base": float32(c.Rope.Theta)} {
		if n, ok := value.(int); ok {
			value = uint32(n)
		}
		f.Keys = append(f.Keys, gguftest.Key{architecture + "." + key, value})
	}
	f.Keys = append(f.Keys, vocabularyKeys(t, ck, c.Vocab)...)
	for _, name := range ck.Names() {
		if c.Tied && name == "lm_head.weight" {
			continue
		}
		w, _ := ck.Tensor(name)
		x := make([]float32, w.Rows()*w.Cols())
		if err := w.ReadRows(x, 0, w.Rows()); err != nil {
			t.Fatal(err)
		}
		stored := storedName(name)
		to := uint32(ggmlF32)
		if len(w.Shape) == 2 {
			to = kind(stored)
			if strings.Contains(stored, "attn_q.") && architecture == "llama" {
				x = interleaved(x, c.Heads, w.Cols())
			}
			if strings.Contains(stored, "attn_k.") && architecture == "llama" {
				x = interleaved(x, c.KVHeads, w.Cols())
			}
		}
		dims := []uint64{uint64(w.Cols()), uint64(w.Rows())}[:len(w.Shape)]
		f.Tensors = append(f.Tensors, gguftest.NewTensor(stored, dims, to, encode(to, x)))
	}
	return f
}

// interleaved moves rows as llama.cpp's converter does.
func interleaved(x []float32, heads, cols int) []float32 {
	out := make([]float32, 0, len(x))
	dim := len(x) / cols / heads
	for r := range len(x) / cols {
		head, i := r/dim, r%dim
		from := head*dim + i%2*(dim/2) + i/2
		out = append(out, x[from*cols:(from+1)*cols]...)
	}
	return out
}

func storedName(name string) string {
	return strings.NewReplacer("model.layers.", "blk.", "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output",
		"input_layernorm", "attn_norm", "post_attention_layernorm", "ffn_norm", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k",
		"self_attn.v_proj", "attn_v", "self_attn.o_proj", "attn_output", "self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm",
		"mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down").Replace(name)
}

func vocabularyKeys(t *testing.T, ck *checkpoint.Checkpoint, vocab int) []gguftest.Key {
	t.Helper()
	tok, err := model.LoadTokenizer(ck)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ck.File("tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Model struct{ Merges [][2]string } }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	tokens, types, merges := make([]string, vocab), make([]int32, vocab), []string{}
	for id := range tokens {
		tokens[id], _ = tok.Token(int32(id))
		types[id] = 1
		if tok.IsSpecial(int32(id)) {
			types[id] = 3
		}
	}
	for _, m := range file.Model.Merges {
		merges = append(merges, m[0]+" "+m[1])
	}
	return []gguftest.Key{{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.pre", "qwen2"}, {"tokenizer.ggml.tokens", tokens},
		{"tokenizer.ggml.token_type", types}, {"tokenizer.ggml.merges", merges}, {"tokenizer.ggml.eos_token_id", uint32(vocab - 1)}}
}

func writeGGUF(t *testing.T, f *gguftest.File) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, f.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func always(kind uint32) func(string) uint32 { return func(string) uint32 { return kind } }

// TestConvertedGGUF: biases, norms of q and k, head_dim, tied and not.
func TestConvertedGGUF(t *testing.T) {
	cases := goldenCases(t, "tiny_logits.json")
	for folder, architecture := range map[string]string{"tiny-llama": "llama", "tiny-qwen2": "qwen2", "tiny-qwen3": "qwen3"} {
		t.Run(folder, func(t *testing.T) {
			path := writeGGUF(t, converted(t, folder, architecture, always(ggmlF32)))
			e := newEngine(t, path, kernels.Options{ISA: kernels.BestISA(), Threads: 2})
			if e.m.Architecture != architecture || len(e.m.Generation.Stop) == 0 {
				t.Errorf("architecture %s, stops at %v", e.m.Architecture, e.m.Generation.Stop)
			}
			for _, c := range cases[folder] {
				e.golden(&c, 1e-4)
			}
		})
	}
}

// TestMixedGGUF: layers that read the same input are each kept as they are, and
// what is kept exactly computes as the dequantized weights do.
func TestMixedGGUF(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    func(name string) uint32
		storage string
		exact   bool
	}{
		{"Q4_0", always(ggmlQ40), "Q4_0 as int4 in groups of 32, exactly", true},
		{"Q8_0 with Q4_0", func(name string) uint32 {
			if strings.Contains(name, "attn_v") || strings.Contains(name, "ffn_up") {
				return ggmlQ80
			}
			return ggmlQ40
		}, "Q4_0 as int4 in groups of 32, exactly; Q8_0 as int8 in groups of 32, exactly", true},
		{"F16 with Q4_0", func(name string) uint32 {
			if strings.Contains(name, "attn_v") {
				return ggmlF16
			}
			return ggmlQ40
		}, "F16 as f32; Q4_0 as int4 in groups of 32, exactly", true},
		{"Q4_1 with Q4_0", func(name string) uint32 {
			if strings.Contains(name, "attn_v") {
				return ggmlQ41
			}
			return ggmlQ40
		}, "Q4_0 as int4 in groups of 32, exactly; Q4_1 as int8 in groups of 32, rounded", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeGGUF(t, converted(t, "tiny-llama", "llama", c.kind))
			tokens := []int32{5, 17, 99, 3, 250, 400, 31, 8}
			run := func(weights string) (*engine, [][]float32) {
				e := newEngineWith(t, path, kernels.Options{ISA: kernels.BestISA(), Threads: 2}, model.Options{Weights: weights})
				n := len(tokens)
				return e, e.run(&kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: n, Pages: e.pages(n)}}, Out: all(n)})
			}
			e, got := run("auto")
			if e.m.Storage != c.storage {
				t.Errorf("%s, want %s", e.m.Storage, c.storage)
			}
			f32, want := run("f32")
			worst := 0.0
			for i := range want {
				for id := range want[i] {
					worst = max(worst, math.Abs(float64(got[i][id]-want[i][id])))
				}
			}
			t.Logf("largest difference of a logit from f32's: %.3g; %d bytes, f32 %d", worst, e.m.Decoder.WeightBytes(), f32.m.Decoder.WeightBytes())
			if bound := map[bool]float64{true: 1e-4, false: 1}[c.exact]; !(worst <= bound) {
				t.Errorf("more than %g", bound)
			}
		})
	}
}

// TestGGUFMemory: codes take what they take in the file.
func TestGGUFMemory(t *testing.T) {
	for kind, bits := range map[uint32]float64{ggmlQ40: 4.5, ggmlQ80: 8.5} {
		f := converted(t, "tiny-llama", "llama", always(kind))
		e := newEngine(t, writeGGUF(t, f), kernels.Options{ISA: kernels.BestISA()})
		stored := 0
		for _, tensor := range f.Tensors {
			if len(tensor.Dims) == 2 {
				stored += len(tensor.Data)
			}
		}
		if got := e.m.Decoder.WeightBytes(); float64(got) > 1.05*float64(stored) {
			t.Errorf("%g bits: weights take %d bytes, %d in the file", bits, got, stored)
		}
	}
}
