// Package qwen reads models of Hugging Face's Qwen2ForCausalLM (Qwen 1.5, 2 and
// 2.5) and Qwen3ForCausalLM, all of them dense.
package qwen

import (
	"armor/model/hfconfig"
	"armor/model/nn"
)

// Config is the config.json of a Qwen.
type Config struct {
	nn.Config
	QKVBias bool // q_proj, k_proj and v_proj have biases
	OBias   bool // o_proj has a bias
	QKNorm  bool // q and k are normed per head, by q_norm and k_norm
}

// ParseConfig reads a config.json. It refuses by name what this package does not
// compute; errors are one line, "key NAME: ...", without the path.
func ParseConfig(data []byte) (Config, error) {
	r := hfconfig.NewReader(data)
	family := r.OneOfFamilies(
		hfconfig.Family{Architecture: "Qwen2ForCausalLM", ModelType: "qwen2"},
		hfconfig.Family{Architecture: "Qwen3ForCausalLM", ModelType: "qwen3"})
	var c Config
	switch family.ModelType {
	case "qwen2": // the biases are part of the class, no key says so
		c.Config = r.Decoder(hfconfig.Defaults{Context: 32768})
		c.QKVBias = true
	case "qwen3":
		c.Config = r.Decoder(hfconfig.Defaults{Context: 32768, HeadDim: 128})
		c.QKVBias = r.BoolOr("attention_bias", false)
		c.OBias = c.QKVBias
		c.QKNorm = true
	}
	// Without it sliding_window and max_window_layers mean nothing.
	r.RefuseTrue("use_sliding_window")
	if err := r.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}
