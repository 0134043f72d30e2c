package tokenizer

import (
	"fmt"
	"strings"
)

const maxContent = 1024 // bytes of an added token; keeps matching linear

// Parse reads a Hugging Face tokenizer.json. A component, key or value that it
// does not know is an error by name. Errors are one line, without the file's
// name, which the caller knows.
func Parse(data []byte) (*Tokenizer, error) {
	f, err := readJSON(data)
	if err != nil {
		return nil, err
	}
	t := new(Tokenizer)
	for _, set := range []func(*file) error{
		t.setModel,
		t.setNormalizer,
		t.setAdded, // some are normalized themselves
		t.setPreTokenizer,
		t.setPostProcessor,
		t.setDecoder,
	} {
		if err := set(f); err != nil {
			return nil, err
		}
	}
	if f.unknownKey != nil { // last, as an unknown type says more
		return nil, f.unknownKey
	}
	t.finish()
	return t, nil
}

// finish derives what depends on several components.
func (t *Tokenizer) finish() {
	t.bpe.prepare(t.special)
	if t.bpe.wordStarts(t.tokens) {
		t.words = append(t.words, scan(scanWord(spaceMark, true)))
	}
	t.decoder.prepare(t.tokens)
}

func (t *Tokenizer) setModel(f *file) error {
	e := f.Model
	switch {
	case f.Version != nil && *f.Version != "1.0":
		return fmt.Errorf("version: %s is not supported", quote(*f.Version))
	case e == nil:
		return fmt.Errorf("model: missing")
	case e.Type != "BPE":
		return fmt.Errorf("model.type: %s is not supported, only \"BPE\"", quote(e.Type))
	case e.Dropout != 0:
		return fmt.Errorf("model.dropout: %g is not supported", e.Dropout)
	case e.Prefix != "" || e.Suffix != "":
		return fmt.Errorf("model: continuing_subword_prefix %s and end_of_word_suffix %s: only empty ones are supported",
			quote(e.Prefix), quote(e.Suffix))
	case len(e.Vocab) == 0:
		return fmt.Errorf("model.vocab: missing or empty")
	case e.Merges == nil:
		return fmt.Errorf("model.merges: missing")
	}
	m := &t.bpe
	m.fuseUnk, m.byteFallback, m.ignoreMerges = e.FuseUnk, e.ByteFallback, e.IgnoreMerges
	m.vocab = make(map[string]int32, len(e.Vocab))
	for _, v := range e.Vocab {
		if old, ok := m.vocab[v.token]; ok {
			return fmt.Errorf("model.vocab[%s]: duplicate, with ids %d and %d", quote(v.token), old, v.id)
		}
		m.vocab[v.token] = v.id
		if err := t.addToken(v.token, v.id, len(e.Vocab)); err != nil {
			return fmt.Errorf("model.vocab[%s]: %w", quote(v.token), err)
		}
	}
	m.unk = -1
	if e.UnkToken != nil {
		id, ok := m.vocab[*e.UnkToken]
		if !ok {
			return fmt.Errorf("model.unk_token: %s is not in the vocabulary", quote(*e.UnkToken))
		}
		m.unk = id
	}
	m.merges = make(map[pair]merge, len(e.Merges))
	var both []byte
	for rank, parts := range e.Merges {
		left, okLeft := m.vocab[parts[0]]
		right, okRight := m.vocab[parts[1]]
		both = append(append(both[:0], parts[0]...), parts[1]...)
		id, okBoth := m.vocab[string(both)]
		switch {
		case parts[0] == "" || parts[1] == "":
			return fmt.Errorf("model.merges[%d]: empty part", rank)
		case !okLeft:
			return fmt.Errorf("model.merges[%d]: %s is not in the vocabulary", rank, quote(parts[0]))
		case !okRight:
			return fmt.Errorf("model.merges[%d]: %s is not in the vocabulary", rank, quote(parts[1]))
		case !okBoth:
			return fmt.Errorf("model.merges[%d]: %s gives %s, which is not in the vocabulary",
				rank, quote(parts[0]+" "+parts[1]), quote(string(both)))
		}
		// Listed twice, the later one counts, as in the tokenizers library.
		m.merges[pair{left, right}] = merge{int32(rank), id}
	}
	return nil
}

