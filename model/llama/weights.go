package llama

import "armor/model/nn"

// Extras are the parts of a layer that this model has.
func (c *Config) Extras() nn.Extras {
	return nn.Extras{QKVBias: c.AttentionBias, OBias: c.AttentionBias}
}
