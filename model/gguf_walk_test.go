package model_test

import (
	"encoding/binary"
	"fmt"
)

// ggufNumber is a number that the structure of a GGUF file depends on.
type ggufNumber struct {
	what string
	at   int // in the file
	size int // 4 or 8 bytes
}

// ggufTensor is an entry of a GGUF file.
type ggufTensor struct {
	name string
	kind uint32 // ggml's type
	at   int64  // of its data, in the file
	n    int64  // elements
}

// ggufWalk is a sound GGUF file taken apart, with nothing of the code under test.
type ggufWalk struct {
	data    []byte // all that comes before the tensors' data, at least
	at      int
	numbers []ggufNumber
	borders []int // where one thing ends and the next begins
	values  map[string]int
	tensors []ggufTensor
}

func walkGGUF(data []byte) *ggufWalk {
	w := &ggufWalk{data: data, at: 4, values: map[string]int{}}
	w.number("version", 4)
	tensors, keys := w.number("tensor count", 8), w.number("key count", 8)
	for range keys {
		key := w.text("key")
		kind := w.number(key+" type", 4)
		w.values[key] = w.at
		if kind == 9 {
			kind = w.number(key+" element type", 4)
			w.elements(key, int(kind), int(w.number(key+" length", 8)))
			continue
		}
		w.elements(key, int(kind), 1)
	}
	for range tensors {
		t := ggufTensor{name: w.text("tensor"), n: 1}
		rank := w.number(t.name+" rank", 4)
		for i := range rank {
			t.n *= int64(w.number(fmt.Sprintf("%s dimension %d", t.name, i), 8))
		}
		t.kind = uint32(w.number(t.name+" type", 4))
		t.at = int64(w.number(t.name+" offset", 8))
		w.tensors = append(w.tensors, t)
	}
	for i := range w.tensors {
		w.tensors[i].at += int64(w.at+31) / 32 * 32
	}
	return w
}

func (w *ggufWalk) step(n int) {
	w.at += n
	w.borders = append(w.borders, w.at)
}

func (w *ggufWalk) number(what string, size int) uint64 {
	w.numbers = append(w.numbers, ggufNumber{what, w.at, size})
	v := uint64(binary.LittleEndian.Uint32(w.data[w.at:]))
	if size == 8 {
		v = binary.LittleEndian.Uint64(w.data[w.at:])
	}
	w.step(size)
	return v
}

func (w *ggufWalk) text(what string) string {
	n := int(w.number(what+" length", 8))
	w.step(n)
	return string(w.data[w.at-n : w.at])
}

// elements goes over n values. Of long lists only the ends are noted.
func (w *ggufWalk) elements(key string, kind, n int) {
	sizes := [...]int{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}
	if kind != 8 {
		w.step(n * sizes[kind])
		return
	}
	for i := range n {
		if i < 2 || i == n-1 {
			w.text(fmt.Sprintf("%s, string %d", key, i))
			continue
		}
		w.at += 8 + int(binary.LittleEndian.Uint64(w.data[w.at:]))
	}
}
