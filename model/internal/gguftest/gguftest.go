// Package gguftest writes GGUF files for tests, sound and other ones.
package gguftest

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Types of values.
const (
	typeU8 uint32 = iota
	typeI8
	typeU16
	typeI16
	typeU32
	typeI32
	typeF32
	typeBool
	typeString
	typeArray
	typeU64
	typeI64
	typeF64
)

// Key is a key of the metadata and its value, whose Go type decides its type.
type Key [2]any

// Tensor is a tensor.
type Tensor struct {
	Name string
	Dims []uint64 // innermost first
	Kind uint32   // ggml's number of the type
	Data []byte
}

// NewTensor makes a Tensor.
func NewTensor(name string, dims []uint64, kind uint32, data []byte) Tensor {
	return Tensor{name, dims, kind, data}
}

// File is written as it says, sound or not.
type File struct {
	Version   uint32 // 0: 3
	Alignment int    // 0: 32
	Keys      []Key
	Tensors   []Tensor
	Offsets   map[int]uint64 // of tensors, in place of the right ones
}

func text(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// Raw is a value as it is in the file, its type first.
type Raw []byte

// AppendValue appends a value and, before it, its type.
func AppendValue(b []byte, value any) []byte {
	le := binary.LittleEndian
	kind := func(k uint32) { b = le.AppendUint32(b, k) }
	list := func(k uint32, n int) {
		kind(typeArray)
		kind(k)
		b = le.AppendUint64(b, uint64(n))
	}
	switch v := value.(type) {
	case Raw:
		b = append(b, v...)
	case uint8:
		kind(typeU8)
		b = append(b, v)
	case int8:
		kind(typeI8)
		b = append(b, byte(v))
	case uint16:
		kind(typeU16)
		b = le.AppendUint16(b, v)
	case int16:
		kind(typeI16)
		b = le.AppendUint16(b, uint16(v))
	case uint32:
		kind(typeU32)
		b = le.AppendUint32(b, v)
	case int32:
		kind(typeI32)
		b = le.AppendUint32(b, uint32(v))
	case uint64:
		kind(typeU64)
		b = le.AppendUint64(b, v)
	case int64:
		kind(typeI64)
		b = le.AppendUint64(b, uint64(v))
	case float32:
		kind(typeF32)
		b = le.AppendUint32(b, math.Float32bits(v))
	case float64:
		kind(typeF64)
		b = le.AppendUint64(b, math.Float64bits(v))
	case bool:
		kind(typeBool)
		b = append(b, map[bool]byte{true: 1}[v])
	case string:
		kind(typeString)
		b = text(b, v)
	case []string:
		list(typeString, len(v))
		for _, s := range v {
			b = text(b, s)
		}
	case []int32:
		list(typeI32, len(v))
		for _, n := range v {
			b = le.AppendUint32(b, uint32(n))
		}
	case []float32:
		list(typeF32, len(v))
		for _, x := range v {
			b = le.AppendUint32(b, math.Float32bits(x))
		}
	default:
		panic(fmt.Sprintf("no GGUF type for %T", value))
	}
	return b
}

// Bytes is the file.
func (f *File) Bytes() []byte {
	le := binary.LittleEndian
	version, alignment := f.Version, f.Alignment
	if version == 0 {
		version = 3
	}
	if alignment == 0 {
		alignment = 32
	}
	pad := func(b []byte) []byte { return append(b, make([]byte, (alignment-len(b)%alignment)%alignment)...) }
	b := le.AppendUint32([]byte("GGUF"), version)
	b = le.AppendUint64(b, uint64(len(f.Tensors)))
	b = le.AppendUint64(b, uint64(len(f.Keys)))
	for _, k := range f.Keys {
		b = AppendValue(text(b, k[0].(string)), k[1])
	}
	var data []byte
	for i, t := range f.Tensors {
		b = le.AppendUint32(text(b, t.Name), uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = le.AppendUint64(b, d)
		}
		offset, ok := f.Offsets[i]
		if !ok {
			offset = uint64(len(data))
		}
		b = le.AppendUint64(le.AppendUint32(b, t.Kind), offset)
		data = pad(append(data, t.Data...))
	}
	return append(pad(b), data...)
}
