package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// setNormalizer takes NFC, Prepend and Replace.
func (t *Tokenizer) setNormalizer(f *file) error {
	leaves, err := f.Normalizer.leaves("normalizer", "normalizers")
	growth := 1
	for _, c := range leaves {
		switch c.Type {
		case "NFC":
			t.normalizer = append(t.normalizer, nfc)
		case "Prepend":
			if c.Prepend == nil || len(*c.Prepend) > maxContent {
				return fmt.Errorf("%s.prepend: missing or too long", c.path)
			}
			t.normalizer = append(t.normalizer, func(s string) string { return *c.Prepend + s })
		case "Replace":
			from, to, err := c.replacement(&growth)
			if err != nil {
				return err
			}
			t.normalizer = append(t.normalizer, func(s string) string { return strings.ReplaceAll(s, from, to) })
		default:
			return c.unsupported()
		}
	}
	return err
}

// replacement reads a Replace of a normalizer or decoder. Growth, the times
// that a text may get longer, is bounded over all of them.
func (c leaf) replacement(growth *int) (from, to string, err error) {
	if c.Pattern.Regex != nil || c.Pattern.String == nil || *c.Pattern.String == "" || c.Content == nil {
		return "", "", fmt.Errorf("%s: Replace needs a pattern of kind String and a content", c.path)
	}
	from, to = *c.Pattern.String, *c.Content
	if *growth *= max(1, (len(to)+len(from)-1)/len(from)); *growth > 8 {
		return "", "", fmt.Errorf("%s: makes a text more than 8 times longer", c.path)
	}
	return from, to, nil
}

// setPreTokenizer takes Metaspace alone, or Split and Digits that a ByteLevel
// may follow.
func (t *Tokenizer) setPreTokenizer(f *file) error {
	leaves, err := f.PreTokenizer.leaves("pre_tokenizer", "pretokenizers")
	for i, c := range leaves {
		last := i == len(leaves)-1
		switch {
		case c.Type == "Split":
			step, err := c.split()
			if err != nil {
				return err
			}
			t.words = append(t.words, step)
		case c.Type == "Digits" && isTrue(c.IndividualDigits, false):
			t.words = append(t.words, scan(scanSingleDigits))
		case c.Type == "Digits":
			t.words = append(t.words, scan(scanDigits))
		case c.Type == "ByteLevel" && last:
			t.bpe.byteLevel = true
			if isTrue(c.AddPrefixSpace, true) {
				t.words = append(t.words, prefixSpace)
			}
			if isTrue(c.UseRegex, true) {
				t.words = append(t.words, scan(scanGPT2))
			}
		case c.Type == "Metaspace" && len(leaves) == 1:
			if t.metaspace, err = c.metaspace(); err != nil {
				return err
			}
			if isTrue(c.Split, true) {
				t.words = append(t.words, scan(scanWord(t.metaspace.mark, false)))
			}
		default:
			return c.unsupported()
		}
	}
	return err
}

func isTrue(b *bool, absent bool) bool {
	if b == nil {
		return absent
	}
	return *b
}

func (c leaf) split() (preTokenizer, error) {
	switch {
	case c.Behavior == nil || *c.Behavior != "Isolated":
		return nil, fmt.Errorf("%s.behavior: only \"Isolated\" is supported", c.path)
	case c.Invert:
		return nil, fmt.Errorf("%s.invert: true is not supported", c.path)
	case c.Pattern.Regex == nil || c.Pattern.String != nil:
		return nil, fmt.Errorf("%s.pattern: only Regex is supported", c.path)
	}
	if next := scanner(*c.Pattern.Regex); next != nil {
		return scan(next), nil
	}
	re, err := compile(*c.Pattern.Regex)
	if err != nil {
		return nil, fmt.Errorf("%s.pattern.Regex: %w", c.path, err)
	}
	return split(re), nil
}

