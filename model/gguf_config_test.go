package model_test

import (
	"slices"
	"strings"
	"testing"

	"armor/model"
	"armor/model/checkpoint"
	"armor/model/internal/gguftest"
	"armor/model/nn"
)

// withKeys changes the metadata of a file; a nil value takes a key away.
func withKeys(f gguftest.File, keys ...gguftest.Key) *gguftest.File {
	f.Keys = slices.Clone(f.Keys)
	for _, k := range keys {
		f.Keys = slices.DeleteFunc(f.Keys, func(old gguftest.Key) bool { return old[0] == k[0] })
		if k[1] != nil {
			f.Keys = append(f.Keys, k)
		}
	}
	return &f
}

func configOf(t *testing.T, f *gguftest.File) (nn.Config, error) {
	t.Helper()
	ck, err := checkpoint.ReadGGUF("m.gguf", func(string) (checkpoint.Source, error) { return checkpoint.FromBytes(f.Bytes()), nil })
	if err != nil {
		return nn.Config{}, err
	}
	shape, err := model.ShapeOf(ck)
	c := shape.Config
	return c, err
}

// TestConfigGGUF: what the metadata says is the folder's config.json.
func TestConfigGGUF(t *testing.T) {
	for folder, architecture := range map[string]string{"tiny-llama": "llama", "tiny-qwen2": "qwen2", "tiny-qwen3": "qwen3"} {
		ck, err := checkpoint.OpenFolder(goldenPath(folder))
		if err != nil {
			t.Fatal(err)
		}
		shape, err := model.ShapeOf(ck)
		want := shape.Config
		if err != nil {
			t.Fatal(err)
		}
		if err := ck.Close(); err != nil {
			t.Fatal(err)
		}
		f := converted(t, folder, architecture, always(ggmlF32))
		p := architecture + "."
		for name, c := range map[string]struct {
			keys   []gguftest.Key
			change func(c *nn.Config)
		}{
			"as it is":            {nil, func(*nn.Config) {}},
			"all heads alike":     {[]gguftest.Key{{p + "attention.head_count_kv", nil}}, func(c *nn.Config) { c.KVHeads = c.Heads }},
			"theta by default":    {[]gguftest.Key{{p + "rope.freq_base", nil}}, func(c *nn.Config) { c.Rope.Theta = 10000 }},
			"rotary of all":       {[]gguftest.Key{{p + "rope.dimension_count", uint32(want.HeadDim)}}, func(*nn.Config) {}},
			"linear":              {[]gguftest.Key{{p + "rope.scaling.type", "linear"}, {p + "rope.scaling.factor", float32(4)}}, func(c *nn.Config) { c.Rope.Scaling, c.Rope.Factor = nn.RopeLinear, 4 }},
			"linear, not said":    {[]gguftest.Key{{p + "rope.scaling.factor", float32(2)}}, func(c *nn.Config) { c.Rope.Scaling, c.Rope.Factor = nn.RopeLinear, 2 }},
			"linear, old":         {[]gguftest.Key{{p + "rope.scale_linear", float32(2)}}, func(c *nn.Config) { c.Rope.Scaling, c.Rope.Factor = nn.RopeLinear, 2 }},
			"none":                {[]gguftest.Key{{p + "rope.scaling.type", "none"}, {p + "rope.scaling.factor", float32(4)}}, func(*nn.Config) {}},
			"factor 1":            {[]gguftest.Key{{p + "rope.scaling.factor", float32(1)}}, func(*nn.Config) {}},
			"window of all":       {[]gguftest.Key{{p + "attention.sliding_window", uint32(want.Context)}}, func(*nn.Config) {}},
			"no experts":          {[]gguftest.Key{{p + "expert_count", uint32(0)}, {p + "attention.causal", true}}, func(*nn.Config) {}},
			"integers of 64 bits": {[]gguftest.Key{{p + "block_count", uint64(want.Layers)}}, func(*nn.Config) {}},
		} {
			expect := want
			c.change(&expect)
			if got, err := configOf(t, withKeys(*f, c.keys...)); got != expect || err != nil {
				t.Errorf("%s, %s: %+v, %v\nwant %+v", folder, name, got, err, expect)
			}
		}
	}
}

