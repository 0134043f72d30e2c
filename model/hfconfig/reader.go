// Package hfconfig reads what the config.json of Llama-like Hugging Face models
// have in common. Each family's package reads its own keys with the same Reader.
package hfconfig

import (
	"slices"

	"armor/model/checkpoint/strictjson"
	"armor/model/nn"
)

// Reader reads the keys of one config.json. It keeps the first error, after
// which its methods return zero values.
type Reader struct {
	keys *strictjson.Object
	err  error
}

// NewReader reads the text of a config.json.
func NewReader(data []byte) *Reader {
	r := &Reader{}
	r.keys, r.err = strictjson.Parse(data)
	return r
}

// Err returns the first error: one line that names the key, without the path.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Int reads a key that must be there, from lo to hi.
func (r *Reader) Int(key string, lo, hi int) int {
	if r.err != nil {
		return 0
	}
	v, err := r.keys.Int(key, lo, hi)
	r.fail(err)
	return v
}

// IntOr is Int with a default for an absent key.
func (r *Reader) IntOr(key string, absent, lo, hi int) int {
	if r.err != nil || !r.keys.Has(key) {
		return absent
	}
	return r.Int(key, lo, hi)
}

// FloatOr reads a number from lo to hi.
func (r *Reader) FloatOr(key string, absent, lo, hi float64) float64 {
	if r.err != nil || !r.keys.Has(key) {
		return absent
	}
	v, err := r.keys.Float(key, lo, hi)
	r.fail(err)
	return v
}

// BoolOr reads true or false.
func (r *Reader) BoolOr(key string, absent bool) bool {
	if r.err != nil || !r.keys.Has(key) {
		return absent
	}
	v, err := r.keys.Bool(key)
	r.fail(err)
	return v
}

// RefuseTrue refuses a switch that is on.
func (r *Reader) RefuseTrue(key string) {
	if r.BoolOr(key, false) {
		r.fail(r.keys.Errorf(key, "true is not supported, want false"))
	}
}

// RefuseSet refuses a key that is there and not null.
func (r *Reader) RefuseSet(key, reason string) {
	if r.err == nil && r.keys.Set(key) {
		r.fail(r.keys.Errorf(key, "%s are not supported, want none", reason))
	}
}

// RefuseCount refuses a key unless it is null or 0.
func (r *Reader) RefuseCount(key, reason string) {
	if r.err != nil || !r.keys.Set(key) {
		return
	}
	if n, err := r.keys.Float(key, 0, 0); err != nil || n != 0 {
		r.fail(r.keys.Errorf(key, "%s are not supported, want none", reason))
	}
}

// RefuseWindow refuses attention to the last so many positions only, where that
// is fewer than context.
func (r *Reader) RefuseWindow(key string, context int) {
	if r.err != nil || !r.keys.Set(key) {
		return
	}
	if n := r.Int(key, 0, nn.MaxContext); r.err == nil && n < context {
		r.fail(r.keys.Errorf(key, "%d is not supported, want null or at least max_position_embeddings %d", n, context))
	}
}

// OneOf requires a string to be one of supported; an absent key passes.
func (r *Reader) OneOf(key string, supported ...string) {
	if r.err != nil || !r.keys.Has(key) {
		return
	}
	v, err := r.keys.String(key)
	if err == nil && !slices.Contains(supported, v) {
		err = r.unsupported(key, v, supported)
	}
	r.fail(err)
}

func (r *Reader) unsupported(key, got string, supported []string) error {
	return r.keys.Errorf(key, "%s is not supported, want %s", strictjson.Quote(got), either(supported))
}

// either spells a choice: "a, b or c".
func either(names []string) string {
	text := names[0]
	for i, n := range names[1:] {
		if i == len(names)-2 {
			text += " or " + n
		} else {
			text += ", " + n
		}
	}
	return text
}
