//go:build amd64 && !noasm

package amd64_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	. "armor/kernels/amd64"
	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// vec is the vector kernels of one instruction set.
type vec struct {
	sumSquares, max func([]float32) float32
	scaleMul        func(dst, x, w []float32, s float32)
	swiGLU, rope    func(dst, a, b []float32)
	expSum          func(x []float32, scale, max float32) float32
	scale           func(x []float32, s float32)
	add, round      func(dst, x []float32)
	toBF16          func(dst []uint16, src []float32)
	fromBF16        func(dst []float32, src []uint16)
	codesToBF16     func(dst []uint16, src []int8)
	maxAbs          func([]float32) float32
	int8Codes       func(codes []int8, x []float32, scale float32)
	keyScores       func(y, scales *[16]float32, q, c []float32)
	hadamard        func(x []float32, block int)

	panelF32, panelF32Round func(dst, src []float32, ld, rows, k, mr int)
	panelBF16               func(dst []uint16, src []float32, ld, rows, k, mr int)
}

var vecs = map[kerneltest.ISA]vec{
	"ref": {
		ref.SumSquares, ref.Max, ref.ScaleMul, ref.SwiGLU, ref.Rope, ref.ExpSum, ref.Scale, ref.Add,
		ref.RoundBF16, ref.ToBF16, ref.FromBF16, ref.CodesToBF16, ref.MaxAbs, ref.Int8Codes, ref.KeyScores, refHadamard, ref.PanelF32, ref.PanelF32Round, ref.PanelBF16,
	},
	kerneltest.AVX2: {
		SumSquaresAVX2, MaxAVX2, ScaleMulAVX2, SwiGLUAVX2, RopeAVX2, ExpSumAVX2, ScaleAVX2, AddAVX2,
		RoundBF16AVX2, ToBF16AVX2, FromBF16AVX2, CodesToBF16AVX2, MaxAbsAVX2, Int8CodesAVX2, KeyScoresAVX2, HadamardAVX2, PanelF32AVX2, PanelF32RoundAVX2, PanelBF16AVX2,
	},
	kerneltest.AVX512: {
		SumSquaresAVX512, MaxAVX512, ScaleMulAVX512, SwiGLUAVX512, RopeAVX512, ExpSumAVX512, ScaleAVX512, AddAVX512,
		RoundBF16AVX512, ToBF16AVX512, FromBF16AVX512, CodesToBF16AVX512, MaxAbsAVX2, Int8CodesAVX512, KeyScoresAVX512, HadamardAVX2, PanelF32AVX512, PanelF32RoundAVX512, PanelBF16AVX512,
	},
}

// vecISAs are the instruction sets that there are and that have vector kernels.
func vecISAs(tb testing.TB) []kerneltest.ISA {
	return slices.DeleteFunc(kerneltest.ISAs(tb), func(i kerneltest.ISA) bool { _, ok := vecs[i]; return !ok })
}

// trial is one call of a kernel: k the one to test, n the length.
type trial struct {
	*testing.T
	k      vec
	n, run int
	pool   []float32
	guards [3]*kerneltest.Guard[float32]
	halves *kerneltest.Guard[uint16]
	codes  *kerneltest.Guard[int8]
}

// everywhere runs f for each instruction set, length and place.
func everywhere(t *testing.T, pool []float32, f func(t *trial)) {
	for _, isa := range vecISAs(t) {
		t.Run(string(isa), func(t *testing.T) {
			r := trial{T: t, k: vecs[isa], pool: append(pool, pool...)}
			for i := range r.guards {
				r.guards[i] = kerneltest.NewGuard[float32](t, kerneltest.MaxLength)
			}
			r.halves = kerneltest.NewGuard[uint16](t, kerneltest.MaxLength)
			r.codes = kerneltest.NewGuard[int8](t, kerneltest.MaxLength)
			for _, r.n = range kerneltest.Lengths() {
				for range kerneltest.Places {
					r.run++
					f(&r)
					for _, g := range r.guards {
						g.Check(t)
					}
					r.halves.Check(t)
					r.codes.Check(t)
					if t.Failed() {
						t.Fatalf("at length %d", r.n)
					}
				}
			}
		})
	}
}

// place gives each operand each place in turn, beside others at other places.
func (t *trial) place(i int) kerneltest.Place {
	return kerneltest.Places[(t.run+i*(1+t.run/8))%len(kerneltest.Places)]
}

// in is operand i, of n values from the pool.
func (t *trial) in(i, n int) []float32 {
	at := (t.run*31 + i*977) % (len(t.pool) / 2)
	return t.guards[i].Copy(t.pool[at:][:n], t.place(i))
}

// out is operand i, of n values to be written.
func (t *trial) out(i, n int) []float32 { return t.guards[i].Slice(n, t.place(i)) }

