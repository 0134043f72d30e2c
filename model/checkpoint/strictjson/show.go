package strictjson

import (
	"strconv"
	"unicode/utf8"
)

const shown = 80 // bytes of a name or value that go into a message

// Name makes a name from a file fit for a message: as it is where it is plain,
// else quoted, and cut short where it is long.
func Name(s string) string {
	plain := s != "" && len(s) <= shown
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] > ' ' && s[i] < 0x7f && s[i] != '"'
	}
	if plain {
		return s
	}
	return Quote(s)
}

// Quote quotes a string from a file for a message and cuts it short where it is
// long.
func Quote(s string) string {
	if len(s) <= shown {
		return strconv.QuoteToASCII(s)
	}
	end := shown
	for end > shown-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strconv.QuoteToASCII(s[:end]) + "..."
}

// show gives a value's text in a message.
func show(raw []byte) string {
	switch {
	case len(raw) == 0:
		return "nothing"
	case raw[0] == '{':
		return "an object"
	case raw[0] == '[':
		return "an array"
	case raw[0] == '"':
		return Quote(unquote(raw))
	case len(raw) > 30:
		return string(raw[:30]) + "..."
	}
	return string(raw)
}
