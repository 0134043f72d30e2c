//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// TestScaleCodes: every code with every kind of scale and minimum, bit for bit, and
// nothing beside them.
func TestScaleCodes(t *testing.T) {
	kerneltest.Need(t, kerneltest.AVX2)
	rng := kerneltest.Rand(1)
	special := kerneltest.Specials()
	const most = 9 * 32
	gd, gc := kerneltest.NewGuard[float32](t, most), kerneltest.NewGuard[uint8](t, most)
	gs, gl := kerneltest.NewGuard[float32](t, 9), kerneltest.NewGuard[float32](t, 9)
	for run := range 4000 {
		n, each := 1+run%9, 16<<(run/9%2)
		place := kerneltest.Places[run%len(kerneltest.Places)]
		codes, scales, less := gc.Slice(n*each, place), gs.Slice(n, place), gl.Slice(n, place)
		for i := range codes {
			codes[i] = uint8(run + i)
		}
		for i := range scales {
			scales[i], less[i] = special[rng.IntN(len(special))], special[rng.IntN(len(special))]
			if rng.IntN(2) == 0 {
				scales[i], less[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
			}
		}
		want, got := make([]float32, n*each), gd.Slice(n*each, place)
		offset := int32(run % 5 * 8)
		ref.ScaleCodes(want, codes, offset, scales, less, each)
		ScaleCodesAVX2(&got[0], &codes[0], offset, &scales[0], &less[0], n, each)
		for i := range got {
			if got[i] != got[i] && want[i] != want[i] {
				got[i], want[i] = 0, 0 // which NaN is the compiler's choice
			}
		}
		if !kerneltest.Equal(t, fmt.Sprintf("case %d: %d of %d", run, n, each), got, want) {
			return
		}
		gd.Check(t)
	}
}

func TestBitFields(t *testing.T) {
	kerneltest.Need(t, kerneltest.AVX2)
	rng := kerneltest.Rand(2)
	const most = 8
	gc, gs := kerneltest.NewGuard[uint8](t, most*32), kerneltest.NewGuard[uint8](t, 256)
	for run := range 4000 {
		place := kerneltest.Places[run%len(kerneltest.Places)]
		bits := 1 + rng.IntN(4)
		fields := make([]ref.BitField, 1+run%most)
		size := 32
		for i := range fields {
			fields[i] = ref.BitField{At: uint8(rng.IntN(225)), Shift: uint8(rng.IntN(9 - bits))}
			size = max(size, int(fields[i].At)+32)
		}
		src, codes := gs.Slice(size, place), gc.Slice(32*len(fields), place)
		for i := range src {
			src[i] = uint8(rng.Uint32())
		}
		want := make([]byte, len(codes))
		for i := range codes {
			codes[i] = uint8(rng.Uint32())
			want[i] = codes[i]
		}
		mask, up, add := byte(1<<bits-1), rng.IntN(9-bits), run%2
		ref.BitFields(want, src, fields, mask, up, add == 1)
		BitFieldsAVX2(&codes[0], &src[0], unsafe.Pointer(&fields[0]), len(fields), mask, up, add)
		if !kerneltest.Equal(t, fmt.Sprintf("case %d: %v, %#x << %d", run, fields, mask, up), codes, want) {
			return
		}
		gc.Check(t)
		gs.Check(t)
	}
}

// TestFromF16: float16 of every kind, with the same bits, and nothing beside them.
func TestFromF16(t *testing.T) {
	kerneltest.Need(t, kerneltest.AVX2)
	const most = 33 // eights
	gd, gs := kerneltest.NewGuard[float32](t, 8*most), kerneltest.NewGuard[uint16](t, 8*most)
	next := uint16(0)
	for n := 1; n <= most; n++ {
		for _, place := range kerneltest.Places {
			src, got, want := gs.Slice(8*n, place), gd.Slice(8*n, place), make([]float32, 8*n)
			for i := range src {
				src[i] = next
				next += 57 // odd: all of them
			}
			ref.FromF16(want, src)
			FromF16AVX2(&got[0], &src[0], 8*n)
			if !kerneltest.Equal(t, fmt.Sprintf("%d eights, %+v", n, place), got, want) {
				return
			}
			gd.Check(t)
			gs.Check(t)
		}
	}
}
