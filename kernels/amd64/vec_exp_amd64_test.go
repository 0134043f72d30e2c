//go:build amd64 && !noasm

package amd64_test

import (
	"math"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// What exp may be wrong by, relative to the result; and what it may lose where
// it becomes 0.
const (
	expError = 1.2e-7
	expFloor = 1.2e-38
)

var logits = func() []float32 {
	x := slices.Clone(normal)
	for i := range x {
		x[i] *= 20
		if i%97 == 0 {
			x[i] = float32(math.Inf(-1))
		}
	}
	return x
}()

func TestExpSum(t *testing.T) {
	everywhere(t, logits, func(t *trial) {
		const scale, top = 0.125, 90
		x := t.in(0, t.n)
		want := slices.Clone(x)
		ref.ExpSum(want, scale, top)
		got := float64(t.k.expSum(x, scale, top))
		var w kerneltest.Worst
		sum := 0.0
		for i, v := range x {
			w.See(i, float64(v), float64(want[i]), expError*float64(want[i])+expFloor)
			sum += float64(v)
		}
		w.Check(t, "exponentials")
		var s kerneltest.Worst
		s.See(0, got, sum, kerneltest.Bound(t.n/32+6, sum))
		s.Check(t, "sum")
	})
}

func TestSwiGLU(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		dst, gate, up := t.out(0, t.n), t.in(1, t.n), t.in(2, t.n)
		want := make([]float32, t.n)
		ref.SwiGLU(want, gate, up)
		t.k.swiGLU(dst, gate, up)
		var w kerneltest.Worst
		for i, v := range dst {
			w.See(i, float64(v), float64(want[i]), swiGLUBound(float64(want[i])))
		}
		w.Check(t, "dst")
		t.k.swiGLU(gate, gate, up)
		kerneltest.Equal(t, "in place", gate, dst)
	})
}

// swiGLUBound adds the error of exp, in the denominator, to the roundings of
// the sum, the quotient and the product, and of ref's quotient and product.
func swiGLUBound(want float64) float64 {
	return math.Abs(want)*(expError+5*kerneltest.Unit) + 1e-36
}

// TestExpRange walks all exponents and signs, every 4099th float32.
func TestExpRange(t *testing.T) {
	var x []float32
	for b := uint64(0); b < 1<<32; b += 4099 {
		x = append(x, math.Float32frombits(uint32(b)))
	}
	x = append(x, kerneltest.Specials()...)
	for v := float32(-90); v < 90; v += 0.0007 {
		x = append(x, v)
	}
	want, silu, ones := slices.Clone(x), make([]float32, len(x)), make([]float32, len(x))
	ref.ExpSum(want, 1, 0)
	for i := range ones {
		ones[i] = 1
	}
	ref.SwiGLU(silu, x, ones)
	for _, isa := range vecISAs(t) {
		got := slices.Clone(x)
		vecs[isa].expSum(got, 1, 0)
		var w kerneltest.Worst
		for i, v := range got {
			if x[i] > 88.3 && x[i] < 88.8 { // Inf a little early
				continue
			}
			w.See(i, float64(v), float64(want[i]), expError*float64(want[i])+expFloor)
		}
		w.Check(t, string(isa)+" exp")
		t.Logf("%s exp: %.3g of the bound at %v", isa, w.Ratio(), x[w.Index])

		vecs[isa].swiGLU(got, x, ones)
		w = kerneltest.Worst{}
		for i, v := range got {
			w.See(i, float64(v), float64(silu[i]), swiGLUBound(float64(silu[i])))
		}
		w.Check(t, string(isa)+" silu")
		t.Logf("%s silu: %.3g of the bound at %v", isa, w.Ratio(), x[w.Index])
	}
}

func TestExpLimits(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, isa := range append(vecISAs(t), "ref") {
		k := vecs[isa]
		exps := []float32{-inf, -1e30, -200, -104, 0, inf, 200, nan}
		want := []float32{0, 0, 0, 0, 1, inf, inf, nan}
		k.expSum(exps, 1, 0)
		same(t, string(isa)+" exp", exps, want)

		gate := []float32{-inf, -3e38, -200, float32(math.Copysign(0, -1)), 0, inf, 3e38, 200, nan, 1}
		up := []float32{2, 2, 2, 2, 2, 2, 0.5, 2, 2, nan}
		want = []float32{0, 0, 0, 0, 0, inf, 1.5e38, 400, nan, nan}
		dst := make([]float32, len(gate))
		k.swiGLU(dst, gate, up)
		same(t, string(isa)+" SwiGLU", dst, want)
	}
}

// same takes both zeros, and all NaNs, for the same.
func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, v := range got {
		if w := want[i]; v != w && (v == v || w == w) {
			t.Errorf("%s: element %d: got %v, want %v", what, i, v, w)
		}
	}
}

// TestSameBits: a model answers the same with either instruction set.
func TestSameBits(t *testing.T) {
	kerneltest.Need(t, kerneltest.AVX512)
	a, b := vecs[kerneltest.AVX2], vecs[kerneltest.AVX512]
	pool := append(slices.Clone(wild), logits...)
	for i, v := range pool { // a NaN sum says little about the other elements
		if v != v || math.Abs(float64(v)) > 1e18 && !math.IsInf(float64(v), -1) {
			pool[i] = 0.5
		}
	}
	for _, n := range append(kerneltest.Lengths(), len(pool)) {
		x := pool[:n]
		scalars := func(k vec) []float32 {
			exps := slices.Clone(x)
			sum := k.expSum(exps, 0.3, 20)
			dst := make([]float32, n)
			k.swiGLU(dst, x, pool[len(pool)-n:])
			return append(append(exps, dst...), k.sumSquares(x), sum)
		}
		if !kerneltest.Equal(t, "AVX-512 against AVX2", scalars(b), scalars(a)) {
			return
		}
	}
}
