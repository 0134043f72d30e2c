package llama

import (
	"armor/model/checkpoint"
	"armor/model/ggufconfig"
)

// ConfigGGUF reads the metadata of a GGUF file whose architecture is llama. It
// refuses by name what this package does not compute; errors are one line,
// "PATH: key NAME: ...".
func ConfigGGUF(ck *checkpoint.Checkpoint) (Config, error) {
	r := ggufconfig.NewReader(ck, "llama")
	c := Config{Config: r.Decoder(), AttentionBias: r.Has("model.layers.0.self_attn.q_proj.bias")}
	if err := r.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}
