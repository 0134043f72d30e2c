package tokenizer

import "unicode/utf8"

// byteChars spells each byte as the printable character that stands for it in
// byte-level vocabularies (GPT-2's bytes_to_unicode): printable Latin-1 stays,
// the other bytes take U+0100 and on, in order.
var byteChars, charBytes = func() (chars [256]string, bytes [0x144]int16) {
	for r := range bytes {
		bytes[r] = -1
	}
	next := 0x100
	for b := range 256 {
		r := b
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		chars[b] = string(rune(r))
		bytes[r] = int16(b)
	}
	return chars, bytes
}()

// appendRaw adds the bytes that a byte-level token stands for; false if it has
// characters that stand for none, and then the token's own bytes.
func appendRaw(dst []byte, token string) ([]byte, bool) {
	start := len(dst)
	for _, r := range token {
		if int(r) >= len(charBytes) || charBytes[r] < 0 {
			return append(dst[:start], token...), false
		}
		dst = append(dst, byte(charBytes[r]))
	}
	return dst, true
}

// appendLossy adds b as text: each maximal run of bytes that could begin a
// character becomes one U+FFFD, as in Rust's from_utf8_lossy. With partial, an
// incomplete character at the end is left and returned.
func appendLossy(dst, b []byte, partial bool) (text, rest []byte) {
	for len(b) > 0 {
		n := validPrefix(b)
		dst = append(dst, b[:n]...)
		b = b[n:]
		if len(b) == 0 || partial && !utf8.FullRune(b) {
			break
		}
		n = 1
		for n < len(b) && !utf8.FullRune(b[:n+1]) {
			n++
		}
		dst = append(dst, "\ufffd"...)
		b = b[n:]
	}
	return dst, b
}

func validPrefix(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}
