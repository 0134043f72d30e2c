package llama

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/model/nn"
)

// tiny is a valid config; with returns it with keys changed, or left out where
// the value is absent.
const tiny = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":64,"num_hidden_layers":2,
	"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":160,"vocab_size":512,"rms_norm_eps":1e-5,
	"max_position_embeddings":512,"hidden_act":"silu","rope_theta":10000.0}`

type keys map[string]string

const absent = ""

func with(t *testing.T, change keys) []byte {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(tiny), &all); err != nil {
		t.Fatal(err)
	}
	for k, v := range change {
		if v == absent {
			delete(all, k)
		} else {
			all[k] = json.RawMessage(v)
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// base is what tiny says.
func base() Config {
	return Config{Config: nn.Config{Dim: 64, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, FF: 160, Vocab: 512,
		Context: 512, Eps: 1e-5, Rope: nn.RopeConfig{Theta: 10000}}}
}

func TestFolders(t *testing.T) {
	tied := base()
	tied.Tied = true
	llama3 := base()
	llama3.Rope = nn.RopeConfig{Theta: 10000, Scaling: nn.RopeLlama3, Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalContext: 64}
	const golden = "../../testdata/golden/"
	folders := map[string]Config{golden + "tiny-llama": tied, golden + "tiny-llama3-rope": llama3}
	if models := os.Getenv("ARMOR_MODELS"); models != "" {
		folders[filepath.Join(models, "smollm2-135m-instruct")] = Config{Config: nn.Config{Dim: 576, Layers: 30, Heads: 9, KVHeads: 3,
			HeadDim: 64, FF: 1536, Vocab: 49152, Context: 8192, Eps: 1e-5, Tied: true, Rope: nn.RopeConfig{Theta: 100000}}}
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

func TestAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		change keys
		want   func(*Config)
	}{
		"as it is":                {nil, func(*Config) {}},
		"no architectures":        {keys{"architectures": absent}, func(*Config) {}},
		"architectures null":      {keys{"architectures": "null"}, func(*Config) {}},
		"architectures empty":     {keys{"architectures": "[]"}, func(*Config) {}},
		"no model_type":           {keys{"model_type": absent}, func(*Config) {}},
		"no kv heads":             {keys{"num_key_value_heads": absent}, func(c *Config) { c.KVHeads = 4 }},
		"kv heads null":           {keys{"num_key_value_heads": "null"}, func(c *Config) { c.KVHeads = 4 }},
		"defaults":                {keys{"max_position_embeddings": absent, "rms_norm_eps": absent, "rope_theta": absent, "hidden_act": absent}, func(c *Config) { c.Context, c.Eps = 2048, 1e-6 }},
		"whole as float":          {keys{"hidden_size": "64.0", "rope_theta": "500000"}, func(c *Config) { c.Rope.Theta = 500000 }},
		"head_dim":                {keys{"head_dim": "24"}, func(c *Config) { c.HeadDim = 24 }},
		"head_dim null":           {keys{"head_dim": "null"}, func(*Config) {}},
		"heads not dividing":      {keys{"num_attention_heads": "7", "num_key_value_heads": "7", "head_dim": "8"}, func(c *Config) { c.Heads, c.KVHeads, c.HeadDim = 7, 7, 8 }},
		"tied":                    {keys{"tie_word_embeddings": "true"}, func(c *Config) { c.Tied = true }},
		"attention bias":          {keys{"attention_bias": "true"}, func(c *Config) { c.AttentionBias = true }},
		"off":                     {keys{"mlp_bias": "false", "quantization_config": "null", "num_experts": "0", "sliding_window": "null", "partial_rotary_factor": "1.0"}, func(*Config) {}},
		"window as long as model": {keys{"sliding_window": "512"}, func(*Config) {}},
		"full attention":          {keys{"layer_types": `["full_attention","full_attention"]`}, func(*Config) {}},
		"unknown keys":            {keys{"foo": `{"a":[1,null]}`, "pretraining_tp": "4", "auto_map": `{"AutoModel":"evil.Model"}`}, func(*Config) {}},
		"rope null":               {keys{"rope_scaling": "null", "rope_parameters": "null"}, func(*Config) {}},
		"rope empty":              {keys{"rope_scaling": "{}"}, func(*Config) {}},
		"rope default":            {keys{"rope_scaling": `{"type":"default"}`}, func(*Config) {}},
		"linear":                  {keys{"rope_scaling": `{"type":"linear","factor":2}`}, func(c *Config) { c.Rope.Scaling, c.Rope.Factor = nn.RopeLinear, 2 }},
		"linear, both types":      {keys{"rope_scaling": `{"type":"linear","rope_type":"linear","factor":4.0}`}, func(c *Config) { c.Rope.Scaling, c.Rope.Factor = nn.RopeLinear, 4 }},
		"rope_parameters":         {keys{"rope_theta": absent, "rope_parameters": `{"rope_type":"linear","factor":2.0,"rope_theta":5e5}`}, func(c *Config) { c.Rope = nn.RopeConfig{Theta: 5e5, Scaling: nn.RopeLinear, Factor: 2} }},
		"rope_parameters untyped": {keys{"rope_theta": absent, "rope_parameters": `{"rope_theta":5e5}`}, func(c *Config) { c.Rope.Theta = 5e5 }},
		"both spellings":          {keys{"rope_scaling": `{"type":"linear","factor":2}`, "rope_parameters": `{"rope_type":"linear","factor":2.0,"rope_theta":10000}`}, func(c *Config) { c.Rope.Scaling, c.Rope.Factor = nn.RopeLinear, 2 }},
	} {
		want := base()
		c.want(&want)
		if got, err := ParseConfig(with(t, c.change)); got != want || err != nil {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	type test struct {
		change keys
		words  string
	}
	tests := []test{
		{keys{"architectures": `["MambaForCausalLM"]`}, `key architectures: "MambaForCausalLM" is not supported, want LlamaForCausalLM`},
		{keys{"architectures": `["Qwen2ForCausalLM"]`}, `"Qwen2ForCausalLM" is not supported`},
		{keys{"architectures": `["A\u001b[31m"]`}, "want the name of a class"},
		{keys{"architectures": "5"}, "key architectures: got 5"},
		{keys{"architectures": "[5]"}, "key architectures: got 5"},
		{keys{"architectures": absent, "model_type": absent}, "architectures and model_type: missing"},
		{keys{"architectures": absent, "model_type": `"mamba"`}, `key model_type: "mamba" is not supported, want llama, qwen2 or qwen3`},
		{keys{"architectures": absent, "model_type": "5"}, "key model_type: got 5"},
		{keys{"model_type": `"mistral"`}, `key model_type: "mistral" is not supported, want llama`},
		{keys{"hidden_act": `"gelu"`}, `key hidden_act: "gelu" is not supported, want silu`},
		{keys{"hidden_act": "null"}, "key hidden_act: got null"},
		{keys{"mlp_bias": "true"}, "key mlp_bias: true is not supported"},
		{keys{"attention_bias": `"yes"`}, `key attention_bias: got "yes", want true or false`},
		{keys{"tie_word_embeddings": "1"}, "key tie_word_embeddings: got 1"},
		{keys{"quantization_config": `{"quant_method":"gptq"}`}, "key quantization_config: quantized weights are not supported"},
		{keys{"num_experts": "128"}, "key num_experts: experts (MoE) are not supported"},
		{keys{"num_local_experts": "8"}, "key num_local_experts: experts"},
		{keys{"sliding_window": "256"}, "key sliding_window: 256 is not supported"},
		{keys{"layer_types": `["full_attention","sliding_attention"]`}, `key layer_types: "sliding_attention" is not supported`},
		{keys{"layer_types": `["full_attention"]`}, "key layer_types: got 1 types, want num_hidden_layers 2"},
		{keys{"num_attention_heads": "7", "num_key_value_heads": "7"}, "key num_attention_heads: got 7, want a divisor of hidden_size 64"},
		{keys{"num_key_value_heads": "3"}, "key num_key_value_heads: got 3, want a divisor of num_attention_heads 4"},
		{keys{"num_key_value_heads": "8"}, "key num_key_value_heads: got 8"},
		{keys{"num_key_value_heads": "0"}, "key num_key_value_heads: got 0"},
		{keys{"num_key_value_heads": "-2"}, "key num_key_value_heads: got -2"},
		{keys{"hidden_size": "60"}, "key head_dim: got 15, want an even number"},
		{keys{"head_dim": "0"}, "key head_dim: got 0"},
		{keys{"head_dim": "15"}, "key head_dim: got 15, want an even number"},
		{keys{"num_attention_heads": "16384", "num_key_value_heads": "1", "head_dim": "4096"}, "key head_dim: got 4096 with 16384 heads"},
		{keys{"rms_norm_eps": "-1"}, "key rms_norm_eps: got -1"},
		{keys{"rms_norm_eps": "0"}, "key rms_norm_eps: got 0"},
		{keys{"rms_norm_eps": "1e300"}, "key rms_norm_eps: got 1e300"},
		{keys{"rms_norm_eps": "1e999"}, "key rms_norm_eps: got 1e999"},
		{keys{"rms_norm_eps": `"1e-5"`}, "key rms_norm_eps: got"},
		{keys{"max_position_embeddings": "0"}, "key max_position_embeddings: got 0"},
		{keys{"max_position_embeddings": "1099511627776"}, "key max_position_embeddings"},
		{keys{"rope_theta": "0"}, "key rope_theta: got 0"},
		{keys{"rope_theta": "-10000.0"}, "key rope_theta: got -10000.0"},
		{keys{"rope_theta": "null"}, "key rope_theta: got null"},
		{keys{"partial_rotary_factor": "0.5"}, "key partial_rotary_factor: got 0.5"},
		{keys{"rope_scaling": `"linear"`}, `key rope_scaling: got "linear", want an object`},
		{keys{"rope_scaling": `{"type":"spiral","factor":2}`}, `key rope_scaling.type: "spiral" is not supported, want default, linear or llama3`},
		{keys{"rope_scaling": `{"rope_type":"yarn","factor":2}`}, `key rope_scaling.rope_type: "yarn" is not supported`},
		{keys{"rope_scaling": `{"rope_type":"dynamic","factor":2}`}, `"dynamic" is not supported`},
		{keys{"rope_scaling": `{"rope_type":"longrope"}`}, `"longrope" is not supported`},
		{keys{"rope_scaling": `{"type":"linear","rope_type":"llama3","factor":2}`}, "key rope_scaling.rope_type: got"},
		{keys{"rope_scaling": `{"factor":2}`}, "key rope_scaling.rope_type: missing"},
		{keys{"rope_scaling": `{"type":"linear"}`}, "key rope_scaling.factor: missing"},
		{keys{"rope_scaling": `{"type":"linear","factor":0}`}, "key rope_scaling.factor: got 0"},
		{keys{"rope_scaling": `{"type":"linear","factor":"2"}`}, `key rope_scaling.factor: got "2"`},
		{keys{"rope_scaling": `{"rope_type":"llama3","factor":8.0}`}, "key rope_scaling.low_freq_factor: missing"},
		{keys{"rope_scaling": `{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,"original_max_position_embeddings":64}`}, "key rope_scaling.high_freq_factor: got 4"},
		{keys{"rope_scaling": `{"rope_type":"llama3","factor":8,"low_freq_factor":0,"high_freq_factor":4,"original_max_position_embeddings":64}`}, "key rope_scaling.low_freq_factor: got 0"},
		{keys{"rope_parameters": `{"full_attention":{"rope_type":"default"}}`}, "key rope_parameters.rope_type: missing"},
		{keys{"rope_parameters": `{"rope_theta":5e5}`}, "key rope_parameters.rope_theta: got 500000, want rope_theta 10000"},
		{keys{"rope_parameters": `{"partial_rotary_factor":0.25}`}, "key rope_parameters.partial_rotary_factor: got 0.25"},
		{keys{"rope_scaling": `{"type":"linear","factor":2}`, "rope_parameters": `{"rope_type":"default"}`}, "key rope_parameters: differs from rope_scaling"},
	}
	for _, key := range []string{"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"} {
		tests = append(tests, test{keys{key: absent}, "key " + key + ": missing"})
		for _, v := range []string{"0", "-1", `"64"`, "64.5", "null", "true", "[64]", "1099511627776", "1e30", "9223372036854775808"} {
			tests = append(tests, test{keys{key: v}, "key " + key + ": got"})
		}
	}
	for _, c := range tests {
		got, err := ParseConfig(with(t, c.change))
		checkError(t, err, c.words)
		if got != (Config{}) {
			t.Errorf("%v gives %+v", c.change, got)
		}
	}
	for text, words := range map[string]string{
		"":                                 "invalid JSON",
		"hidden_size: 64":                  "invalid JSON",
		tiny[:len(tiny)/2]:                 "invalid JSON",
		"[" + tiny + "]":                   "got an array, want a JSON object",
		tiny + "}":                         "trailing text",
		"\ufeff" + tiny:                    "invalid JSON",
		strings.ToUpper(tiny):              "model_type: missing",
		tiny[:len(tiny)-1] + `,"x":NaN}`:   "invalid JSON",
		`{"hidden_size":128,` + tiny[1:]:   "duplicate key hidden_size",
		`{"x":{"y":1,"y":2},` + tiny[1:]:   "duplicate key y",
		`{"HIDDEN_SIZE":128,` + tiny[1:]:   "", // another key
		`{"x":` + strings.Repeat("[", 1e5): "nested deeper",
	} {
		_, err := ParseConfig([]byte(text))
		if words == "" && err == nil {
			continue
		}
		checkError(t, err, words)
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
	f.Add([]byte(tiny))
	for _, model := range []string{"tiny-llama", "tiny-llama3-rope"} {
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
		sizes := []int{c.Dim, c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.FF, c.Vocab, c.Context}
		for _, n := range sizes {
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
