package ggufconfig

import "armor/model/nn"

// Decoder reads the keys that all families share, with llama.cpp's defaults, and
// refuses by name what no decoder here computes. The vocabulary is as large as
// the list of tokens; the head is the embedding where there is no output.weight.
func (r *Reader) Decoder() nn.Config {
	for _, key := range []string{"expert_count", "expert_used_count", "expert_shared_count"} {
		r.RefuseCount(key, "experts (MoE)")
	}
	r.Require("attention.causal", true)
	r.Require("use_parallel_residual", false)
	for _, key := range []string{"attention.scale", "attention.clamp_kqv", "attention.max_alibi_bias",
		"attn_logit_softcapping", "final_logit_softcapping"} {
		r.RefuseFloat(key, 0)
	}
	for _, key := range []string{"logit_scale", "embedding_scale", "residual_scale"} {
		r.RefuseFloat(key, 1)
	}

	var c nn.Config
	c.Dim = r.Int("embedding_length", 1, nn.MaxDim)
	c.Layers = r.Int("block_count", 1, nn.MaxLayers)
	c.Heads = r.Int("attention.head_count", 1, nn.MaxHeads)
	c.KVHeads = r.kvHeads(c.Heads)
	c.HeadDim = r.headDim(c.Dim, c.Heads)
	c.FF = r.Int("feed_forward_length", 1, nn.MaxDim)
	c.Context = r.Int("context_length", 1, nn.MaxContext)
	c.Eps = float32(r.float("attention.layer_norm_rms_epsilon", 1e-12, 1))
	c.Vocab = r.vocab()
	c.Tied = !r.ck.Has("lm_head.weight")
	c.Rope = r.rope()
	r.window(c.Context)
	if r.err != nil {
		return nn.Config{}
	}
	return c
}

func (r *Reader) kvHeads(heads int) int {
	const key = "attention.head_count_kv"
	n := r.IntOr(key, heads, 1, nn.MaxHeads)
	if r.err == nil && heads%n != 0 {
		r.fail(r.g.Errorf(r.prefix+key, "got %d, want a divisor of the %d heads", n, heads))
	}
	return n
}

// headDim reads key_length. Rotary embedding turns pairs, so it is even.
func (r *Reader) headDim(dim, heads int) int {
	const key = "attention.key_length"
	if r.err != nil {
		return 0
	}
	if !r.has(key) && dim%heads != 0 {
		r.fail(r.g.Errorf(r.prefix+"attention.head_count", "got %d, want a divisor of embedding_length %d, or a key_length", heads, dim))
		return 0
	}
	n := r.IntOr(key, dim/heads, 1, nn.MaxHeadDim)
	switch {
	case r.err != nil:
	case n == 0 || n%2 != 0:
		r.fail(r.g.Errorf(r.prefix+key, "got %d, want an even number", n))
	case n*heads > nn.MaxDim:
		r.fail(r.g.Errorf(r.prefix+key, "got %d with %d heads, want at most %d together", n, heads, nn.MaxDim))
	}
	r.same("attention.value_length", n)
	r.same("rope.dimension_count", n)
	return n
}

// same requires a key, if it is there, to be the head's dimension.
func (r *Reader) same(key string, headDim int) {
	if n := r.IntOr(key, headDim, 0, nn.MaxHeadDim); r.err == nil && n != headDim {
		r.fail(r.g.Errorf(r.prefix+key, "%d is not supported, want the %d of a head", n, headDim))
	}
}

func (r *Reader) vocab() int {
	const key = "tokenizer.ggml.tokens"
	if r.err != nil {
		return 0
	}
	n := r.g.Len(key)
	if n < 1 || n > nn.MaxVocab {
		r.fail(r.g.Errorf(key, "got %d tokens, want 1 to %d", n, nn.MaxVocab))
	}
	return n
}

// rope reads what changes the frequencies. As in llama.cpp a factor without a
// type scales linearly, and one of 0 or of the type none does nothing.
func (r *Reader) rope() nn.RopeConfig {
	c := nn.RopeConfig{Theta: r.FloatOr("rope.freq_base", 10000, 1, nn.MaxTheta)}
	factor := r.FloatOr("rope.scaling.factor", r.FloatOr("rope.scale_linear", 0, 0, nn.MaxFactor), 0, nn.MaxFactor)
	if r.OneOf("rope.scaling.type", "linear", "none", "linear") == "linear" && factor != 0 && factor != 1 {
		c.Scaling, c.Factor = nn.RopeLinear, factor
	}
	return c
}

// window refuses attention to fewer positions than the context has.
func (r *Reader) window(context int) {
	const key = "attention.sliding_window"
	if n := r.IntOr(key, 0, 0, nn.MaxContext); n > 0 && n < context {
		r.fail(r.g.Errorf(r.prefix+key, "%d is not supported, want none or at least context_length %d", n, context))
	}
}

// Has reports whether the file has a tensor, by its Hugging Face name.
func (r *Reader) Has(tensor string) bool { return r.ck.Has(tensor) }
