package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Vocabulary is what a GGUF file says under its keys tokenizer.ggml.*.
type Vocabulary struct {
	Model, Pre string
	Tokens     []string
	Types      []int32   // [len(Tokens)]: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
	Scores     []float32 // [len(Tokens)], Model "llama"
	Merges     []string  // "a b", Model "gpt2"

	BOS, EOS, Unknown        int32 // -1: none
	AddBOS, AddEOS, AddSpace *bool // nil: as the model has it
}

// Token types.
const (
	typeNormal = 1 + iota
	typeUnknown
	typeControl
	typeUser
	typeUnused
	typeByte
)

const (
	maxPiece  = 256     // bytes of a SentencePiece token: finding its parts is quadratic
	maxPieces = 1 << 20 // ways to merge two tokens; Gemma's 262,144 have 514,906
)

// FromVocabulary makes the tokenizer of a GGUF file: byte-level BPE by merges
// (gpt2) or SentencePiece BPE by scores (llama). Control tokens are special,
// user-defined ones always count, unused ones are no tokens. What it does not
// know is an error by name; key is then the one, behind tokenizer.ggml., at fault.
func FromVocabulary(v *Vocabulary) (t *Tokenizer, key string, err error) {
	t = &Tokenizer{addedIDs: map[string]int32{}}
	t.bpe.unk = -1
	switch v.Model {
	case "gpt2", "llama":
	default:
		return nil, "model", fmt.Errorf("%s is not supported, want \"gpt2\" or \"llama\"", quote(v.Model))
	}
	if key, err = t.addTokens(v); err != nil {
		return nil, key, err
	}
	if v.Model == "gpt2" {
		key, err = t.setByteLevel(v)
	} else {
		key, err = t.setPieces(v)
	}
	if err != nil {
		return nil, key, err
	}
	if key, err = t.setEnds(v); err != nil {
		return nil, key, err
	}
	t.finish()
	return t, "", nil
}

// addTokens fills the tables of tokens.
func (t *Tokenizer) addTokens(v *Vocabulary) (key string, err error) {
	n := len(v.Tokens)
	if n == 0 {
		return "tokens", errors.New("missing or empty")
	}
	if len(v.Types) != n {
		return "token_type", fmt.Errorf("got %d, want one for each of the %d tokens", len(v.Types), n)
	}
	t.tokens, t.known, t.special = make([]string, n), make([]bool, n), make([]bool, n)
	t.bpe.vocab = make(map[string]int32, n)
	var added []addedToken
	for i, token := range v.Tokens {
		id, kind := int32(i), v.Types[i]
		if kind < typeNormal || kind > typeByte {
			return "token_type", fmt.Errorf("token %d: got %d, want 1 to 6", i, kind)
		}
		if kind == typeUnused || token == "" {
			continue
		}
		_, taken := t.ID(token)
		limit := len(token)
		if kind == typeUser || kind == typeControl || kind == typeUnknown {
			limit = maxContent
		} else if v.Model == "llama" {
			limit = maxPiece
		}
		switch {
		case !utf8.ValidString(token):
			return "tokens", fmt.Errorf("token %d: %s is not UTF-8", i, quote(token))
		case taken:
			return "tokens", fmt.Errorf("token %d: duplicate of %s", i, quote(token))
		case len(token) > limit:
			return "tokens", fmt.Errorf("token %d: got %d bytes, want at most %d", i, len(token), limit)
		}
		t.tokens[i], t.known[i] = token, true
		t.special[i] = kind == typeControl || kind == typeUnknown
		if t.special[i] || kind == typeUser {
			added = append(added, addedToken{content: token, id: id, special: t.special[i]})
			t.addedIDs[token] = id
		}
		// Text must not become a control token, so BPE does not know those.
		if !t.special[i] {
			t.bpe.vocab[token] = id
		}
	}
	t.added, t.addedNormalized = newAddedTokens(added), newAddedTokens(nil)
	return "", nil
}

// setByteLevel is the pipeline that pre names, which stands for what a
// tokenizer.json spells out.
func (t *Tokenizer) setByteLevel(v *Vocabulary) (key string, err error) {
	switch v.Pre {
	case "smollm":
		t.words = []preTokenizer{scan(scanSingleDigits), scan(scanGPT2)}
	case "qwen2":
		t.normalizer = []func(string) string{nfc} // not recorded in GGUF
		t.words = []preTokenizer{scan(scanner(qwen2Pattern))}
	case "llama-bpe":
		t.words = []preTokenizer{scan(scanner(llama3Pattern))}
		t.bpe.ignoreMerges = true
	default:
		return "pre", fmt.Errorf("%s is not supported, want \"smollm\", \"qwen2\" or \"llama-bpe\"", quote(v.Pre))
	}
	if isTrue(v.AddSpace, false) {
		return "add_space_prefix", errors.New("true is not supported for the model gpt2, want false")
	}
	t.bpe.byteLevel, t.decoder.byteLevel = true, true
	t.bpe.merges = make(map[pair]merge, len(v.Merges))
	if len(v.Merges) == 0 {
		return "merges", errors.New("missing or empty")
	}
	for rank, text := range v.Merges {
		left, right, ok := strings.Cut(text, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return "merges", fmt.Errorf("merge %d: got %s, want two tokens with a space between", rank, quote(text))
		}
		var ids [3]int32
		for i, token := range []string{left, right, left + right} {
			if ids[i], ok = t.ID(token); !ok {
				return "merges", fmt.Errorf("merge %d: %s is not among the tokens", rank, quote(token))
			}
		}
		t.bpe.merges[pair{ids[0], ids[1]}] = merge{int32(rank), ids[2]}
	}
	return "", nil
}

