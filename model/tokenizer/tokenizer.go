// Package tokenizer turns text into token ids and back, as the Hugging Face
// tokenizers library does for byte-pair encoding with a byte-level vocabulary
// (GPT-2, Llama 3, Qwen) or a SentencePiece one (Llama 2).
//
// Encoding runs: added tokens cut from the text, normalizer, added tokens of
// kind "normalized", pre-tokenizer (text to words), BPE (word to ids),
// post-processor (ids in front and behind).
package tokenizer

import "strings"

// Tokenizer is immutable and safe for concurrent use.
type Tokenizer struct {
	tokens  []string // [VocabSize] as spelled in the file; "" where no token has the id
	known   []bool   // [VocabSize] a token has this id
	special []bool   // [VocabSize]

	addedIDs        map[string]int32
	added           addedTokens // matched in the text as it is
	addedNormalized addedTokens // matched in the normalized text
	normalizer      []func(string) string
	metaspace       *metaspace
	words           []preTokenizer
	bpe             bpe
	prefix, suffix  []int32 // what the post-processor adds
	decoder         decoder
}

// Options say how a text is encoded.
type Options struct {
	// AddSpecial lets the post-processor add its tokens (BOS and the like).
	AddSpecial bool
	// ParseSpecial makes special tokens written in the text control tokens;
	// otherwise they are text. Added tokens that are not special always count.
	ParseSpecial bool
	// Guarded takes out the marks that Guard has put in.
	Guarded bool
}

// Encode returns the ids of text. Bytes that are not UTF-8 are encoded as they
// are. Characters that the vocabulary cannot express are lost where it has no
// unknown token, as in the tokenizers library. While a word of n bytes is merged
// it takes 32 n bytes of memory; a word has no bound in a text without spaces.
func (t *Tokenizer) Encode(text string, o Options) []int32 {
	return t.AppendEncode(make([]int32, 0, len(text)/4+8), text, o)
}

// AppendEncode appends the ids of text to dst.
func (t *Tokenizer) AppendEncode(dst []int32, text string, o Options) []int32 {
	if o.AddSpecial {
		dst = append(dst, t.prefix...)
	}
	words := func(word string) { dst = t.bpe.append(dst, word) }
	for i := len(t.words) - 1; i >= 0; i-- {
		words = t.words[i](words)
	}
	t.added.cut(text, o.ParseSpecial, func(start, end int, id int32) {
		if id >= 0 {
			dst = append(dst, id)
			return
		}
		part := t.normalize(text[start:end])
		t.addedNormalized.cut(part, o.ParseSpecial, func(from, to int, id int32) {
			if id >= 0 {
				dst = append(dst, id)
				return
			}
			piece := part[from:to]
			if o.Guarded {
				piece = strings.ReplaceAll(piece, guardMark, "")
			}
			if t.metaspace != nil {
				piece = t.metaspace.apply(piece, start == 0 && from == 0)
			}
			words(piece)
		})
	})
	if o.AddSpecial {
		dst = append(dst, t.suffix...)
	}
	return dst
}

func (t *Tokenizer) normalize(s string) string {
	for _, f := range t.normalizer {
		s = f(s)
	}
	return s
}

// VocabSize returns the highest id plus one. A model's embedding may have more
// rows (padding) or, in a broken model, fewer.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// ID returns the id of a token as spelled in the vocabulary: "Ġthe", "▁the".
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.bpe.vocab[token]
	if !ok {
		id, ok = t.addedIDs[token]
	}
	return id, ok
}

// Token returns the spelling of id in the vocabulary; false if no token has it.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if !t.has(id) {
		return "", false
	}
	return t.tokens[id], true
}

// IsSpecial says whether id is an added token of kind special.
func (t *Tokenizer) IsSpecial(id int32) bool { return t.has(id) && t.special[id] }

func (t *Tokenizer) has(id int32) bool {
	return id >= 0 && int(id) < len(t.known) && t.known[id]
}