// addToken enters a token in the tables that ids index. An id far beyond the
// number of tokens is refused before a table is sized by it.
func (t *Tokenizer) addToken(token string, id int32, count int) error {
	if id < 0 || int(id) >= 4*count+1<<18 {
		return fmt.Errorf("id %d is out of range for %d tokens", id, count)
	}
	if t.has(id) {
		return fmt.Errorf("duplicate id %d, in the vocabulary already as %s", id, quote(t.tokens[id]))
	}
	if n := int(id) + 1 - len(t.tokens); n > 0 {
		t.tokens = append(t.tokens, make([]string, n)...)
		t.known = append(t.known, make([]bool, n)...)
		t.special = append(t.special, make([]bool, n)...)
	}
	t.tokens[id], t.known[id] = token, true
	return nil
}

func (t *Tokenizer) setAdded(f *file) error {
	var plain, normalized []addedToken
	t.addedIDs = make(map[string]int32, len(f.AddedTokens))
	for i, e := range f.AddedTokens {
		if e.ID == nil || e.Content == nil || e.Special == nil || e.LStrip == nil || e.RStrip == nil ||
			e.SingleWord == nil || e.Normalized == nil {
			return fmt.Errorf("added_tokens[%d]: needs id, content, special, lstrip, rstrip, single_word and normalized", i)
		}
		a := addedToken{*e.Content, *e.ID, *e.Special, *e.LStrip, *e.RStrip, *e.SingleWord}
		if a.content == "" || len(a.content) > maxContent {
			return fmt.Errorf("added_tokens[%d].content: %d bytes, want 1 to %d", i, len(a.content), maxContent)
		}
		if _, ok := t.addedIDs[a.content]; ok {
			return fmt.Errorf("added_tokens[%d].content: duplicate of %s", i, quote(a.content))
		}
		if id, ok := t.bpe.vocab[a.content]; ok && id != a.id {
			return fmt.Errorf("added_tokens[%d].id: %d, but %s has id %d in the vocabulary", i, a.id, quote(a.content), id)
		} else if !ok {
			if err := t.addToken(a.content, a.id, len(t.bpe.vocab)+len(f.AddedTokens)); err != nil {
				return fmt.Errorf("added_tokens[%d].id: %w", i, err)
			}
		}
		t.addedIDs[a.content] = a.id
		t.special[a.id] = a.special
		if *e.Normalized {
			a.content = t.normalize(a.content)
			normalized = append(normalized, a)
		} else {
			plain = append(plain, a)
		}
	}
	t.added, t.addedNormalized = newAddedTokens(plain), newAddedTokens(normalized)
	return nil
}

// leaf is a component that is not a Sequence, and where it is.
type leaf struct {
	*component
	path string
}

// leaves takes Sequences apart; key is the name of their list.
func (c *component) leaves(path, key string) ([]leaf, error) {
	switch {
	case c == nil:
		return nil, nil
	case c.Type != "Sequence":
		return []leaf{{c, path}}, nil
	case strings.Count(path, "[") > maxDepth:
		return nil, fmt.Errorf("%.20s…: nested more than %d deep", path, maxDepth)
	}
	parts := map[string][]component{
		"normalizers": c.Normalizers, "pretokenizers": c.Pretokenizers, "processors": c.Processors, "decoders": c.Decoders,
	}[key]
	var all []leaf
	for i := range parts {
		some, err := parts[i].leaves(fmt.Sprintf("%s.%s[%d]", path, key, i), key)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (c leaf) unsupported() error {
	return fmt.Errorf("%s.type: %s is not supported here", c.path, quote(c.Type))
}
