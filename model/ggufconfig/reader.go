// Package ggufconfig reads what the metadata of Llama-like GGUF files have in
// common. Each family's package reads its own keys with the same Reader.
package ggufconfig

import (
	"strings"

	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// Reader reads the keys of one architecture, which begin with its name. It keeps
// the first error, after which its methods return zero values.
type Reader struct {
	ck     *checkpoint.Checkpoint
	g      *checkpoint.GGUF
	prefix string // "llama."
	err    error
}

// NewReader requires the file to be of one of architectures and reads its keys.
func NewReader(ck *checkpoint.Checkpoint, architectures ...string) *Reader {
	r := &Reader{ck: ck, g: ck.GGUF()}
	r.prefix = r.OneOf("general.architecture", "", architectures...) + "."
	return r
}

// Architecture is the one that the file names.
func (r *Reader) Architecture() string { return strings.TrimSuffix(r.prefix, ".") }

// Err returns the first error: one line that names file and key.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) has(key string) bool { return r.err == nil && r.g.Has(r.prefix+key) }

// Int reads a key that must be there, from lo to hi.
func (r *Reader) Int(key string, lo, hi int) int {
	if r.err != nil {
		return 0
	}
	v, err := r.g.Int(r.prefix+key, lo, hi)
	r.fail(err)
	return v
}

// IntOr is Int with a default for an absent key.
func (r *Reader) IntOr(key string, absent, lo, hi int) int {
	if !r.has(key) {
		return absent
	}
	return r.Int(key, lo, hi)
}

// FloatOr reads a float from lo to hi.
func (r *Reader) FloatOr(key string, absent, lo, hi float64) float64 {
	if !r.has(key) {
		return absent
	}
	return r.float(key, lo, hi)
}

func (r *Reader) float(key string, lo, hi float64) float64 {
	if r.err != nil {
		return 0
	}
	v, err := r.g.Float(r.prefix+key, lo, hi)
	r.fail(err)
	return v
}

// OneOf requires a string to be one of supported; absent stands for an absent
// key, unless it is empty.
func (r *Reader) OneOf(key, absent string, supported ...string) string {
	if r.err != nil || absent != "" && !r.has(key) {
		return absent
	}
	v, err := r.g.String(r.prefix + key)
	r.fail(err)
	for _, s := range supported {
		if v == s {
			return v
		}
	}
	if r.err == nil {
		r.fail(r.g.Errorf(r.prefix+key, "%s is not supported, want %s", strictjson.Quote(v), strings.Join(supported, " or ")))
	}
	return ""
}

// RefuseCount refuses a whole number but 0.
func (r *Reader) RefuseCount(key, reason string) {
	if n := r.IntOr(key, 0, 0, 1<<30); n != 0 {
		r.fail(r.g.Errorf(r.prefix+key, "%s are not supported: got %d, want 0", reason, n))
	}
}

// RefuseFloat refuses a number but the ones that mean nothing: 0 and none.
func (r *Reader) RefuseFloat(key string, none float64) {
	if x := r.FloatOr(key, 0, -1e9, 1e9); x != 0 && x != none {
		r.fail(r.g.Errorf(r.prefix+key, "%g is not supported, want %g", x, none))
	}
}

// Require refuses a switch that is not as want.
func (r *Reader) Require(key string, want bool) {
	if !r.has(key) {
		return
	}
	v, err := r.g.Bool(r.prefix + key)
	if err == nil && v != want {
		err = r.g.Errorf(r.prefix+key, "%t is not supported, want %t", v, want)
	}
	r.fail(err)
}
