package tokenizer

import (
	"strings"
	"testing"
)

// small is a byte-level tokenizer with everything that Llama 3's has.
const small = `{"version": "1.0", "truncation": null, "padding": null,
"added_tokens": [
 {"id": 9, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
 {"id": 10, "content": "<t>", "single_word": true, "lstrip": true, "rstrip": true, "normalized": true, "special": false}],
"normalizer": {"type": "NFC"},
"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
 {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\p{N}"}, "behavior": "Isolated", "invert": false},
 {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
 "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}}},
"decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
"model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
 "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
 "vocab": {"a": 0, "b": 1, "c": 2, "\u0120": 3, "\u00c3": 4, "\u00a9": 5, "ab": 6, "abc": 7, "cab": 8},
 "merges": ["a b", ["ab", "c"]]}}`

// smallSP is one of Llama 2's kind.
const smallSP = `{"version": "1.0", "truncation": null, "padding": null,
"added_tokens": [{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
"pre_tokenizer": null, "post_processor": null,
"decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
 {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
"model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
 "fuse_unk": true, "byte_fallback": true,
 "vocab": {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "▁a": 4, "<0xC3>": 5, "<0xA9>": 6, "▁▁": 7, "ab": 8},
 "merges": ["▁ a", "a b", "▁ ▁"]}}`

func TestParseErrors(t *testing.T) {
	deep := strings.Repeat(`{"type": "Sequence", "normalizers": [`, 20) + strings.Repeat("]}", 20)
	for _, c := range []struct{ old, new, want string }{
		{`"version": "1.0"`, `"version": "2.0"`, `version: "2.0" is not supported`},
		{`"version"`, `"verzion"`, `tokenizer JSON: unknown field "verzion"`},
		{`"merges": ["a b"`, `"merges": ["a c"`, `model.merges[0]: "a c" gives "ac", which is not in the vocabulary`},
		{`["ab", "c"]`, `["ab", "x"]`, `model.merges[1]: "x" is not in the vocabulary`},
		{`["ab", "c"]`, `["", "c"]`, `model.merges[1]: empty part`},
		{`["ab", "c"]`, `["ab", "c", "c"]`, `model.merges[1]: not a pair of strings`},
		{`["ab", "c"]`, `["ab", ["c"]]`, `model.merges[1]: not a pair of strings`},
		{`["ab", "c"]`, `7`, `model.merges[1]: not a pair of strings`},
		{`["ab", "c"]`, `"abc"`, `model.merges[1]: not a pair of strings`},
		{`["ab", "c"]`, `"a b c"`, `model.merges[1]: not a pair of strings`},
		{`"merges": ["a b", ["ab", "c"]]`, `"merges": {"a": "b"}`, `model.merges: not an array`},
		{`"merges": ["a b", ["ab", "c"]]`, `"merges": null`, `model.merges: not an array`},
		{`, 
 "merges": ["a b", ["ab", "c"]]`, ``, `model.merges: missing`},
		{`"abc": 7`, `"abc": -7`, `model.vocab["abc"]: id -7 is negative`},
		{`"abc": 7`, `"abc": "7"`, `model.vocab["abc"]: the id is not an integer`},
		{`"abc": 7`, `"abc": 7.0`, `model.vocab["abc"]: the id is not an integer`},
		{`"abc": 7`, `"abc": {}`, `model.vocab["abc"]: the id is not an integer`},
		{`"abc": 7`, `"abc": 2147483648`, `model.vocab["abc"]: id 2147483648 is out of range`},
		{`"abc": 7`, `"abc": 2147483647`, `model.vocab["abc"]: id 2147483647 is out of range for 9 tokens`},
		{`"abc": 7`, `"abc": 8`, `model.vocab["cab"]: duplicate id 8, in the vocabulary already as "abc"`},
		{`"abc": 7`, `"abc": 7, "abc": 11`, `model.vocab["abc"]: duplicate, with ids 7 and 11`},
		{`"type": "BPE"`, `"type": "Unigram"`, `model.type: "Unigram" is not supported, only "BPE"`},
		{`"type": "BPE"`, `"type": "Unigram", "max": 1`, `model.type: "Unigram" is not supported, only "BPE"`},
		{`"dropout": null`, `"dropout": 0.1`, `model.dropout: 0.1 is not supported`},
		{`"end_of_word_suffix": null`, `"end_of_word_suffix": "</w>"`, `model: continuing_subword_prefix "" and end_of_word_suffix "</w>": only empty ones are supported`},
		{`"unk_token": null`, `"unk_token": "?"`, `model.unk_token: "?" is not in the vocabulary`},
		{`"fuse_unk": false`, `"fuse_unk": 1`, `model.fuse_unk: got number, want bool`},
		{`{"type": "NFC"}`, `{"type": "NFKC"}`, `normalizer.type: "NFKC" is not supported`},
		{`{"type": "NFC"}`, `"NFC"`, `normalizer: got string, want object`},
		{`{"type": "NFC"}`, deep, `nested more than 8 deep`},
		{`{"type": "NFC"}`, `{"type": "Replace", "pattern": {"Regex": "a"}, "content": "b"}`, `normalizer: Replace needs a pattern of kind String and a content`},
		{`{"type": "NFC"}`, `{"type": "Replace", "pattern": {"String": "a"}, "content": "0123456789"}`, `normalizer: makes a text more than 8 times longer`},
		{`{"type": "ByteLevel", "add_prefix_space": false`, `{"type": "Magic", "add_prefix_space": false`, `pre_tokenizer.pretokenizers[1].type: "Magic" is not supported`},
		{`"Isolated"`, `"Removed"`, `pre_tokenizer.pretokenizers[0].behavior: only "Isolated" is supported`},
		{`"invert": false`, `"invert": true`, `pre_tokenizer.pretokenizers[0].invert: true is not supported`},
		{`\\p{L}+|\\p{N}`, `([a-z`, `pre_tokenizer.pretokenizers[0].pattern.Regex: regular expression does not compile`},
		{`\\p{L}+|\\p{N}`, `\\w+`, `pre_tokenizer.pretokenizers[0].pattern.Regex: regular expression "\\w+" has syntax that is not supported`},
		{`\\p{L}+|\\p{N}`, ``, `pre_tokenizer.pretokenizers[0].pattern.Regex: empty regular expression`},
		{`"id": "A"`, `"id": "B"`, `post_processor.single[1]: neither a SpecialToken nor the Sequence A for the first time`},
		{`"ids": [9]`, `"ids": [11]`, `post_processor.single[0]: "<s>" has id 11, which is no token`},
		{`"special_tokens": {"<s>"`, `"special_tokens": {"<x>"`, `post_processor.single[0]: "<s>" is not among special_tokens`},
		{`"decoder": {`, `"decoder": null, "x": {`, `decoder: missing or null, which is not supported`},
		{`"id": 10`, `"id": 9`, `added_tokens[1].id: duplicate id 9, in the vocabulary already as "<s>"`},
		{`"id": 10`, `"id": -1`, `added_tokens[1].id: id -1 is out of range`},
		{`"id": 10`, `"id": 4294967296`, `added_tokens.id: got number 4294967296, want integer`},
		{`"id": 10, `, ``, `added_tokens[1]: needs id, content,`},
		{`"content": "<t>"`, `"content": "<s>"`, `added_tokens[1].content: duplicate of "<s>"`},
		{`"content": "<t>"`, `"content": ""`, `added_tokens[1].content: 0 bytes, want 1 to 1024`},
		{`"content": "<t>"`, `"content": "ab"`, `added_tokens[1].id: 10, but "ab" has id 6 in the vocabulary`},
		{`"version"`, `7`, `invalid tokenizer JSON: invalid character '7'`},
		{`"1.0"`, "\"\xff\"", `invalid UTF-8`},
		{`["ab", "c"]]}}`, `["ab", "c"]]}} x`, `invalid tokenizer JSON: more text after the end`},
		{small, ``, `invalid tokenizer JSON`},
		{small, `[]`, `tokenizer JSON: got array, want object`},
		{small, `null`, `model: missing`},
	} {
		data := strings.Replace(small, strings.Replace(c.old, ", \n", ",\n", 1), c.new, 1)
		if data == small {
			t.Fatalf("%q is not in the file", c.old)
		}
		_, err := Parse([]byte(data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q:\n got %v\nwant %s", c.new, c.old, err, c.want)
		} else if strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
			t.Errorf("not one short line: %q", err)
		}
	}
}