// setPieces is SentencePiece's BPE, whose normalizer the file does not have: only
// the identity is supported. Any two neighbours merge that together are a normal
// token, the one of the highest score first. A character that is no token becomes
// bytes before merging, in SentencePiece after it: that differs only where it is
// part of a token, which no trained vocabulary has.
func (t *Tokenizer) setPieces(v *Vocabulary) (key string, err error) {
	if len(v.Scores) != len(v.Tokens) {
		return "scores", fmt.Errorf("got %d, want one for each of the %d tokens", len(v.Scores), len(v.Tokens))
	}
	ranked := slices.Clone(v.Scores)
	for i, s := range ranked {
		if s != s {
			return "scores", fmt.Errorf("token %d: got NaN, want a number", i)
		}
	}
	slices.SortFunc(ranked, func(a, b float32) int {
		if a > b {
			return -1
		}
		if a < b {
			return 1
		}
		return 0
	})
	ranked = slices.Compact(ranked)
	t.bpe.merges = map[pair]merge{}
	for i, token := range t.tokens {
		if v.Types[i] != typeNormal {
			continue
		}
		rank, _ := slices.BinarySearchFunc(ranked, v.Scores[i], func(a, b float32) int {
			if a > b {
				return -1
			}
			return 0
		})
		for cut := 1; cut < len(token); cut++ {
			left, ok := t.bpe.vocab[token[:cut]]
			if !ok || v.Types[left] != typeNormal {
				continue
			}
			if right, ok := t.bpe.vocab[token[cut:]]; ok && v.Types[right] == typeNormal {
				t.bpe.merges[pair{left, right}] = merge{int32(rank), int32(i)}
			}
		}
		if len(t.bpe.merges) > maxPieces {
			return "tokens", fmt.Errorf("more than %d ways to merge two of them", maxPieces)
		}
	}
	bytes := 0
	for b := range 256 {
		if id, ok := t.bpe.vocab[fmt.Sprintf("<0x%02X>", b)]; ok && v.Types[id] == typeByte {
			bytes++
		}
	}
	if slices.Contains(v.Types, typeByte) && bytes != 256 {
		return "token_type", fmt.Errorf("got %d of the tokens <0x00> to <0xFF>, want all or none", bytes)
	}
	t.bpe.byteFallback, t.bpe.fuseUnk = bytes > 0, true
	if t.bpe.unk = v.Unknown; t.bpe.unk < 0 {
		t.bpe.unk = int32(slices.Index(v.Types, typeUnknown))
	}
	if t.bpe.unk >= 0 && !t.has(t.bpe.unk) {
		return "unknown_token_id", fmt.Errorf("got %d, which is no token", t.bpe.unk)
	}
	space := isTrue(v.AddSpace, true)
	t.normalizer = []func(string) string{func(s string) string {
		if space {
			s = " " + s
		}
		return strings.ReplaceAll(s, " ", spaceMark)
	}}
	t.decoder.sentencePiece, t.decoder.byteFallback = true, bytes > 0
	t.decoder.replace = [][2]string{{spaceMark, " "}}
	if space {
		t.decoder.strip = 1
	}
	return "", nil
}

// setEnds sets what is added before and after a text, by llama.cpp's defaults.
func (t *Tokenizer) setEnds(v *Vocabulary) (key string, err error) {
	for _, end := range []struct {
		key string
		id  int32
		add bool
		ids *[]int32
	}{
		{"bos_token_id", v.BOS, isTrue(v.AddBOS, v.Model == "llama" || v.Pre == "llama-bpe"), &t.prefix},
		{"eos_token_id", v.EOS, isTrue(v.AddEOS, false), &t.suffix},
	} {
		switch {
		case !end.add:
		case end.id < 0:
			return end.key, errors.New("missing, want the token that is added to a text")
		case !t.has(end.id):
			return end.key, fmt.Errorf("got %d, which is no token", end.id)
		default:
			*end.ids = []int32{end.id}
		}
	}
	return "", nil
}

// unknownText is what SentencePiece makes of an unknown token.
const unknownText = " \u2047 "

// appendPiece is append as SentencePiece decodes: the mark that begins the text
// is dropped unless bytes or an unknown token come first, and of a run of bytes
// each that is not part of a character is U+FFFD.
func (d *Decoder) appendPiece(dst []byte, id int32) []byte {
	t := d.t
	if !t.has(id) {
		return dst
	}
	if b, ok := t.decoder.bytes[id]; ok {
		d.strip, d.pending = 0, append(d.pending, b)
		return d.appendBytes(dst, true)
	}
	dst = d.appendBytes(dst, false)
	switch {
	case d.skipSpecial && id == t.bpe.unk:
		d.strip = 0
		return append(dst, unknownText...)
	case d.skipSpecial && t.special[id]:
		return dst
	}
	piece := t.decoder.piece(id)
	if d.strip > 0 && strings.HasPrefix(t.tokens[id], spaceMark) {
		piece = piece[1:]
	}
	d.strip = 0
	return append(dst, piece...)
}

// appendBytes adds the characters of a run of bytes; with more to come the last,
// incomplete one waits.
func (d *Decoder) appendBytes(dst []byte, more bool) []byte {
	run := d.pending
	for len(run) > 0 && !(more && !utf8.FullRune(run)) {
		r, n := utf8.DecodeRune(run)
		dst, run = utf8.AppendRune(dst, r), run[n:]
	}
	d.pending = append(d.pending[:0], run...)
	return dst
}
