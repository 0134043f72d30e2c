package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"armor/model/checkpoint/strictjson"
)

// GGUF is the metadata of a GGUF file: keys and values, which are read from the
// file when they are asked for, until its Checkpoint is closed. Errors are one
// line, "PATH: key NAME: ...". Its methods are safe for concurrent use.
type GGUF struct {
	f      *file
	keys   []string
	values map[string]ggufValue
}

// ggufValue says where a value is: n of a kind, in size bytes from off on.
type ggufValue struct {
	kind      ggufKind
	array     bool
	n         uint64
	off, size int64
}

type ggufKind uint32

const (
	ggufU8 ggufKind = iota
	ggufI8
	ggufU16
	ggufI16
	ggufU32
	ggufI32
	ggufF32
	ggufBool
	ggufString
	ggufArray
	ggufU64
	ggufI64
	ggufF64
)

// size gives the bytes of one value, 0 for those without a fixed size.
func (k ggufKind) size() uint64 {
	switch k {
	case ggufU8, ggufI8, ggufBool:
		return 1
	case ggufU16, ggufI16:
		return 2
	case ggufU32, ggufI32, ggufF32:
		return 4
	case ggufU64, ggufI64, ggufF64:
		return 8
	}
	return 0
}

// describe names the value's type for a message.
func (v *ggufValue) describe() string {
	name := "an integer"
	switch v.kind {
	case ggufF32, ggufF64:
		name = "a float"
	case ggufBool:
		name = "a boolean"
	case ggufString:
		name = "a string"
	}
	if v.array {
		return fmt.Sprintf("an array of %d, each %s", v.n, name)
	}
	return name
}

// Keys gives the keys in the order of the file.
func (g *GGUF) Keys() []string { return slices.Clone(g.keys) }

// Has reports whether key is there.
func (g *GGUF) Has(key string) bool {
	_, ok := g.values[key]
	return ok
}

// Len is the length of an array, 0 where key is no array.
func (g *GGUF) Len(key string) int {
	if v := g.values[key]; v.array {
		return int(v.n) // its elements are in the file
	}
	return 0
}

// Errorf makes an error that names key.
func (g *GGUF) Errorf(key, format string, args ...any) error {
	return fmt.Errorf("%s: key %s: %w", g.f.path, strictjson.Name(key), fmt.Errorf(format, args...))
}

func (g *GGUF) wrong(key, want string) error {
	v, ok := g.values[key]
	if !ok {
		return g.Errorf(key, "missing, want %s", want)
	}
	return g.Errorf(key, "got %s, want %s", v.describe(), want)
}

// read gives the bytes of a value of one of kinds.
func (g *GGUF) read(key, want string, array bool, kinds ...ggufKind) (ggufValue, []byte, error) {
	v, ok := g.values[key]
	if !ok || v.array != array || !slices.Contains(kinds, v.kind) {
		return v, nil, g.wrong(key, want)
	}
	data := make([]byte, v.size)
	if err := g.f.read(data, v.off); err != nil {
		return v, nil, g.Errorf(key, "%w", err)
	}
	if r, ok := g.f.src.(Releaser); ok {
		r.Release(v.off, v.size)
	}
	return v, data, nil
}

// integers reads integers of any width.
func (g *GGUF) integers(key, want string, array bool) ([]int64, error) {
	v, data, err := g.read(key, want, array, ggufU8, ggufI8, ggufU16, ggufI16, ggufU32, ggufI32, ggufU64, ggufI64)
	if err != nil {
		return nil, err
	}
	list := make([]int64, v.n)
	le, size := binary.LittleEndian, int(v.kind.size())
	for i := range list {
		b := data[i*size:]
		switch v.kind {
		case ggufU8:
			list[i] = int64(b[0])
		case ggufI8:
			list[i] = int64(int8(b[0]))
		case ggufU16:
			list[i] = int64(le.Uint16(b))
		case ggufI16:
			list[i] = int64(int16(le.Uint16(b)))
		case ggufU32:
			list[i] = int64(le.Uint32(b))
		case ggufI32:
			list[i] = int64(int32(le.Uint32(b)))
		case ggufU64:
			list[i] = int64(min(le.Uint64(b), math.MaxInt64))
		default:
			list[i] = int64(le.Uint64(b))
		}
	}
	return list, nil
}

