package llama

import (
	"armor/kernels"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// Load reads a Llama's weights into b, which keeps them as w says.
func Load(ck *checkpoint.Checkpoint, c Config, b kernels.Backend, w nn.Weights) (*nn.Decoder, error) {
	return nn.NewLoader(ck, b, w).Decoder(c.Config, nn.Extras{QKVBias: c.AttentionBias, OBias: c.AttentionBias})
}