// TestBadConfigGGUF: what is not computed here is refused by name.
func TestBadConfigGGUF(t *testing.T) {
	f := converted(t, "tiny-llama", "llama", always(ggmlF32))
	for _, c := range []struct {
		key   string
		value any
		words string
	}{
		{"general.architecture", "gemma2", `key general.architecture: "gemma2" is not supported, want llama, qwen2 or qwen3`},
		{"general.architecture", "", `key general.architecture: "" is not supported`},
		{"general.architecture", "qwen2moe", `"qwen2moe" is not supported`},
		{"general.architecture", "qwen2", "key qwen2.embedding_length: missing"},
		{"llama.embedding_length", nil, "key llama.embedding_length: missing, want a whole number from 1"},
		{"llama.embedding_length", uint32(0), "key llama.embedding_length: got 0"},
		{"llama.embedding_length", float32(64), "key llama.embedding_length: got a float"},
		{"llama.block_count", uint32(1 << 20), "key llama.block_count: got 1048576, want a whole number from 1 to 1000"},
		{"llama.block_count", int32(-1), "key llama.block_count: got -1"},
		{"llama.feed_forward_length", []int32{160, 160}, "key llama.feed_forward_length: got an array of 2, each an integer"},
		{"llama.attention.head_count", []int32{4, 4}, "key llama.attention.head_count: got an array"},
		{"llama.attention.head_count_kv", uint32(0), "key llama.attention.head_count_kv: got 0"},
		{"llama.attention.head_count_kv", uint32(8), "key llama.attention.head_count_kv: got 8, want a divisor of the 4 heads"},
		{"llama.attention.key_length", uint32(7), "key llama.attention.key_length: got 7, want an even number"},
		{"llama.attention.value_length", uint32(32), "key llama.attention.value_length: 32 is not supported, want the 16 of a head"},
		{"llama.rope.dimension_count", uint32(8), "key llama.rope.dimension_count: 8 is not supported, want the 16 of a head"},
		{"llama.rope.freq_base", float32(0), "key llama.rope.freq_base: got 0"},
		{"llama.rope.scaling.type", "yarn", `key llama.rope.scaling.type: "yarn" is not supported, want none or linear`},
		{"llama.rope.scaling.type", "longrope", `"longrope" is not supported`},
		{"llama.rope.scaling.factor", float32(-1), "key llama.rope.scaling.factor: got -1"},
		{"llama.attention.layer_norm_rms_epsilon", nil, "key llama.attention.layer_norm_rms_epsilon: missing"},
		{"llama.attention.layer_norm_rms_epsilon", float32(0), "key llama.attention.layer_norm_rms_epsilon: got 0"},
		{"llama.context_length", nil, "key llama.context_length: missing"},
		{"llama.expert_count", uint32(8), "key llama.expert_count: experts (MoE) are not supported: got 8, want 0"},
		{"llama.expert_used_count", uint32(2), "key llama.expert_used_count: experts"},
		{"llama.attention.sliding_window", uint32(64), "key llama.attention.sliding_window: 64 is not supported, want none or at least context_length 512"},
		{"llama.attention.causal", false, "key llama.attention.causal: false is not supported, want true"},
		{"llama.attention.scale", float32(0.1), "key llama.attention.scale: 0.1"},
		{"llama.attention.clamp_kqv", float32(8), "key llama.attention.clamp_kqv: 8 is not supported"},
		{"llama.final_logit_softcapping", float32(30), "key llama.final_logit_softcapping: 30 is not supported"},
		{"llama.logit_scale", float32(8), "key llama.logit_scale: 8 is not supported, want 1"},
		{"llama.residual_scale", float32(0.22), "key llama.residual_scale: 0.2"},
		{"tokenizer.ggml.tokens", nil, "key tokenizer.ggml.tokens: got 0 tokens"},
		{"tokenizer.ggml.tokens", []string{}, "key tokenizer.ggml.tokens: got 0 tokens"},
	} {
		_, err := configOf(t, withKeys(*f, gguftest.Key{c.key, c.value}))
		if err == nil || !strings.Contains(err.Error(), c.words) || !strings.HasPrefix(err.Error(), "m.gguf: key ") || len(err.Error()) > 300 {
			t.Errorf("%s = %v: got %v, want %q", c.key, c.value, err, c.words)
		}
	}
}

