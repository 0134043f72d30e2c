package qwen

import (
	"armor/model/checkpoint"
	"armor/model/ggufconfig"
)

// ConfigGGUF reads the metadata of a GGUF file whose architecture is qwen2 or
// qwen3. It refuses by name what this package does not compute; errors are one
// line, "PATH: key NAME: ...".
func ConfigGGUF(ck *checkpoint.Checkpoint) (Config, error) {
	r := ggufconfig.NewReader(ck, "qwen2", "qwen3")
	c := Config{Config: r.Decoder()}
	if r.Architecture() == "qwen2" {
		c.QKVBias = true
	} else {
		c.QKNorm = true
		c.QKVBias = r.Has("model.layers.0.self_attn.q_proj.bias")
		c.OBias = r.Has("model.layers.0.self_attn.o_proj.bias")
	}
	if err := r.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}
