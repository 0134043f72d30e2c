package model

import (
	"errors"
	"io/fs"

	"armor/model/checkpoint"
	"armor/model/tokenizer"
	"armor/model/tokenizer/chat"
)

// loadTemplate reads a model's chat template. A broken one does not keep a model
// from generating.
func loadTemplate(ck *checkpoint.Checkpoint, t *tokenizer.Tokenizer) (*chat.Template, error) {
	if g := ck.GGUF(); g != nil {
		return templateOfGGUF(g, t)
	}
	config, err := ck.File("tokenizer_config.json")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	jinja, err := ck.File("chat_template.jinja")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return chat.FromConfig(config, jinja)
}

func templateOfGGUF(g *checkpoint.GGUF, t *tokenizer.Tokenizer) (*chat.Template, error) {
	const key = "tokenizer.chat_template"
	if !g.Has(key) {
		return nil, chat.ErrNoTemplate
	}
	source, err := g.String(key)
	if err != nil {
		return nil, err
	}
	r := vocabularyReader{g: g}
	spelled := func(name string) string {
		s, _ := t.Token(r.id(name)) // "" for none
		return s
	}
	tokens := chat.SpecialTokens{BOS: spelled("bos_token_id"), EOS: spelled("eos_token_id"), PAD: spelled("padding_token_id"), UNK: spelled("unknown_token_id")}
	if r.err != nil {
		return nil, r.err
	}
	return chat.Parse(source, tokens)
}
