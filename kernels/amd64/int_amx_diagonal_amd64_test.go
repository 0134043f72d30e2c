//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// TestDiagonalInt8: bits of the reference for all numbers of tokens, and what is beside
// operands unread.
func TestDiagonalInt8(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	t.Run("64", func(t *testing.T) { testDiagonalInt8(t, 1, Diagonal64Int8AMX) })
	t.Run("128", func(t *testing.T) { testDiagonalInt8(t, 2, Diagonal128Int8AMX) })
}

func testDiagonalInt8(t *testing.T, groups int, run func(w unsafe.Pointer, blocks, tokens int, x unsafe.Pointer, y *float32, ldy, add int)) {
	const blocks = 3
	kind := &intKernel{name: t.Name(), isa: kerneltest.AMX, bits: 8}
	gw := kerneltest.NewGuard[uint8](t, 4*groups*blocks*(64+1024*groups))
	gx := kerneltest.NewGuard[uint8](t, groups*blocks*ref.BlockRecord(64, 64))
	gy := kerneltest.NewGuard[float32](t, 64*(64*groups*blocks+denseGap))
	for tokens := 1; tokens <= 64; tokens++ {
		n, rng := 1+tokens%blocks, kerneltest.Rand(uint64(tokens))
		o := newIntCase(kind, rng, 4*groups*n, tokens, groups, 64, intNumbers(tokens/blocks)%intKinds)
		one := len(o.x)
		for range groups * (n - 1) {
			o.x = append(o.x, o.record(rng)...)
		}
		var tiles []byte // one after the other
		for tile := range o.tiles {
			tiles = append(tiles, o.w[tile*o.stride:][:o.stride-intPad]...)
		}
		for add := range 2 {
			want := slices.Clone(o.y)
			for tile := range o.tiles {
				ref.Int(o.plain[tile*o.stride:], 8, 64, false, o.x[tile/(4*groups)*one:], groups, tokens, want[16*tile:], o.ldy, add == 1, 0)
			}
			for _, place := range kerneltest.Places {
				w, x, got := gw.Copy(tiles, place), gx.Copy(o.x, place), gy.Copy(o.y, place)
				run(unsafe.Pointer(&w[0]), n, tokens, unsafe.Pointer(&x[0]), &got[0], o.ldy, add)
				sameBits(t, fmt.Sprintf("%d tokens, %d blocks, add %d, %+v", tokens, n, add, place), got, want)
				gy.Check(t)
			}
		}
	}
}
