package qwen

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/model/nn"
)

// tiny is a valid config of either family.
const tiny = `{"hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":160,
	"vocab_size":512,"rope_theta":1000000.0,"sliding_window":256,"use_sliding_window":false,"max_window_layers":1,"hidden_act":"silu"}`

func parse(t *testing.T, modelType string, change map[string]any) (Config, error) {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(tiny), &all); err != nil {
		t.Fatal(err)
	}
	all["model_type"] = modelType
	all["architectures"] = []string{"Q" + modelType[1:] + "ForCausalLM"}
	for k, v := range change {
		all[k] = v
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return ParseConfig(data)
}

func TestFolders(t *testing.T) {
	rope := nn.RopeConfig{Theta: 1e6}
	const golden = "../../testdata/golden/"
	folders := map[string]Config{
		golden + "tiny-qwen2": {Config: nn.Config{Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FF: 160, Vocab: 512,
			Context: 512, Eps: 1e-6, Tied: true, Rope: rope}, QKVBias: true},
		golden + "tiny-qwen3": {Config: nn.Config{Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 32, FF: 160, Vocab: 512,
			Context: 512, Eps: 1e-6, Rope: rope}, QKNorm: true},
	}
	if models := os.Getenv("ARMOR_MODELS"); models != "" {
		folders[filepath.Join(models, "qwen2.5-coder-0.5b-instruct")] = Config{Config: nn.Config{Dim: 896, Layers: 24, Heads: 14,
			KVHeads: 2, HeadDim: 64, FF: 4864, Vocab: 151936, Context: 32768, Eps: 1e-6, Rope: rope}, QKVBias: true}
	}
	for folder, want := range folders {
		data, err := os.ReadFile(filepath.Join(folder, "config.json"))
		if os.IsNotExist(err) && !strings.HasPrefix(folder, golden) {
			t.Logf("skipped: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseConfig(data); got != want || err != nil {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", folder, got, err, want)
		}
	}
}

// The defaults are those of Qwen2Config and Qwen3Config.
func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		modelType string
		change    map[string]any
		want      func(*Config)
	}{
		{"qwen2", nil, func(c *Config) { c.QKVBias = true }},
		{"qwen2", map[string]any{"head_dim": nil}, func(c *Config) { c.QKVBias = true }},
		{"qwen2", map[string]any{"head_dim": 32}, func(c *Config) { c.QKVBias, c.HeadDim = true, 32 }},
		{"qwen2", map[string]any{"architectures": nil}, func(c *Config) { c.QKVBias = true }},
		{"qwen2", map[string]any{"num_key_value_heads": nil}, func(c *Config) { c.QKVBias, c.KVHeads = true, 4 }},
		{"qwen3", nil, func(c *Config) { c.QKNorm, c.HeadDim = true, 128 }},
		{"qwen3", map[string]any{"head_dim": 32}, func(c *Config) { c.QKNorm, c.HeadDim = true, 32 }},
		{"qwen3", map[string]any{"attention_bias": true}, func(c *Config) { c.QKNorm, c.HeadDim, c.QKVBias, c.OBias = true, 128, true, true }},
		{"qwen3", map[string]any{"architectures": nil}, func(c *Config) { c.QKNorm, c.HeadDim = true, 128 }},
		{"qwen3", map[string]any{"layer_types": []string{"full_attention", "full_attention"}}, func(c *Config) { c.QKNorm, c.HeadDim = true, 128 }},
	} {
		want := Config{Config: nn.Config{Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FF: 160, Vocab: 512,
			Context: 32768, Eps: 1e-6, Rope: nn.RopeConfig{Theta: 1e6}}}
		c.want(&want)
		if got, err := parse(t, c.modelType, c.change); got != want || err != nil {
			t.Errorf("%s %v:\n got %+v, %v\nwant %+v", c.modelType, c.change, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		modelType string
		change    map[string]any
		words     string
	}{
		{"qwen2", map[string]any{"use_sliding_window": true}, "key use_sliding_window: true is not supported, want false"},
		{"qwen3", map[string]any{"use_sliding_window": true}, "key use_sliding_window"},
		{"qwen3", map[string]any{"layer_types": []string{"full_attention", "sliding_attention"}}, `key layer_types: "sliding_attention" is not supported`},
		{"qwen2", map[string]any{"architectures": []string{"LlamaForCausalLM"}}, `"LlamaForCausalLM" is not supported, want Qwen2ForCausalLM or Qwen3ForCausalLM`},
		{"qwen2", map[string]any{"architectures": nil, "model_type": "llama"}, `"LlamaForCausalLM" is not supported`},
		{"qwen2", map[string]any{"model_type": "qwen3"}, `key model_type: "qwen3" is not supported, want qwen2`},
		{"qwen3", map[string]any{"architectures": []string{"Qwen3MoeForCausalLM"}}, `key architectures: "Qwen3MoeForCausalLM" is not supported`},
		{"qwen3", map[string]any{"num_experts": 128}, "key num_experts: experts (MoE) are not supported"},
		{"qwen3", map[string]any{"head_dim": nil}, "key head_dim: got null"},
		{"qwen3", map[string]any{"head_dim": 33}, "key head_dim: got 33, want an even number"},
		{"qwen3", map[string]any{"attention_bias": 1}, "key attention_bias: got 1"},
		{"qwen2", map[string]any{"rope_scaling": map[string]any{"type": "yarn", "factor": 4.0}}, `key rope_scaling.type: "yarn" is not supported`},
		{"qwen2", map[string]any{"hidden_act": "gelu"}, `key hidden_act: "gelu" is not supported, want silu`},
		{"qwen2", map[string]any{"vocab_size": 1 << 25}, "key vocab_size: got 33554432"},
		{"qwen2", map[string]any{"num_hidden_layers": 1001}, "key num_hidden_layers: got 1001"},
	} {
		got, err := parse(t, c.modelType, c.change)
		checkError(t, err, c.words)
		if got != (Config{}) {
			t.Errorf("%v gives %+v", c.change, got)
		}
	}
}

func checkError(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted, want %q", words)
		return
	}
	text := err.Error()
	if !strings.Contains(text, words) || len(text) > 400 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		t.Errorf("got %q, want %q in it", err, words)
	}
}

// FuzzConfig: one line of error, or a config within bounds.
func FuzzConfig(f *testing.F) {
	for _, model := range []string{"tiny-qwen2", "tiny-qwen3"} {
		data, err := os.ReadFile("../../testdata/golden/" + model + "/config.json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			checkError(t, err, "")
			return
		}
		for _, n := range []int{c.Dim, c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.FF, c.Vocab, c.Context} {
			if n < 1 || n > 1<<30 {
				t.Fatalf("%+v", c)
			}
		}
		if c.Heads%c.KVHeads != 0 || c.HeadDim%2 != 0 || c.Heads*c.HeadDim > 1<<20 || !(c.Eps > 0 && c.Eps <= 1) {
			t.Fatalf("%+v", c)
		}
		for _, v := range c.RopeTable(3) {
			if math.IsNaN(float64(v)) || math.Abs(float64(v)) > 1 {
				t.Fatalf("rotary table of %+v has %g", c.Rope, v)
			}
		}
	})
}
