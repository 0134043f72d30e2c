package model

import (
	"slices"

	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
	"armor/model/llama"
	"armor/model/qwen"
	"armor/model/tokenizer"
)

// shapeOfGGUF is ShapeOf for a GGUF file.
func shapeOfGGUF(ck *checkpoint.Checkpoint) (s Shape, err error) {
	const key = "general.architecture"
	if s.Architecture, err = ck.GGUF().String(key); err != nil {
		return s, err
	}
	switch s.Architecture {
	case "llama":
		c, err := llama.ConfigGGUF(ck)
		return Shape{s.Architecture, c.Config, c.Extras()}, err
	case "qwen2", "qwen3":
		c, err := qwen.ConfigGGUF(ck)
		return Shape{s.Architecture, c.Config, c.Extras()}, err
	}
	return s, ck.GGUF().Errorf(key, "%s is not supported, want llama, qwen2 or qwen3", strictjson.Quote(s.Architecture))
}

// Bounds on a vocabulary: the largest in use have 262,144 tokens and 514,906
// merges.
const (
	maxTokens = 1 << 19
	maxMerges = 1 << 20
)

// tokenizerOfGGUF reads the keys tokenizer.ggml.*.
func tokenizerOfGGUF(g *checkpoint.GGUF) (*tokenizer.Tokenizer, error) {
	r := vocabularyReader{g: g}
	v := tokenizer.Vocabulary{
		Model: r.text("model"), Pre: r.text("pre"),
		BOS: r.id("bos_token_id"), EOS: r.id("eos_token_id"), Unknown: r.id("unknown_token_id"),
		AddBOS: r.flag("add_bos_token"), AddEOS: r.flag("add_eos_token"), AddSpace: r.flag("add_space_prefix"),
	}
	if on := r.flag("remove_extra_whitespaces"); on != nil && *on {
		r.fail(g.Errorf(ggml+"remove_extra_whitespaces", "true is not supported, want false"))
	}
	if g.Has(ggml + "precompiled_charsmap") {
		r.fail(g.Errorf(ggml+"precompiled_charsmap", "normalization by such a map is not supported"))
	}
	if r.err != nil {
		return nil, r.err
	}
	if v.Tokens, r.err = g.Strings(ggml+"tokens", maxTokens); r.err != nil {
		return nil, r.err
	}
	if r.has("token_type") {
		v.Types, r.err = g.Int32s(ggml+"token_type", maxTokens)
	}
	if r.has("scores") {
		v.Scores, r.err = g.Float32s(ggml+"scores", maxTokens)
	}
	if r.has("merges") {
		v.Merges, r.err = g.Strings(ggml+"merges", maxMerges)
	}
	if r.err != nil {
		return nil, r.err
	}
	t, key, err := tokenizer.FromVocabulary(&v)
	if err != nil {
		return nil, g.Errorf(ggml+key, "%w", err)
	}
	return t, nil
}

const ggml = "tokenizer.ggml."

// vocabularyReader reads single values and keeps the first error.
type vocabularyReader struct {
	g   *checkpoint.GGUF
	err error
}

func (r *vocabularyReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *vocabularyReader) has(key string) bool { return r.err == nil && r.g.Has(ggml+key) }

func (r *vocabularyReader) text(key string) string {
	if !r.has(key) {
		return ""
	}
	s, err := r.g.String(ggml + key)
	r.fail(err)
	return s
}

func (r *vocabularyReader) id(key string) int32 {
	if !r.has(key) {
		return -1
	}
	// Files of old converters have 2^32-1 for none.
	n, err := r.g.Int(ggml+key, -1, 1<<32-1)
	if n == 1<<32-1 {
		n = -1
	}
	if err == nil && n >= maxTokens {
		err = r.g.Errorf(ggml+key, "got %d, want less than %d", n, maxTokens)
	}
	r.fail(err)
	return int32(n)
}

func (r *vocabularyReader) flag(key string) *bool {
	if !r.has(key) {
		return nil
	}
	b, err := r.g.Bool(ggml + key)
	r.fail(err)
	return &b
}

// endTokens end a text wherever they are special tokens, as in llama.cpp: files
// name a single one of those that a model writes.
var endTokens = []string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>"}

// endsOfGGUF gives the tokens that end a text.
func endsOfGGUF(g *checkpoint.GGUF, t *tokenizer.Tokenizer) ([]int32, error) {
	r := vocabularyReader{g: g}
	var stop []int32
	add := func(id int32) {
		if !slices.Contains(stop, id) {
			stop = append(stop, id)
		}
	}
	for _, key := range []string{"eos_token_id", "eot_token_id", "eom_token_id"} {
		id := r.id(key)
		if _, ok := t.Token(id); !ok && id >= 0 {
			r.fail(g.Errorf(ggml+key, "got %d, which is no token", id))
		}
		if id >= 0 {
			add(id)
		}
	}
	for _, token := range endTokens {
		if id, ok := t.ID(token); ok && t.IsSpecial(id) {
			add(id)
		}
	}
	return stop, r.err
}