var normal = kerneltest.Normal(kerneltest.Rand(1), 4096)

// wild has special values among ordinary ones.
var wild = func() []float32 {
	x := slices.Clone(normal)
	for i, v := range kerneltest.Specials() {
		x[i*83] = v
	}
	return x
}()

func TestSumSquares(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		x := t.in(0, t.n)
		var w kerneltest.Worst
		want, _ := kerneltest.Dot(x, x)
		depth := t.n/32 + 6
		w.See(0, float64(t.k.sumSquares(x)), want, kerneltest.Bound(depth, want))
		w.See(1, float64(ref.SumSquares(x)), want, kerneltest.Bound(depth, want))
		w.Check(t, "sum")
	})
	everywhere(t, kerneltest.Integers(kerneltest.Rand(2), 4096, 100), func(t *trial) {
		x := t.in(0, t.n)
		want, _ := kerneltest.Dot(x, x)
		equal(t, t.k.sumSquares(x), float32(want))
	})
}

func TestScaleMul(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		dst, x, w := t.out(0, t.n), t.in(1, t.n), t.in(2, t.n)
		t.k.scaleMul(dst, x, w, 0.7)
		want := make([]float32, t.n)
		ref.ScaleMul(want, x, w, 0.7)
		kerneltest.Equal(t, "dst", dst, want)
		t.k.scaleMul(x, x, w, 0.7)
		kerneltest.Equal(t, "in place", x, want)
	})
}

func TestMax(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		if t.n == 0 {
			return
		}
		x := t.in(0, t.n)
		equal(t, t.k.max(x), ref.Max(x))
		for i := range x { // the largest is below 0, the value of masked lanes
			x[i] = -1 - float32(math.Abs(float64(x[i])))
		}
		equal(t, t.k.max(x), ref.Max(x))
		x[t.run%t.n] = float32(math.Inf(1))
		equal(t, t.k.max(x), ref.Max(x))
	})
	everywhere(t, wild, func(t *trial) {
		if t.n > 0 {
			t.k.max(t.in(0, t.n)) // must not fault
		}
	})
}

func TestRope(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		h := t.n / 2
		x, cos, sin := t.in(0, 2*h), t.in(1, h), t.in(2, h)
		want := slices.Clone(x)
		ref.Rope(want, cos, sin)
		t.k.rope(x, cos, sin)
		kerneltest.Equal(t, "x", x, want)
	})
}

func TestScale(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		x := t.in(0, t.n)
		want := slices.Clone(x)
		ref.Scale(want, -1.3)
		t.k.scale(x, -1.3)
		kerneltest.Equal(t, "x", x, want)
	})
}

func TestAdd(t *testing.T) {
	everywhere(t, normal, func(t *trial) {
		dst, x := t.in(0, t.n), t.in(1, t.n)
		want := slices.Clone(dst)
		ref.Add(want, x)
		t.k.add(dst, x)
		kerneltest.Equal(t, "dst", dst, want)
	})
}

func TestBF16(t *testing.T) {
	everywhere(t, wild, func(t *trial) {
		src, wide := t.in(0, t.n), t.out(1, t.n)
		half := t.halves.Slice(t.n, t.place(2))
		want, wantWide := make([]uint16, t.n), make([]float32, t.n)
		ref.ToBF16(want, src)
		ref.FromBF16(wantWide, want)

		t.k.toBF16(half, src)
		kerneltest.Equal(t, "to bf16", half, want)
		t.k.fromBF16(wide, half)
		kerneltest.Equal(t, "from bf16", wide, wantWide)
		t.k.round(wide, src)
		kerneltest.Equal(t, "rounded", wide, wantWide)
		t.k.round(src, src)
		kerneltest.Equal(t, "rounded in place", src, wantWide)
	})
}

// TestBF16All has all upper halves of a float32, each with the lower halves
// between which the rounding changes.
func TestBF16All(t *testing.T) {
	for _, isa := range vecISAs(t) {
		k := vecs[isa]
		src, back := make([]float32, 1<<16), make([]float32, 1<<16)
		got, want := make([]uint16, 1<<16), make([]uint16, 1<<16)
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			for i := range src {
				src[i] = math.Float32frombits(uint32(i)<<16 | low)
			}
			ref.ToBF16(want, src)
			k.toBF16(got, src)
			kerneltest.Equal(t, fmt.Sprintf("%s, low half %#x", isa, low), got, want)
			k.round(back, src)
			ref.FromBF16(src, want)
			kerneltest.Equal(t, string(isa)+" rounded", back, src)
		}
	}
}

func equal(t *trial, got, want float32) {
	t.Helper()
	kerneltest.Equal(t, "result", []float32{got}, []float32{want})
}
