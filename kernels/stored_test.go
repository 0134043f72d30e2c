package kernels

import (
	"encoding/binary"
	"math"
	"testing"

	"armor/kernels/internal/kerneltest"
)

// TestWidenBF16: every bfloat16 in every place of 16, with the same bits.
func TestWidenBF16(t *testing.T) {
	all := make([]byte, 2<<16+1)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(all[2*i+1:], uint16(i))
	}
	for from := range 17 {
		dst := make([]float32, 1<<16-from)
		WidenBF16(dst, all[2*from+1:])
		for i, v := range dst {
			if math.Float32bits(v) != uint32(from+i)<<16 {
				t.Fatalf("%#x became %#x", from+i, math.Float32bits(v))
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("another length did not panic")
		}
	}()
	WidenBF16(make([]float32, 2), all[:3])
}

func TestNotFinite(t *testing.T) {
	rng := kerneltest.Rand(1)
	inf := float32(math.Inf(1))
	bad := []float32{inf, -inf, float32(math.NaN()), math.Float32frombits(0x7f800001), math.Float32frombits(0xffffffff)}
	good := []float32{0, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, 1}
	for _, n := range kerneltest.Lengths() {
		x := make([]float32, n)
		for i := range x {
			x[i] = good[rng.IntN(len(good))]
		}
		if got := NotFinite(x); got != -1 {
			t.Fatalf("%d finite numbers: got %d", n, got)
		}
		for at := range x {
			last := x[n-1]
			x[n-1], x[at] = bad[0], bad[rng.IntN(len(bad))]
			if got := NotFinite(x); got != at {
				t.Fatalf("%d of %d: got %d", at, n, got)
			}
			x[n-1], x[at] = last, 1
		}
	}
}
