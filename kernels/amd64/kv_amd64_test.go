//go:build amd64 && !noasm

package amd64_test

import (
	"math"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

func TestCodes(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		codes := make([]int8, t.n)
		for i := range codes {
			codes[i] = int8(i + t.run)
		}
		src, dst, want := t.codes.Copy(codes, t.place(0)), t.halves.Slice(t.n, t.place(1)), make([]uint16, t.n)
		t.k.codesToBF16(dst, src)
		ref.CodesToBF16(want, codes)
		kerneltest.Equal(t, "bf16", dst, want)
		for i, c := range codes {
			if got := math.Float32frombits(uint32(want[i]) << 16); got != float32(c) {
				t.Fatalf("code %d is %v", c, got)
			}
		}
	})
}

func TestInt8Codes(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		x, codes, want := t.in(0, t.n), t.codes.Slice(t.n, t.place(1)), make([]int8, t.n)
		most := t.k.maxAbs(x)
		equal(t, most, ref.MaxAbs(x))
		scale, _ := ref.Int8Scale(most)
		ref.Int8Codes(want, x, scale)
		t.k.int8Codes(codes, x, scale)
		kerneltest.Equal(t, "codes", codes, want)
	})
	everywhere(t, wild, func(t *trial) { // NaN for NaN, whatever its bits
		x := t.in(0, t.n)
		got, want := t.k.maxAbs(x), ref.MaxAbs(x)
		if got != want && !(got != got && want != want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestKeyScores(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		q, c := t.in(0, t.n), t.in(1, t.n)
		place := t.in(2, 32)
		y, scales := (*[16]float32)(place), (*[16]float32)(place[16:])
		want := *y
		ref.KeyScores(&want, scales, q, c)
		dot, abs := kerneltest.Dot(q, c)
		var w kerneltest.Worst
		for i := range want {
			product := float64(y[i]) * float64(scales[i])
			w.See(i, float64(want[i]), product+dot, kerneltest.Bound(t.n/32+8, math.Abs(product)+abs))
		}
		w.Check(t, "reference")
		t.k.keyScores(y, scales, q, c)
		kerneltest.Equal(t, "scores", y[:], want[:])
	})
}

func refHadamard(x []float32, _ int) { ref.Hadamard(x) }

// TestHadamard has every multiple of 8, and so every block and number of blocks.
func TestHadamard(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		n := t.n &^ 7
		if n == 0 {
			return
		}
		x := t.in(0, n)
		want := slices.Clone(x)
		ref.Hadamard(want)
		block := ref.HadamardBlock(n)
		t.k.hadamard(x, block)
		kerneltest.Equal(t, "x", x, want)
	})
	// Twice is the block's size times the vector: exact in integers.
	everywhere(t, kerneltest.Integers(kerneltest.Rand(3), 4096, 100), func(t *trial) {
		n := t.n &^ 7
		if n == 0 {
			return
		}
		x := t.in(0, n)
		want := slices.Clone(x)
		block := ref.HadamardBlock(n)
		ref.Scale(want, float32(block))
		t.k.hadamard(x, block)
		t.k.hadamard(x, block)
		kerneltest.Equal(t, "twice", x, want)
	})
}
