// Package llama reads models of Hugging Face's LlamaForCausalLM: Llama 1, 2 and
// 3 and what shares their layers.
package llama

import (
	"armor/model/hfconfig"
	"armor/model/nn"
)

// Config is the config.json of a Llama.
type Config struct {
	nn.Config
	AttentionBias bool // q_proj, k_proj, v_proj and o_proj have biases
}

// ParseConfig reads a config.json. It refuses by name what this package does not
// compute; errors are one line, "key NAME: ...", without the path.
func ParseConfig(data []byte) (Config, error) {
	r := hfconfig.NewReader(data)
	r.OneOfFamilies(hfconfig.Family{Architecture: "LlamaForCausalLM", ModelType: "llama"})
	var c Config
	c.Config = r.Decoder(hfconfig.Defaults{Context: 2048})
	c.AttentionBias = r.BoolOr("attention_bias", false)
	r.RefuseTrue("mlp_bias")
	// LlamaConfig has no window, but a relabelled Mistral keeps its own.
	r.RefuseWindow("sliding_window", c.Context)
	if err := r.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}
