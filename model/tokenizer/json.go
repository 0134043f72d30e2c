package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxFile  = 256 << 20 // bytes of tokenizer.json; Qwen's has 11 MB
	maxDepth = 8         // Sequence inside Sequence
)

// file is a tokenizer.json.
type file struct {
	Version       *string
	Truncation    json.RawMessage // a text is never cut or filled up here,
	Padding       json.RawMessage // whatever the file was saved with
	AddedTokens   []addedEntry    `json:"added_tokens"`
	Normalizer    *component
	PreTokenizer  *component `json:"pre_tokenizer"`
	PostProcessor *component `json:"post_processor"`
	Decoder       *component
	Model         *modelEntry

	unknownKey error // the first; the rest has been read all the same
}

type addedEntry struct {
	ID         *int32
	Content    *string
	SingleWord *bool `json:"single_word"`
	LStrip     *bool
	RStrip     *bool
	Normalized *bool
	Special    *bool
}

type modelEntry struct {
	Type         string
	Dropout      float64
	UnkToken     *string `json:"unk_token"`
	Prefix       string  `json:"continuing_subword_prefix"`
	Suffix       string  `json:"end_of_word_suffix"`
	FuseUnk      bool    `json:"fuse_unk"`
	ByteFallback bool    `json:"byte_fallback"`
	IgnoreMerges bool    `json:"ignore_merges"`
	Vocab        vocabEntries
	Merges       mergeEntries
}

// component has the keys of every kind of normalizer, pre-tokenizer,
// post-processor and decoder; nil is absent or null.
type component struct {
	Type                                             string
	Normalizers, Pretokenizers, Processors, Decoders []component
	Prepend, Content, Behavior, Replacement          *string
	Pattern                                          struct{ String, Regex *string }
	Invert                                           bool
	IndividualDigits                                 *bool   `json:"individual_digits"`
	AddPrefixSpace                                   *bool   `json:"add_prefix_space"`
	UseRegex                                         *bool   `json:"use_regex"`
	TrimOffsets                                      bool    `json:"trim_offsets"` // offsets are not kept here
	PrependScheme                                    *string `json:"prepend_scheme"`
	Split                                            *bool
	Start, Stop                                      int
	Single                                           []templatePart
	Pair                                             json.RawMessage           // texts in pairs are not for language models
	SpecialTokens                                    map[string]templateTokens `json:"special_tokens"`
}

type templatePart struct {
	SpecialToken, Sequence *struct {
		ID     string
		TypeID int `json:"type_id"`
	}
}

type templateTokens struct {
	ID     string
	IDs    []int32
	Tokens []string
}

// readJSON reads data strictly: unknown keys and other types are errors.
func readJSON(data []byte) (*file, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("tokenizer of %d bytes, more than %d", len(data), maxFile)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("invalid UTF-8 in tokenizer JSON")
	}
	f := new(file)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(f)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return nil, fmt.Errorf("%s: got %s, want %s", cmp.Or(strings.ToLower(wrong.Field), "tokenizer JSON"), short(wrong.Value), jsonKinds.Replace(wrong.Type.Kind().String()))
	}
	if errors.As(err, new(entryError)) {
		return nil, err
	}
	if err != nil && strings.HasPrefix(err.Error(), "json: unknown field") {
		f.unknownKey, err = fmt.Errorf("tokenizer JSON: %s", short(err.Error()[len("json: "):])), nil
	}
	if err == nil && len(bytes.TrimSpace(data[d.InputOffset():])) > 0 {
		err = errors.New("more text after the end")
	}
	if err != nil {
		return nil, fmt.Errorf("invalid tokenizer JSON: %s", short(strings.TrimPrefix(err.Error(), "json: ")))
	}
	return f, nil
}

var jsonKinds = strings.NewReplacer("struct", "object", "map", "object", "slice", "array", "int32", "integer")

// short keeps a hostile string from filling the terminal.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func quote(s string) string { return strconv.Quote(short(s)) }

// entryError is an error that names the entry of vocab or merges.
type entryError struct{ error }

func entryErrorf(format string, args ...any) error { return entryError{fmt.Errorf(format, args...)} }

// vocabEntries and mergeEntries are read by hand: encoding/json takes several
// times as long, drops duplicate tokens and cannot say which entry is wrong.
type vocabEntries []vocabEntry

type vocabEntry struct {
	token string
	id    int32
}

func (v *vocabEntries) UnmarshalJSON(b []byte) error {
	t := jsonTokens{rest: string(b)}
	if kind, _ := t.next(); kind != '{' {
		return entryErrorf("model.vocab: not an object")
	}
	*v = make(vocabEntries, 0, len(b)/24)
	for {
		kind, token := t.next()
		if kind == '}' {
			return nil
		}
		kind, number := t.next()
		id, err := strconv.ParseInt(number, 10, 32)
		switch {
		case kind != '0' || errors.Is(err, strconv.ErrSyntax):
			return entryErrorf("model.vocab[%s]: the id is not an integer", quote(token))
		case strings.HasPrefix(number, "-"):
			return entryErrorf("model.vocab[%s]: id %s is negative", quote(token), short(number))
		case err != nil:
			return entryErrorf("model.vocab[%s]: id %s is out of range", quote(token), short(number))
		}
		*v = append(*v, vocabEntry{token, int32(id)})
	}
}

// mergeEntries are the two parts of each merge: "a b" or ["a", "b"].
type mergeEntries [][2]string

func (m *mergeEntries) UnmarshalJSON(b []byte) error {
	t := jsonTokens{rest: string(b)}
	if kind, _ := t.next(); kind != '[' {
		return entryErrorf("model.merges: not an array")
	}
	*m = make(mergeEntries, 0, len(b)/40)
	for i := 0; ; i++ {
		var left, right string
		var ok bool
		switch kind, text := t.next(); kind {
		case ']':
			return nil
		case '"':
			left, right, ok = strings.Cut(text, " ")
			ok = ok && !strings.Contains(right, " ")
		case '[':
			var kinds [3]byte
			kinds[0], left = t.next()
			kinds[1], right = t.next()
			kinds[2], _ = t.next()
			ok = kinds == [3]byte{'"', '"', ']'}
		}
		if !ok {
			return entryErrorf("model.merges[%d]: not a pair of strings, or a string of two parts with a space between", i)
		}
		*m = append(*m, [2]string{left, right})
	}
}

// jsonTokens goes through JSON that encoding/json has found valid.
type jsonTokens struct{ rest string }

// next returns the kind of the next token (its first byte, but '0' for numbers,
// booleans and null) and the text of strings and numbers; 0 at the end.
func (t *jsonTokens) next() (kind byte, text string) {
	i := 0
	for i < len(t.rest) && (t.rest[i] <= ' ' || t.rest[i] == ',' || t.rest[i] == ':') {
		i++
	}
	s, n := t.rest[i:], 1
	if s == "" {
		return 0, ""
	}
	switch kind = s[0]; kind {
	case '{', '}', '[', ']':
	case '"':
		escapes := false
		for ; s[n] != '"'; n++ {
			if s[n] == '\\' {
				escapes = true
				n++
			}
		}
		n++
		text = s[1 : n-1]
		if escapes {
			plain := "" // a variable of its own, as it goes to the heap
			_ = json.Unmarshal([]byte(s[:n]), &plain)
			text = plain
		}
	default:
		kind = '0'
		if n = strings.IndexAny(s, " \t\r\n,]}"); n < 0 {
			n = len(s)
		}
		text = s[:n]
	}
	t.rest = s[n:]
	return kind, text
}
