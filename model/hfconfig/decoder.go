package hfconfig

import "armor/model/nn"

// Defaults are values of a family's config class that others do not share.
type Defaults struct {
	Context int // max_position_embeddings
	HeadDim int // head_dim; 0 means hidden_size / num_attention_heads
}

// Decoder reads the keys that all families share and refuses by name what no
// decoder here computes. The sizes of a model must be given; all else defaults
// as in the Hugging Face config classes.
func (r *Reader) Decoder(d Defaults) nn.Config {
	var c nn.Config
	c.Dim = r.Int("hidden_size", 1, nn.MaxDim)
	c.Layers = r.Int("num_hidden_layers", 1, nn.MaxLayers)
	c.Heads = r.Int("num_attention_heads", 1, nn.MaxHeads)
	c.KVHeads = r.kvHeads(c.Heads)
	c.HeadDim = r.headDim(c.Dim, c.Heads, d.HeadDim)
	c.FF = r.Int("intermediate_size", 1, nn.MaxDim)
	c.Vocab = r.Int("vocab_size", 1, nn.MaxVocab)
	c.Context = r.IntOr("max_position_embeddings", d.Context, 1, nn.MaxContext)
	c.Eps = float32(r.FloatOr("rms_norm_eps", 1e-6, 1e-12, 1))
	c.Tied = r.BoolOr("tie_word_embeddings", false)
	c.Rope = r.rope()

	r.OneOf("hidden_act", "silu")
	r.layerTypes(c.Layers)
	r.RefuseSet("quantization_config", "quantized weights")
	r.RefuseSet("compression_config", "compressed weights")
	for _, key := range []string{"num_experts", "num_local_experts", "n_routed_experts",
		"num_experts_per_tok", "moe_intermediate_size"} {
		r.RefuseCount(key, "experts (MoE)")
	}
	if r.err != nil {
		return nn.Config{}
	}
	return c
}

// kvHeads reads num_key_value_heads; null and absent mean as many as heads.
func (r *Reader) kvHeads(heads int) int {
	const key = "num_key_value_heads"
	if r.err != nil || !r.keys.Set(key) {
		return heads
	}
	n := r.Int(key, 1, nn.MaxHeads)
	if r.err == nil && heads%n != 0 {
		r.fail(r.keys.Errorf(key, "got %d, want a divisor of num_attention_heads %d", n, heads))
	}
	return n
}

// headDim reads head_dim. Rotary embedding turns pairs, so it is even.
func (r *Reader) headDim(dim, heads, absent int) int {
	const key = "head_dim"
	if r.err != nil {
		return 0
	}
	n := absent
	switch {
	case r.keys.Set(key) || absent != 0 && r.keys.Has(key):
		n = r.Int(key, 1, nn.MaxHeadDim)
	case absent == 0 && dim%heads != 0:
		r.fail(r.keys.Errorf("num_attention_heads", "got %d, want a divisor of hidden_size %d, or a head_dim", heads, dim))
	case absent == 0:
		n = dim / heads
	}
	if r.err == nil && n%2 != 0 {
		r.fail(r.keys.Errorf(key, "got %d, want an even number", n))
	}
	if r.err == nil && n*heads > nn.MaxDim {
		r.fail(r.keys.Errorf(key, "got %d with %d heads, want at most %d together", n, heads, nn.MaxDim))
	}
	return n
}

// layerTypes refuses layers that do not attend to everything before them.
func (r *Reader) layerTypes(layers int) {
	const key = "layer_types"
	if r.err != nil || !r.keys.Set(key) {
		return
	}
	types, err := r.keys.Strings(key, nn.MaxLayers)
	r.fail(err)
	for _, t := range types {
		if t != "full_attention" {
			r.fail(r.unsupported(key, t, []string{"full_attention"}))
		}
	}
	if r.err == nil && len(types) != layers {
		r.fail(r.keys.Errorf(key, "got %d types, want num_hidden_layers %d", len(types), layers))
	}
}
