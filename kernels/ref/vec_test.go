package ref

import (
	"math"
	"math/cmplx"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
)

func TestSumSquares(t *testing.T) {
	for _, n := range kerneltest.Lengths() {
		x := kerneltest.Normal(kerneltest.Rand(uint64(n)), n)
		want, _ := kerneltest.Dot(x, x)
		var w kerneltest.Worst
		w.See(0, float64(SumSquares(x)), want, kerneltest.Bound(n/32+6, want))
		w.Check(t, "sum")
		x = kerneltest.Integers(kerneltest.Rand(uint64(n)), n, 100)
		if want, _ := kerneltest.Dot(x, x); SumSquares(x) != float32(want) {
			t.Errorf("%d integers: got %v, want %v", n, SumSquares(x), want)
		}
	}
}

func TestExpSum(t *testing.T) {
	x := []float32{3, 1, float32(math.Inf(-1)), -2000, 3}
	sum := ExpSum(x, 0.5, 3)
	want := []float32{1, float32(math.Exp(-1)), 0, 0, 1}
	kerneltest.Equal(t, "x", x, want)
	if sum != 2+want[1] {
		t.Errorf("sum %v, want %v", sum, 2+want[1])
	}
}

func TestSwiGLU(t *testing.T) {
	for g := float32(-80); g < 80; g += 0.37 {
		// The same by another identity: g·(1+tanh(g/2))/2, poor far below 0.
		want := float64(g) * (1 + math.Tanh(float64(g)/2)) / 2 * 3
		dst := []float32{0}
		SwiGLU(dst, []float32{g}, []float32{3})
		var w kerneltest.Worst
		w.See(0, float64(dst[0]), want, kerneltest.Bound(3, math.Abs(want))+1e-13)
		w.Check(t, "dst")
	}
	inf := float32(math.Inf(1))
	dst := make([]float32, 4)
	SwiGLU(dst, []float32{-inf, inf, 0, float32(math.NaN())}, []float32{1, 1, 1, 1})
	if dst[0] != 0 || dst[1] != inf || dst[2] != 0 || dst[3] == dst[3] {
		t.Errorf("limits %v, want 0, +Inf, 0, NaN", dst)
	}
}

func TestMax(t *testing.T) {
	for n := 1; n < 70; n++ {
		x := kerneltest.Normal(kerneltest.Rand(uint64(n)), n)
		if got, want := Max(x), slices.Max(x); got != want {
			t.Errorf("%d elements: got %v, want %v", n, got, want)
		}
	}
}

// TestRope: a rotation is a product of complex numbers, the halves of x being
// the real and the imaginary parts.
func TestRope(t *testing.T) {
	const h = 32
	x := kerneltest.Normal(kerneltest.Rand(1), 2*h)
	cos, sin := make([]float32, h), make([]float32, h)
	want := make([]complex128, h)
	for i := range want {
		angle := 77 * math.Pow(10000, -float64(i)/h)
		cos[i], sin[i] = float32(math.Cos(angle)), float32(math.Sin(angle))
		want[i] = complex(float64(x[i]), float64(x[h+i])) * cmplx.Exp(complex(0, angle))
	}
	Rope(x, cos, sin)
	var w kerneltest.Worst
	for i, c := range want {
		bound := kerneltest.Bound(4, cmplx.Abs(c)*math.Sqrt2)
		w.See(i, float64(x[i]), real(c), bound)
		w.See(h+i, float64(x[h+i]), imag(c), bound)
	}
	w.Check(t, "x")
}

func TestElementwise(t *testing.T) {
	dst := make([]float32, 2)
	ScaleMul(dst, []float32{1, 2}, []float32{3, 5}, 0.5)
	kerneltest.Equal(t, "ScaleMul", dst, []float32{1.5, 5})
	Add(dst, []float32{1, -1})
	kerneltest.Equal(t, "Add", dst, []float32{2.5, 4})
	Scale(dst, 2)
	kerneltest.Equal(t, "Scale", dst, []float32{5, 8})
}

// TestBF16 takes every bf16, the halves between it and its successor, and what
// is beside them.
func TestBF16(t *testing.T) {
	for b := range uint32(1 << 16) {
		at := func(low uint32) uint16 {
			half := []uint16{0}
			ToBF16(half, []float32{math.Float32frombits(b<<16 + low)})
			return half[0]
		}
		down, up, even := uint16(b), uint16(b+1), uint16(b+b&1)
		if v := fromBF16(down); v != v {
			quiet := down | 0x40
			down, up, even = quiet, quiet, quiet
		} else if math.IsInf(float64(v), 0) {
			continue // with a lower half it is a NaN; without, see below
		}
		if got, want := [4]uint16{at(0), at(0x7fff), at(0x8000), at(0x8001)}, [4]uint16{down, down, even, up}; got != want {
			t.Fatalf("%#x and three above it: got %#x, want %#x", b<<16, got, want)
		}
	}
	src := []float32{float32(math.Inf(1)), float32(math.Inf(-1)), math.Float32frombits(0x7f800001), 1.00390625, 1e-40}
	half, back, round := make([]uint16, 5), make([]float32, 5), make([]float32, 5)
	ToBF16(half, src)
	kerneltest.Equal(t, "ToBF16", half, []uint16{0x7f80, 0xff80, 0x7fc0, 0x3f80, 0x0001})
	FromBF16(back, half)
	RoundBF16(round, src)
	kerneltest.Equal(t, "RoundBF16", round, back)
}

func TestPanels(t *testing.T) {
	const ld, rows, k, mr = 4, 2, 3, 4
	src := []float32{1, 1.001, 3, 99, 5, 6, 7}
	dst := make([]float32, k*mr)
	PanelF32(dst, src, ld, rows, k, mr)
	kerneltest.Equal(t, "PanelF32", dst, []float32{1, 5, 0, 0, 1.001, 6, 0, 0, 3, 7, 0, 0})
	PanelF32Round(dst, src, ld, rows, k, mr)
	kerneltest.Equal(t, "PanelF32Round", dst, []float32{1, 5, 0, 0, 1, 6, 0, 0, 3, 7, 0, 0})
	half := make([]uint16, 16)
	PanelBF16(half, src, ld, rows, k, mr)
	kerneltest.Equal(t, "PanelBF16", half, []uint16{
		0x3f80, 0x3f80, 0x40a0, 0x40c0, 0, 0, 0, 0,
		0x4040, 0, 0x40e0, 0, 0, 0, 0, 0,
	})
}
