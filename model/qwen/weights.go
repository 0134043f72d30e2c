package qwen

import (
	"armor/kernels"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// Load reads the weights of a Qwen2 (biases on q, k and v) or a Qwen3 (norms on
// q and k) into b, which keeps them as w says.
func Load(ck *checkpoint.Checkpoint, c Config, b kernels.Backend, w nn.Weights) (*nn.Decoder, error) {
	return nn.NewLoader(ck, b, w).Decoder(c.Config, nn.Extras{QKVBias: c.QKVBias, OBias: c.OBias, QKNorm: c.QKNorm})
}
