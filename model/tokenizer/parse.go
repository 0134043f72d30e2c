package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
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
	if f.Version != nil && *f.Version != "1.0" {
		return nil, fmt.Errorf("version: %s is not supported", quote(*f.Version))
	}
	if f.Model == nil {
		return nil, fmt.Errorf("model: missing")
	}
	t := &Tokenizer{growth: 1}
	if err := t.setModel(f.Model); err != nil {
		return nil, err
	}
	// Added tokens of kind "normalized" are normalized themselves.
	if err := t.setNormalizer(f.Normalizer, "normalizer", 0); err != nil {
		return nil, err
	}
	if err := t.setAdded(f.AddedTokens); err != nil {
		return nil, err
	}
	if err := t.setPreTokenizer(f.PreTokenizer, "pre_tokenizer", 0); err != nil {
		return nil, err
	}
	if err := t.setPostProcessor(f.PostProcessor, "post_processor", 0); err != nil {
		return nil, err
	}
	if err := t.setDecoder(f.Decoder); err != nil {
		return nil, err
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

func (t *Tokenizer) setModel(f *modelEntry) error {
	switch {
	case f.Type != "BPE":
		return fmt.Errorf("model.type: %s is not supported, only \"BPE\"", quote(f.Type))
	case f.Dropout != 0:
		return fmt.Errorf("model.dropout: %g is not supported", f.Dropout)
	case f.Prefix != "":
		return fmt.Errorf("model.continuing_subword_prefix: %s is not supported", quote(f.Prefix))
	case f.Suffix != "":
		return fmt.Errorf("model.end_of_word_suffix: %s is not supported", quote(f.Suffix))
	case len(f.Vocab) == 0:
		return fmt.Errorf("model.vocab: missing or empty")
	case f.Merges == nil:
		return fmt.Errorf("model.merges: missing")
	}
	m := &t.bpe
	m.fuseUnk, m.byteFallback, m.ignoreMerges = f.FuseUnk, f.ByteFallback, f.IgnoreMerges
	m.vocab = make(map[string]int32, len(f.Vocab))
	for _, e := range f.Vocab {
		if old, ok := m.vocab[e.token]; ok {
			return fmt.Errorf("model.vocab[%s]: duplicate, with ids %d and %d", quote(e.token), old, e.id)
		}
		m.vocab[e.token] = e.id
		if err := t.addToken(e.token, e.id, len(f.Vocab)); err != nil {
			return fmt.Errorf("model.vocab[%s]: %w", quote(e.token), err)
		}
	}
	m.unk = -1
	if f.UnkToken != nil {
		id, ok := m.vocab[*f.UnkToken]
		if !ok {
			return fmt.Errorf("model.unk_token: %s is not in the vocabulary", quote(*f.UnkToken))
		}
		m.unk = id
	}
	m.merges = make(map[pair]merge, len(f.Merges))
	var both []byte
	for rank, parts := range f.Merges {
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
	if most := 4*count + 1<<18; id < 0 || int(id) >= most {
		return fmt.Errorf("id %d is out of range for %d tokens", id, count)
	}
	if t.has(id) {
		return fmt.Errorf("duplicate id %d, which is that of %s", id, quote(t.tokens[id]))
	}
	if n := int(id) + 1 - len(t.tokens); n > 0 {
		t.tokens = append(t.tokens, make([]string, n)...)
		t.known = append(t.known, make([]bool, n)...)
		t.special = append(t.special, make([]bool, n)...)
	}
	t.tokens[id], t.known[id] = token, true
	return nil
}

func (t *Tokenizer) setAdded(entries []addedEntry) error {
	var plain, normalized []addedToken
	t.addedIDs = make(map[string]int32, len(entries))
	for i, e := range entries {
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
			if err := t.addToken(a.content, a.id, len(t.bpe.vocab)+len(entries)); err != nil {
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

// replacement returns what a Replace of a normalizer or decoder does. Growth,
// the times that a text may get longer, is bounded over all of them.
func (c *component) replacement(path string, growth *int) (from, to string, err error) {
	if c.Pattern.Regex != nil || c.Pattern.String == nil || *c.Pattern.String == "" || c.Content == nil {
		return "", "", fmt.Errorf("%s: Replace needs a pattern of kind String and a content", path)
	}
	from, to = *c.Pattern.String, *c.Content
	if *growth *= max(1, (len(to)+len(from)-1)/len(from)); *growth > 8 {
		return "", "", fmt.Errorf("%s: makes a text more than 8 times longer", path)
	}
	return from, to, nil
}

// each calls f for the parts of a Sequence.
func each(parts []component, path string, depth int, f func(c *component, path string, depth int) error) error {
	if depth >= maxDepth {
		return fmt.Errorf("%.20s…: nested more than %d deep", path, maxDepth)
	}
	for i := range parts {
		if err := f(&parts[i], fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *component) unsupported(path string) error {
	return fmt.Errorf("%s.type: %s is not supported", path, quote(c.Type))
}

// metaspace reads what the pre-tokenizer and the decoder have in common.
func (c *component) metaspace(path string) (m metaspace, err error) {
	if c.Replacement == nil || utf8.RuneCountInString(*c.Replacement) != 1 {
		return m, fmt.Errorf("%s.replacement: not one character", path)
	}
	m = metaspace{mark: *c.Replacement, scheme: "always"}
	if c.PrependScheme != nil {
		m.scheme = *c.PrependScheme
	}
	if !strings.Contains(" always first never ", " "+m.scheme+" ") {
		return m, fmt.Errorf("%s.prepend_scheme: %s is not supported", path, quote(m.scheme))
	}
	// Older files have this instead of the scheme, or both.
	if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
		m.scheme = "never"
	}
	return m, nil
}