// Int reads a whole number from lo to hi.
func (g *GGUF) Int(key string, lo, hi int) (int, error) {
	want := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	list, err := g.integers(key, want, false)
	if err != nil {
		return 0, err
	}
	if n := list[0]; n < int64(lo) || n > int64(hi) {
		return 0, g.Errorf(key, "got %d, want %s", n, want)
	}
	return int(list[0]), nil
}

// Float reads a float from lo to hi.
func (g *GGUF) Float(key string, lo, hi float64) (float64, error) {
	want := fmt.Sprintf("a float from %g to %g", lo, hi)
	v, data, err := g.read(key, want, false, ggufF32, ggufF64)
	if err != nil {
		return 0, err
	}
	var x float64
	if v.kind == ggufF64 {
		x = math.Float64frombits(binary.LittleEndian.Uint64(data))
	} else {
		x = float64(math.Float32frombits(binary.LittleEndian.Uint32(data)))
	}
	if !(x >= lo && x <= hi) {
		return 0, g.Errorf(key, "got %g, want %s", x, want)
	}
	return x, nil
}

// Bool reads true or false.
func (g *GGUF) Bool(key string) (bool, error) {
	_, data, err := g.read(key, "a boolean", false, ggufBool)
	if err != nil {
		return false, err
	}
	if data[0] > 1 {
		return false, g.Errorf(key, "got %d, want a boolean: 0 or 1", data[0])
	}
	return data[0] == 1, nil
}

// String reads a string, which is UTF-8.
func (g *GGUF) String(key string) (string, error) {
	_, data, err := g.read(key, "a string", false, ggufString)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(data[8:]) {
		return "", g.Errorf(key, "invalid UTF-8")
	}
	return string(data[8:]), nil
}

// Strings reads an array of at most so many strings. They may hold any bytes.
func (g *GGUF) Strings(key string, most int) ([]string, error) {
	want := fmt.Sprintf("an array of at most %d strings", most)
	v, data, err := g.array(key, want, most, ggufString)
	if err != nil {
		return nil, err
	}
	text := string(data)
	list := make([]string, v.n)
	for i, at := 0, 0; i < len(list); i++ {
		// Compared again: a file may change while it is open.
		if len(text)-at < 8 || binary.LittleEndian.Uint64(data[at:]) > uint64(len(text)-at-8) {
			return nil, g.Errorf(key, "string %d: longer than what is left", i)
		}
		end := at + 8 + int(binary.LittleEndian.Uint64(data[at:]))
		list[i], at = text[at+8:end], end
	}
	return list, nil
}

// Int32s reads an array of at most so many integers that fit.
func (g *GGUF) Int32s(key string, most int) ([]int32, error) {
	want := fmt.Sprintf("an array of at most %d integers", most)
	if v := g.values[key]; v.n > uint64(most) {
		return nil, g.wrong(key, want)
	}
	wide, err := g.integers(key, want, true)
	if err != nil {
		return nil, err
	}
	list := make([]int32, len(wide))
	for i, n := range wide {
		if list[i] = int32(n); int64(list[i]) != n {
			return nil, g.Errorf(key, "element %d: got %d, want 32 bits", i, n)
		}
	}
	return list, nil
}

// Float32s reads an array of at most so many floats of 32 bits.
func (g *GGUF) Float32s(key string, most int) ([]float32, error) {
	v, data, err := g.array(key, fmt.Sprintf("an array of at most %d floats", most), most, ggufF32)
	if err != nil {
		return nil, err
	}
	list := make([]float32, v.n)
	decodeF32(list, data)
	return list, nil
}

func (g *GGUF) array(key, want string, most int, kind ggufKind) (ggufValue, []byte, error) {
	if v := g.values[key]; v.n > uint64(most) {
		return v, nil, g.wrong(key, want)
	}
	return g.read(key, want, true, kind)
}

// alignment is what tensors begin at multiples of.
func (g *GGUF) alignment() (int64, error) {
	const key, usual = "general.alignment", 32
	if !g.Has(key) {
		return usual, nil
	}
	n, err := g.Int(key, 1, math.MaxInt32)
	if err == nil && n&(n-1) != 0 {
		err = g.Errorf(key, "got %d, want a power of two", n)
	}
	return int64(n), err
}
