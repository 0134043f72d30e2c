package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// decoder turns tokens into text. Its kinds are exclusive.
type decoder struct {
	pieces []byte   // what the tokens stand for, one after the other
	ends   []uint32 // [VocabSize] where each ends in pieces

	byteLevel bool // pieces are bytes of UTF-8

	sentencePiece bool // see appendPiece; with byteFallback, replace and strip

	metaspace *metaspace // its mark is a space; in the first token nothing, unless the scheme is never

	replace      [][2]string    // old, new: done in pieces already
	byteFallback bool           // <0x41> is a byte
	bytes        map[int32]byte // the ids that are
	stripMark    string         // a character, dropped up to strip times
	strip        int            // at the start of the text
}

// prepare spells all tokens out, so that decoding only copies.
func (d *decoder) prepare(tokens []string) {
	d.ends = make([]uint32, len(tokens))
	d.bytes = map[int32]byte{}
	for id, token := range tokens {
		switch {
		case d.byteLevel:
			d.pieces, _ = appendRaw(d.pieces, token)
		case d.metaspace != nil:
			d.pieces = append(d.pieces, strings.ReplaceAll(token, d.metaspace.mark, " ")...)
		default:
			for _, r := range d.replace {
				token = strings.ReplaceAll(token, r[0], r[1])
			}
			if b, ok := byteToken(token); ok && d.byteFallback {
				d.bytes[int32(id)] = b
			}
			d.pieces = append(d.pieces, token...)
		}
		d.ends[id] = uint32(len(d.pieces))
	}
}

func (d *decoder) piece(id int32) []byte {
	start := uint32(0)
	if id > 0 {
		start = d.ends[id-1]
	}
	return d.pieces[start:d.ends[id]]
}

// byteToken reads <0x41>.
func byteToken(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	var b byte
	for _, c := range []byte(s[3:5]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		b = b<<4 | c
	}
	return b, true
}

// Decode returns the text of ids. Ids without a token are skipped; bytes that
// are not UTF-8 become U+FFFD as in the tokenizers library.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	d := t.NewDecoder(skipSpecial)
	text := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		text = d.append(text, id)
	}
	return string(d.flush(text))
}

// Decoder decodes one text as its ids come in. The pieces together are what
// Decode makes of all ids. It is for one goroutine.
type Decoder struct {
	t           *Tokenizer
	skipSpecial bool
	pending     []byte // bytes whose text depends on what follows
	begun       bool   // a token has been seen
	strip       int    // marks that may still be dropped from the start
}

// NewDecoder returns a decoder for a new text.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{t: t, skipSpecial: skipSpecial, strip: t.decoder.strip}
}

// Next takes the next id and returns the text that is now certain. What may
// become part of a character waits: the incomplete UTF-8 at the end, and in a
// vocabulary with byte fallback a whole run of byte tokens, because one broken
// byte in the run turns all of it into U+FFFD.
func (d *Decoder) Next(id int32) string { return string(d.append(nil, id)) }

// Flush ends the text and returns what Next held back.
func (d *Decoder) Flush() string { return string(d.flush(nil)) }

func (d *Decoder) append(dst []byte, id int32) []byte {
	t := d.t
	if t.decoder.sentencePiece {
		return d.appendPiece(dst, id)
	}
	if !t.has(id) || d.skipSpecial && t.special[id] {
		return dst
	}
	first := !d.begun
	d.begun = true
	piece := t.decoder.piece(id)
	switch {
	case t.decoder.byteLevel:
		if len(d.pending) > 0 {
			d.pending = append(d.pending, piece...)
			piece = d.pending
		}
		dst, piece = appendLossy(dst, piece, true)
		d.pending = append(d.pending[:0], piece...)
		return dst
	case first && t.decoder.metaspace != nil && t.decoder.metaspace.scheme != "never":
		return append(dst, strings.ReplaceAll(t.tokens[id], t.decoder.metaspace.mark, "")...)
	}
	if b, ok := t.decoder.bytes[id]; ok {
		d.pending = append(d.pending, b)
		return dst
	}
	return d.appendStripped(d.flush(dst), piece)
}

func (d *Decoder) flush(dst []byte) []byte {
	if d.t.decoder.sentencePiece {
		return d.appendBytes(dst, false)
	}
	run := d.pending
	d.pending = run[:0]
	switch {
	case d.t.decoder.byteLevel:
		dst, _ = appendLossy(dst, run, false)
		return dst
	case len(run) == 0:
		return dst
	case utf8.Valid(run):
		return d.appendStripped(dst, run)
	}
	return d.appendStripped(dst, []byte(strings.Repeat("\ufffd", len(run))))
}

// appendStripped adds text, less the marks that the start of all text loses.
func (d *Decoder) appendStripped(dst, text []byte) []byte {
	mark := d.t.decoder.stripMark
	for d.strip > 0 && len(text) > 0 {
		if !strings.HasPrefix(string(text), mark) {
			d.strip = 0
			break
		}
		text = text[len(mark):]
		d.strip--
	}
	return append(dst, text...)
}