// metaspace reads what the pre-tokenizer and the decoder have in common.
func (c leaf) metaspace() (*metaspace, error) {
	if c.Replacement == nil || utf8.RuneCountInString(*c.Replacement) != 1 {
		return nil, fmt.Errorf("%s.replacement: not one character", c.path)
	}
	m := &metaspace{mark: *c.Replacement, scheme: "always"}
	if c.PrependScheme != nil {
		m.scheme = *c.PrependScheme
	}
	if m.scheme != "always" && m.scheme != "first" && m.scheme != "never" {
		return nil, fmt.Errorf("%s.prepend_scheme: %s is not supported", c.path, quote(m.scheme))
	}
	// Older files have this instead of the scheme, or both.
	if !isTrue(c.AddPrefixSpace, true) {
		m.scheme = "never"
	}
	return m, nil
}

// setPostProcessor takes ByteLevel, which only moves offsets, and one
// TemplateProcessing.
func (t *Tokenizer) setPostProcessor(f *file) error {
	leaves, err := f.PostProcessor.leaves("post_processor", "processors")
	for _, c := range leaves {
		switch {
		case c.Type == "ByteLevel":
		case c.Type == "TemplateProcessing" && len(t.prefix)+len(t.suffix) == 0:
			if err := t.setTemplate(c); err != nil {
				return err
			}
		default:
			return c.unsupported()
		}
	}
	return err
}

func (t *Tokenizer) setTemplate(c leaf) error {
	var sides [2][]int32 // before and after the text
	texts := 0
	for i, part := range c.Single {
		path := fmt.Sprintf("%s.single[%d]", c.path, i)
		switch {
		case part.Sequence != nil && part.SpecialToken == nil && part.Sequence.ID == "A" && texts == 0:
			texts = 1
		case part.SpecialToken != nil && part.Sequence == nil:
			token, ok := c.SpecialTokens[part.SpecialToken.ID]
			if !ok {
				return fmt.Errorf("%s: %s is not among special_tokens", path, quote(part.SpecialToken.ID))
			}
			for _, id := range token.IDs {
				if !t.has(id) {
					return fmt.Errorf("%s: %s has id %d, which is no token", path, quote(part.SpecialToken.ID), id)
				}
			}
			sides[texts] = append(sides[texts], token.IDs...)
		default:
			return fmt.Errorf("%s: neither a SpecialToken nor the Sequence A for the first time", path)
		}
	}
	if texts == 0 {
		return fmt.Errorf("%s.single: no Sequence A", c.path)
	}
	t.prefix, t.suffix = sides[0], sides[1]
	return nil
}

// setDecoder takes ByteLevel or Metaspace alone, or what Llama 2 has: any
// number of Replace, ByteFallback or not, and at the end Fuse or Fuse and Strip.
func (t *Tokenizer) setDecoder(f *file) error {
	leaves, err := f.Decoder.leaves("decoder", "decoders")
	if f.Decoder == nil {
		return fmt.Errorf("decoder: missing or null, which is not supported")
	}
	d := &t.decoder
	growth, before := 1, ""
	for _, c := range leaves {
		switch {
		case c.Type == "ByteLevel" && len(leaves) == 1:
			d.byteLevel = true
		case c.Type == "Metaspace" && len(leaves) == 1:
			if d.metaspace, err = c.metaspace(); err != nil {
				return err
			}
		case c.Type == "Replace" && (before == "" || before == "Replace"):
			from, to, err := c.replacement(&growth)
			if err != nil {
				return err
			}
			d.replace = append(d.replace, [2]string{from, to})
		case c.Type == "ByteFallback" && (before == "" || before == "Replace"):
			d.byteFallback = true
		case c.Type == "Fuse" && before != "Fuse" && before != "Strip":
		case c.Type == "Strip" && before == "Fuse":
			if c.Content == nil || utf8.RuneCountInString(*c.Content) != 1 || c.Stop != 0 {
				return fmt.Errorf("%s: Strip needs one character as content and a stop of 0", c.path)
			}
			d.stripMark, d.strip = *c.Content, c.Start
		default:
			return c.unsupported()
		}
		before = c.Type
	}
	return err
}
