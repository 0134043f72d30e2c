// Package strictjson reads JSON objects from files that nobody vouches for. It
// refuses what encoding/json lets pass or changes: duplicate keys at any depth,
// keys that differ only in case, invalid UTF-8, lone surrogates, deep nesting.
// Errors are one short printable line each and name the key.
package strictjson

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Bounds on one document. They hold time and memory to a small multiple of its
// length.
const (
	MaxDepth   = 64      // objects and arrays within one another
	MaxMembers = 1 << 20 // members of all its objects together
)

// Object is one JSON object, its values not yet read.
type Object struct {
	within  string // "rope_scaling." in the object of that key
	keys    []string
	members map[string]json.RawMessage
}

// Parse reads a document that is one object, with nothing but white space
// around it. The object keeps data.
func Parse(data []byte) (*Object, error) {
	return parse(data, "")
}

func parse(data []byte, within string) (*Object, error) {
	s := scanner{data: data}
	s.space()
	if c, ok := s.peek(); ok && c != '{' {
		begin := s.pos
		if err := s.value(1); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("got %s, want a JSON object", show(data[begin:s.pos]))
	}
	o := &Object{within: within, members: map[string]json.RawMessage{}}
	if err := s.object(1, o.add); err != nil {
		return nil, err
	}
	s.space()
	if s.pos < len(data) {
		return nil, s.errorf("trailing text after the object")
	}
	return o, nil
}

// add reports whether key is new.
func (o *Object) add(key string, value []byte) bool {
	if _, ok := o.members[key]; ok {
		return false
	}
	o.keys = append(o.keys, key)
	o.members[key] = value
	return true
}

// Keys gives the keys in the order of the document.
func (o *Object) Keys() []string { return o.keys }

// Has reports whether key is there, be it null.
func (o *Object) Has(key string) bool { return o.members[key] != nil }

// Null reports whether key is there and null.
func (o *Object) Null(key string) bool { return string(o.members[key]) == "null" }

// Set reports whether key is there and not null.
func (o *Object) Set(key string) bool { return o.Has(key) && !o.Null(key) }

// Raw gives the text of a value, nil where the key is absent.
func (o *Object) Raw(key string) json.RawMessage { return o.members[key] }

// Errorf makes an error that names key of this object.
func (o *Object) Errorf(key, format string, args ...any) error {
	return fmt.Errorf("key %s: %w", Name(o.within+key), fmt.Errorf(format, args...))
}

func (o *Object) wrong(key, want string) error {
	if !o.Has(key) {
		return o.Errorf(key, "missing, want %s", want)
	}
	return o.Errorf(key, "got %s, want %s", show(o.members[key]), want)
}

// Int reads a whole number from lo to hi. It may be spelled as a float (64.0).
func (o *Object) Int(key string, lo, hi int) (int, error) {
	if n, ok := whole(o.members[key]); ok && n >= int64(lo) && n <= int64(hi) {
		return int(n), nil
	}
	return 0, o.wrong(key, fmt.Sprintf("a whole number from %d to %d", lo, hi))
}

// Float reads a number from lo to hi.
func (o *Object) Float(key string, lo, hi float64) (float64, error) {
	raw := o.members[key]
	if isNumber(raw) {
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil && f >= lo && f <= hi {
			return f, nil
		}
	}
	return 0, o.wrong(key, fmt.Sprintf("a number from %g to %g", lo, hi))
}

// Bool reads true or false.
func (o *Object) Bool(key string) (bool, error) {
	switch string(o.members[key]) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, o.wrong(key, "true or false")
}

// String reads a string.
func (o *Object) String(key string) (string, error) {
	raw := o.members[key]
	if len(raw) == 0 || raw[0] != '"' {
		return "", o.wrong(key, "a string")
	}
	return unquote(raw), nil
}

// Object reads an object.
func (o *Object) Object(key string) (*Object, error) {
	raw := o.members[key]
	if len(raw) == 0 || raw[0] != '{' {
		return nil, o.wrong(key, "an object")
	}
	return parse(raw, o.within+key+".")
}

// Array reads an array of at most max elements, each its text.
func (o *Object) Array(key string, max int) ([]json.RawMessage, error) {
	raw := o.members[key]
	if len(raw) == 0 || raw[0] != '[' {
		return nil, o.wrong(key, "an array")
	}
	var elements []json.RawMessage
	s := scanner{data: raw}
	err := s.array(1, func(element []byte) error {
		if len(elements) == max {
			return o.Errorf(key, "too many elements, want at most %d", max)
		}
		elements = append(elements, element)
		return nil
	})
	return elements, err
}

// Strings reads an array of at most max strings.
func (o *Object) Strings(key string, max int) ([]string, error) {
	elements, err := o.Array(key, max)
	if err != nil {
		return nil, err
	}
	values := make([]string, len(elements))
	for i, e := range elements {
		if e[0] != '"' {
			return nil, o.Errorf(key, "got %s in it, want strings", show(e))
		}
		values[i] = unquote(e)
	}
	return values, nil
}

// Naturals reads an array of at most max whole numbers from 0 to 2^63-1.
func (o *Object) Naturals(key string, max int) ([]int64, error) {
	elements, err := o.Array(key, max)
	if err != nil {
		return nil, err
	}
	values := make([]int64, len(elements))
	for i, e := range elements {
		n, err := strconv.ParseInt(string(e), 10, 64)
		if err != nil || n < 0 {
			return nil, o.Errorf(key, "got %s in it, want whole numbers from 0 to 2^63-1", show(e))
		}
		values[i] = n
	}
	return values, nil
}

func isNumber(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9')
}

// whole reads a number that an int64 holds exactly.
func whole(raw []byte) (int64, bool) {
	if !isNumber(raw) {
		return 0, false
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}
