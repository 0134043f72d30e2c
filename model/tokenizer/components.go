package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// setNormalizer takes null, NFC, Prepend, Replace and Sequence.
func (t *Tokenizer) setNormalizer(c *component, path string, depth int) error {
	if c == nil {
		return nil
	}
	switch c.Type {
	case "NFC":
		t.normalizer = append(t.normalizer, nfc)
	case "Prepend":
		if c.Prepend == nil || len(*c.Prepend) > maxContent {
			return fmt.Errorf("%s.prepend: missing or too long", path)
		}
		t.normalizer = append(t.normalizer, func(s string) string { return *c.Prepend + s })
	case "Replace":
		from, to, err := c.replacement(path, &t.growth)
		if err != nil {
			return err
		}
		t.normalizer = append(t.normalizer, func(s string) string { return strings.ReplaceAll(s, from, to) })
	case "Sequence":
		return each(c.Normalizers, path+".normalizers", depth, t.setNormalizer)
	default:
		return c.unsupported(path)
	}
	return nil
}

// setPreTokenizer takes null, Metaspace alone, and a Sequence of Split and
// Digits that a ByteLevel may end.
func (t *Tokenizer) setPreTokenizer(c *component, path string, depth int) error {
	if c == nil {
		return nil
	}
	if t.bpe.byteLevel || t.metaspace != nil || c.Type == "Metaspace" && len(t.words) > 0 {
		return fmt.Errorf("%s.type: %s after another pre-tokenizer is not supported", path, quote(c.Type))
	}
	switch c.Type {
	case "Sequence":
		return each(c.Pretokenizers, path+".pretokenizers", depth, t.setPreTokenizer)
	case "Split":
		step, err := c.split(path)
		if err != nil {
			return err
		}
		t.words = append(t.words, step)
	case "Digits":
		next := scanDigits
		if c.IndividualDigits != nil && *c.IndividualDigits {
			next = scanSingleDigits
		}
		t.words = append(t.words, scan(next))
	case "ByteLevel":
		t.bpe.byteLevel = true
		if c.AddPrefixSpace != nil && *c.AddPrefixSpace {
			t.words = append(t.words, prefixSpace)
		}
		if c.UseRegex == nil || *c.UseRegex {
			t.words = append(t.words, scan(scanGPT2))
		}
	case "Metaspace":
		m, err := c.metaspace(path)
		if err != nil {
			return err
		}
		t.metaspace = &m
		if c.Split == nil || *c.Split {
			t.words = append(t.words, scan(scanWord(m.mark, false)))
		}
	default:
		return c.unsupported(path)
	}
	return nil
}

func (c *component) split(path string) (preTokenizer, error) {
	switch {
	case c.Behavior == nil || *c.Behavior != "Isolated":
		return nil, fmt.Errorf("%s.behavior: only \"Isolated\" is supported", path)
	case c.Invert:
		return nil, fmt.Errorf("%s.invert: true is not supported", path)
	case c.Pattern.Regex == nil || c.Pattern.String != nil:
		return nil, fmt.Errorf("%s.pattern: only Regex is supported", path)
	}
	if next := scanner(*c.Pattern.Regex); next != nil {
		return scan(next), nil
	}
	re, err := compile(*c.Pattern.Regex)
	if err != nil {
		return nil, fmt.Errorf("%s.pattern.Regex: %w", path, err)
	}
	return split(re), nil
}

// setPostProcessor takes null, ByteLevel (which only moves offsets),
// TemplateProcessing and Sequence.
func (t *Tokenizer) setPostProcessor(c *component, path string, depth int) error {
	if c == nil {
		return nil
	}
	switch c.Type {
	case "ByteLevel":
		return nil
	case "Sequence":
		return each(c.Processors, path+".processors", depth, t.setPostProcessor)
	case "TemplateProcessing":
		return t.setTemplate(c, path)
	}
	return c.unsupported(path)
}

func (t *Tokenizer) setTemplate(c *component, path string) error {
	var sides [2][]int32 // before and after the text
	texts := 0
	for i, part := range c.Single {
		path := fmt.Sprintf("%s.single[%d]", path, i)
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
		return fmt.Errorf("%s.single: no Sequence A", path)
	}
	if len(t.prefix)+len(t.suffix) > 0 {
		return fmt.Errorf("%s: a second template is not supported", path)
	}
	t.prefix, t.suffix = sides[0], sides[1]
	return nil
}

// setDecoder takes ByteLevel, Metaspace and the Sequence of Llama 2: any
// number of Replace, then ByteFallback, Fuse and Strip, or the first of these.
func (t *Tokenizer) setDecoder(c *component) error {
	if c == nil {
		return fmt.Errorf("decoder: missing or null, which is not supported")
	}
	d := &t.decoder
	switch c.Type {
	case "ByteLevel":
		d.byteLevel = true
		return nil
	case "Metaspace":
		m, err := c.metaspace("decoder")
		d.metaspace = &m
		return err
	case "Sequence":
	default:
		return c.unsupported("decoder")
	}
	order := []string{"", "Replace", "ByteFallback", "Fuse", "Strip"}
	stage, growth := 0, 1
	for i := range c.Decoders {
		c, path := &c.Decoders[i], fmt.Sprintf("decoder.decoders[%d]", i)
		if c.Type != "Replace" || stage != 1 {
			stage++
		}
		for stage < 3 && order[stage] != c.Type {
			stage++ // Replace and ByteFallback may be absent
		}
		if stage >= len(order) || order[stage] != c.Type {
			return fmt.Errorf("%s.type: %s in this place is not supported", path, quote(c.Type))
		}
		switch c.Type {
		case "Replace":
			from, to, err := c.replacement(path, &growth)
			if err != nil {
				return err
			}
			d.replace = append(d.replace, [2]string{from, to})
		case "ByteFallback":
			d.byteFallback = true
		case "Strip":
			if c.Content == nil || utf8.RuneCountInString(*c.Content) != 1 || c.Stop != 0 {
				return fmt.Errorf("%s: Strip needs one character as content and a stop of 0", path)
			}
			d.stripMark, d.strip = *c.Content, c.Start
		}
	}
	return nil
}
