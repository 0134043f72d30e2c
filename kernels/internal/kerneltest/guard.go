package kerneltest

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"unsafe"
)

// Number is an element of an operand.
type Number interface {
	~int8 | ~uint8 | ~int16 | ~uint16 | ~int32 | ~uint32 | ~float32
}

// Place says where an operand lies in its Guard: Offset elements after the
// forbidden page before it, or before the one after it.
type Place struct {
	Tail   bool
	Offset int
}

// Places are both ends at four alignments each.
var Places = [...]Place{
	{false, 0}, {false, 1}, {false, 3}, {false, 6},
	{true, 0}, {true, 1}, {true, 3}, {true, 6},
}

// Guard is memory between two pages that fault on any access.
type Guard[T Number] struct {
	mem, blank []byte // blank is mem where it holds no operand
	from, to   int    // bytes of the operand
}

// NewGuard makes a Guard for operands of up to n elements.
func NewGuard[T Number](tb testing.TB, n int) *Guard[T] {
	tb.Helper()
	page := os.Getpagesize()
	size := (n + Places[len(Places)-1].Offset) * int(unsafe.Sizeof(T(0)))
	size = (size + page) / page * page // never 0
	mem, free, err := mapGuarded(size, page)
	if err != nil {
		tb.Fatalf("guard pages: %v", err)
	}
	tb.Cleanup(free)
	g := &Guard[T]{mem: mem, blank: bytes.Repeat(canary, size/len(canary))}
	copy(g.mem, g.blank)
	return g
}

// Canaries are NaN as bf16 and as f32, so that what is read
// beside an operand shows in the result.
var canary = []byte{0xe7, 0xff}

// Slice is an operand of n elements, all canaries, as is all memory around it.
// It ends the life of the slice before.
func (g *Guard[T]) Slice(n int, p Place) []T {
	size := int(unsafe.Sizeof(T(0)))
	g.from = p.Offset * size
	if p.Tail {
		g.from = len(g.mem) - (n+p.Offset)*size
	}
	g.to = g.from + n*size
	if g.from < 0 || g.to > len(g.mem) {
		panic("kerneltest: operand larger than its guard")
	}
	copy(g.mem, g.blank)
	// Not mem[from:], as an empty operand may lie at the very end.
	return unsafe.Slice((*T)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(g.mem)), g.from)), n)
}

// Copy is Slice holding the values of src.
func (g *Guard[T]) Copy(src []T, p Place) []T {
	s := g.Slice(len(src), p)
	copy(s, src)
	return s
}

// Check reports a write beside the operand.
func (g *Guard[T]) Check(tb testing.TB) {
	tb.Helper()
	if err := g.check(); err != nil {
		tb.Error(err)
	}
}

func (g *Guard[T]) check() error {
	if bytes.Equal(g.mem[:g.from], g.blank[:g.from]) && bytes.Equal(g.mem[g.to:], g.blank[g.to:]) {
		return nil
	}
	for i, b := range g.mem {
		if b != g.blank[i] && (i < g.from || i >= g.to) {
			return fmt.Errorf("byte %d written beside an operand of %d bytes", i-g.from, g.to-g.from)
		}
	}
	return nil
}
