package kernels

import (
	"encoding/binary"
	"math"
	"testing"

	"armor/kernels/internal/kerneltest"

	"github.com/x448/float16"
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

// TestWidenF16: every float16 in every place of 8, as the library widens it.
func TestWidenF16(t *testing.T) {
	all := make([]byte, 2<<16+1)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(all[2*i+1:], uint16(i))
	}
	for from := range 9 {
		dst := make([]float32, 1<<16-from)
		WidenF16(dst, all[2*from+1:])
		for i, v := range dst {
			if want := float16.Frombits(uint16(from + i)).Float32(); math.Float32bits(v) != math.Float32bits(want) {
				t.Fatalf("%#x became %#x, want %#x", from+i, math.Float32bits(v), math.Float32bits(want))
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("another length did not panic")
		}
	}()
	WidenF16(make([]float32, 2), all[:3])
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

// TestDecodeLengths: slices that are too short for a kernel are the programmer's error.
func TestDecodeLengths(t *testing.T) {
	f, b := make([]float32, 64), make([]byte, 64)
	for i, run := range []func(){
		func() { ScaleCodes(f, b[:63], 0, f[:2], f[:2]) },
		func() { ScaleCodes(f, b, 0, f[:2], f[:1]) },
		func() { ScaleCodes(f, b, 0, f[:1], f[:1]) },
		func() { ScaleCodes(f[:40], b[:40], 0, f[:2], f[:2]) },
		func() { BitFields(b[:33], b, []BitField{{}}, 1, 0, false) },
		func() { BitFields(b[:32], b, []BitField{{At: 33}}, 1, 0, false) },
		func() { BitFields(b[:32], b, []BitField{{Shift: 6}}, 7, 0, false) },
		func() { BitFields(b[:32], b, []BitField{{}}, 3, 7, false) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("case %d did not panic", i)
				}
			}()
			run()
		}()
	}
	ScaleCodes(nil, nil, 0, nil, nil)
	BitFields(nil, nil, nil, 1, 0, false)
}
