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
	const blocks = 3
	kind := &intTile{bits: 8, block: 32}
	gw := kerneltest.NewGuard[uint8](t, 4*blocks*(64+1024))
	gx := kerneltest.NewGuard[uint8](t, 2*blocks*ref.BlockRecord(32, 64))
	gy := kerneltest.NewGuard[float32](t, 64*(64*blocks+denseGap))
	for tokens := 1; tokens <= 64; tokens++ {
		n := 1 + tokens%blocks
		o := newIntTileCase(kind, kerneltest.Rand(uint64(tokens)), 4*n, tokens, 2, 0)
		one := len(o.x)
		for range 2 * (n - 1) {
			o.x = append(o.x, intRecord(kerneltest.Rand(uint64(len(o.x))), tokens, 32)...)
		}
		for add := range 2 {
			want := slices.Clone(o.y)
			for tile := range o.tiles {
				ref.Int(o.w[tile*o.stride:], 8, 32, false, o.x[tile/4*one:], 2, tokens, want[16*tile:], o.ldy, add == 1, 0)
			}
			for _, place := range kerneltest.Places {
				w, x, got := gw.Copy(o.w, place), gx.Copy(o.x, place), gy.Copy(o.y, place)
				DiagonalInt8AMX(unsafe.Pointer(&w[0]), n, tokens, unsafe.Pointer(&x[0]), &got[0], o.ldy, add)
				sameBits(t, fmt.Sprintf("%d tokens, %d blocks, add %d, %+v", tokens, n, add, place), got, want)
				gy.Check(t)
			}
		}
	}
}
