package latency

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"armor/model/armorfmt"
)

// named is the shape of a published model, from its config.json.
type named struct {
	name, family                  string // model_type
	dim, layers, heads, kvHeads   int
	headDim, ff, vocab, positions int
	tied                          bool
}

var shapes = []named{
	{"smollm2-135m", "llama", 576, 30, 9, 3, 64, 1536, 49152, 8192, true},
	{"smollm2-360m", "llama", 960, 32, 15, 5, 64, 2560, 49152, 8192, true},
	{"smollm2-1.7b", "llama", 2048, 24, 32, 32, 64, 8192, 49152, 8192, true},
	{"llama-3.2-1b", "llama", 2048, 16, 32, 8, 64, 8192, 128256, 131072, true},
	{"llama-3.2-3b", "llama", 3072, 28, 24, 8, 128, 8192, 128256, 131072, true},
	{"llama-3.1-8b", "llama", 4096, 32, 32, 8, 128, 14336, 128256, 131072, false},
	{"llama-2-7b", "llama", 4096, 32, 32, 32, 128, 11008, 32000, 4096, false},
	{"qwen2.5-0.5b", "qwen2", 896, 24, 14, 2, 64, 4864, 151936, 32768, true},
	{"qwen2.5-1.5b", "qwen2", 1536, 28, 12, 2, 128, 8960, 151936, 32768, true},
	{"qwen2.5-3b", "qwen2", 2048, 36, 16, 2, 128, 11008, 151936, 32768, true},
	{"qwen2.5-7b", "qwen2", 3584, 28, 28, 4, 128, 18944, 152064, 32768, false},
	{"qwen3-0.6b", "qwen3", 1024, 28, 16, 8, 128, 3072, 151936, 40960, true},
	{"qwen3-8b", "qwen3", 4096, 36, 32, 8, 128, 12288, 151936, 40960, false},
}

// ShapeNames lists the shapes that ShapeConfig knows.
func ShapeNames() []string {
	var names []string
	for _, s := range shapes {
		names = append(names, s.name)
	}
	return names
}

// ShapeConfig gives the text of a config.json of that shape.
func ShapeConfig(name string) ([]byte, error) {
	i := slices.IndexFunc(shapes, func(s named) bool { return s.name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown shape %q, want one of %s", name, strings.Join(ShapeNames(), ", "))
	}
	s := &shapes[i]
	class := map[string]string{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}[s.family]
	return json.Marshal(map[string]any{
		"architectures": []string{class}, "model_type": s.family, "hidden_act": "silu",
		"hidden_size": s.dim, "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kvHeads,
		"head_dim": s.headDim, "intermediate_size": s.ff, "vocab_size": s.vocab, "max_position_embeddings": s.positions,
		"tie_word_embeddings": s.tied, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
	})
}

// WithLayers gives a config.json with another number of layers.
func WithLayers(config []byte, layers int) ([]byte, error) {
	return armorfmt.SetKeys(config, map[string]any{"num_hidden_layers": layers, "layer_types": nil})
}

// LayersOnly gives a config of so many layers and next to no embedding and head.
func LayersOnly(config []byte, layers int) ([]byte, error) {
	return armorfmt.SetKeys(config, map[string]any{"num_hidden_layers": layers, "layer_types": nil, "vocab_size": 256})
}
