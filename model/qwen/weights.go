package qwen

import "armor/model/nn"

// Extras are the parts of a layer that this model has: biases on q, k and v in
// Qwen2, norms on q and k in Qwen3.
func (c *Config) Extras() nn.Extras {
	return nn.Extras{QKVBias: c.QKVBias, OBias: c.OBias, QKNorm: c.QKNorm}
}
