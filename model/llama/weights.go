package llama

import (
	"armor/kernels"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// Load reads a Llama's weights into b.
func Load(ck *checkpoint.Checkpoint, c Config, b kernels.Backend) (*nn.Decoder, error) {
	return nn.NewLoader(ck, b).Decoder(c.Config, nn.Extras{QKVBias: c.AttentionBias, OBias: c.AttentionBias})
}