func TestParseDecoderErrors(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"stop": 0`, `"stop": 1`, `decoder.decoders[3]: Strip needs one character as content and a stop of 0`},
		{`{"type": "ByteFallback"}, {"type": "Fuse"}`, `{"type": "Fuse"}, {"type": "ByteFallback"}`, `decoder.decoders[2].type: "ByteFallback" is not supported here`},
		{`{"type": "Fuse"}, `, ``, `decoder.decoders[2].type: "Strip" is not supported here`},
		{`"pre_tokenizer": null`, `"pre_tokenizer": {"type": "Metaspace", "replacement": "__"}`, `pre_tokenizer.replacement: not one character`},
		{`"pre_tokenizer": null`, `"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}`, `pre_tokenizer.prepend_scheme: "last" is not supported`},
		{`"pre_tokenizer": null`, `"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "Metaspace", "replacement": "_"}]}`,
			`pre_tokenizer.pretokenizers[1].type: "Metaspace" is not supported here`},
	} {
		if !strings.Contains(smallSP, c.old) {
			t.Fatalf("%q is not in the file", c.old)
		}
		if _, err := Parse([]byte(strings.Replace(smallSP, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q:\n got %v\nwant %s", c.new, c.old, err, c.want)
		}
	}
}

// TestSyntax is about regular expressions that this package may hand on.
func TestSyntax(t *testing.T) {
	for _, p := range []string{
		llama3Pattern, gpt2Pattern, gpt2PatternRust, `\p{Han}+|[^\p{L}\r\n]`, `(?<=q)u(?!e)`, `[!-/:-~]+`, `a{2}|b{1,}|c{0,3}`,
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{Lm}]+(?i:'s|'t)?| ?[^\s\p{L}]+[\r\n/]*|\s+(?!\S)`, `[\[\]\\^$-]+`, `(?>a+)b`,
	} {
		if _, err := compile(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range []string{
		`^a`, `a$`, `\w`, `\bx`, `\h`, `\A`, `(?m:a)`, `(?s)a`, `(?<n>a)\k<n>`, `[[:alpha:]]`, `[a-z&&[b]]`, `[a-z-[b]]`, `a{2}+`, `a{2}?`, `a{,2}`,
		`\R`, `\1`, `\x41`, `\u0041`, `\pL`, `(?#x)`, strings.Repeat("a", 5000), `(`, `a**`,
	} {
		if _, err := compile(p); err == nil {
			t.Errorf("%s: accepted", p)
		}
	}
}

// TestSlowPattern gives up on matching, which would take years, and keeps the text.
func TestSlowPattern(t *testing.T) {
	tok := mustParse(t, []byte(strings.Replace(small, `\\p{L}+|\\p{N}`, `(a+)+b`, 1)))
	text := strings.Repeat("a", 60) + "c"
	if got := tok.Decode(tok.Encode(text, Options{}), false); got != text {
		t.Errorf("got %q", got)
	}
}