// TestBadLoadGGUF: what only loading finds.
func TestBadLoadGGUF(t *testing.T) {
	f := converted(t, "tiny-llama", "llama", always(ggmlF32))
	without := func(name string) *gguftest.File {
		g := *f
		g.Tensors = slices.DeleteFunc(slices.Clone(f.Tensors), func(t gguftest.Tensor) bool { return t.Name == name })
		return &g
	}
	with := func(tensors ...gguftest.Tensor) *gguftest.File {
		g := *f
		g.Tensors = append(slices.Clone(f.Tensors), tensors...)
		return &g
	}
	vector := func(name string, n int, x float32) gguftest.Tensor {
		return gguftest.NewTensor(name, []uint64{uint64(n)}, ggmlF32, encode(ggmlF32, slices.Repeat([]float32{x}, n)))
	}
	for words, g := range map[string]*gguftest.File{
		"m.gguf: tensor blk.1.ffn_up.weight: missing":                               without("blk.1.ffn_up.weight"),
		"m.gguf: tensor token_embd.weight: missing":                                 without("token_embd.weight"),
		"m.gguf: tensor blk.0.ffn_gate_inp.weight: not part of this architecture":   with(vector("blk.0.ffn_gate_inp.weight", 8, 0)),
		"m.gguf: tensor blk.2.attn_norm.weight: not part of this architecture":      with(vector("blk.2.attn_norm.weight", 64, 1)),
		"m.gguf: tensor output.weight: shape: got [64], want [512 64]":              with(vector("output.weight", 64, 1)),
		"m.gguf: tensor rope_freqs.weight: shape: got [4], want [8]":                with(vector("rope_freqs.weight", 4, 1)),
		"m.gguf: tensor rope_freqs.weight: element 0: got 0, want 0.001 to 1e+06":   with(vector("rope_freqs.weight", 8, 0)),
		"m.gguf: tensor blk.0.attn_k.bias: missing":                                 with(vector("blk.0.attn_q.bias", 64, 1)),
		`m.gguf: key tokenizer.ggml.pre: "default" is not supported`:                withKeys(*f, gguftest.Key{"tokenizer.ggml.pre", "default"}),
		`m.gguf: key tokenizer.ggml.pre: "" is not supported`:                       withKeys(*f, gguftest.Key{"tokenizer.ggml.pre", nil}),
		`m.gguf: key tokenizer.ggml.model: "" is not supported`:                     withKeys(*f, gguftest.Key{"tokenizer.ggml.model", nil}),
		`m.gguf: key tokenizer.ggml.model: "t5" is not supported`:                   withKeys(*f, gguftest.Key{"tokenizer.ggml.model", "t5"}),
		"m.gguf: key tokenizer.ggml.token_type: got 0, want one for each":           withKeys(*f, gguftest.Key{"tokenizer.ggml.token_type", nil}),
		"m.gguf: key tokenizer.ggml.eos_token_id: got 512, which is no token":       withKeys(*f, gguftest.Key{"tokenizer.ggml.eos_token_id", uint32(512)}),
		"m.gguf: key tokenizer.ggml.eot_token_id: got 600000, want less than":       withKeys(*f, gguftest.Key{"tokenizer.ggml.eot_token_id", uint32(600000)}),
		"m.gguf: key tokenizer.ggml.remove_extra_whitespaces: true is not suppo":    withKeys(*f, gguftest.Key{"tokenizer.ggml.remove_extra_whitespaces", true}),
		"m.gguf: key tokenizer.ggml.precompiled_charsmap: normalization by such":    withKeys(*f, gguftest.Key{"tokenizer.ggml.precompiled_charsmap", []int32{1}}),
		"m.gguf: key tokenizer.ggml.merges: got an array of 1, each an integer, wa": withKeys(*f, gguftest.Key{"tokenizer.ggml.merges", []int32{1}}),
	} {
		err := loadGGUF(g.Bytes(), model.Options{})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	for _, g := range []*gguftest.File{
		f,
		with(vector("rope_freqs.weight", 8, 1)),
		withKeys(*f, gguftest.Key{"tokenizer.ggml.eos_token_id", uint32(1<<32 - 1)}),
		withKeys(*f, gguftest.Key{"tokenizer.ggml.eos_token_id", nil}),
	} {
		if err := loadGGUF(g.Bytes(), model.Options{}); err != nil {
			t.Error(err)
		}
	}
}
