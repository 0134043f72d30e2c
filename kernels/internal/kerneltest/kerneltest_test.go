package kerneltest

import (
	"math"
	goruntime "runtime"
	"runtime/debug"
	"testing"
	"unsafe"
)

func TestGuardPages(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("no guard pages here")
	}
	g := NewGuard[float32](t, 100)
	for _, n := range []int{0, 1, 100} {
		s := g.Slice(n, Place{Tail: false})
		if !faults(s, -1) {
			t.Errorf("%d elements: no fault before the head", n)
		}
		s = g.Slice(n, Place{Tail: true})
		if !faults(s, n) {
			t.Errorf("%d elements: no fault after the tail", n)
		}
	}
}

func TestCanaries(t *testing.T) {
	g := NewGuard[uint16](t, 100)
	for _, p := range Places {
		s := g.Slice(100, p)
		for i := range s {
			s[i] = 1
		}
		if err := g.check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
		side := 100
		if p.Tail {
			side = -1
		}
		*at(s, side) = 1
		if g.check() == nil {
			t.Errorf("%+v: a write beside the operand went unseen", p)
		}
	}
	nan := NewGuard[float32](t, 1).Slice(1, Places[0])[0]
	if nan == nan {
		t.Errorf("the canary is %v, want a NaN", nan)
	}
}

func TestRequiredISAs(t *testing.T) {
	t.Setenv(requireEnv, " avx2, avx512 ")
	if got := required(); len(got) != 2 || got[0] != AVX2 || got[1] != AVX512 {
		t.Errorf("required %q", got)
	}
	t.Setenv(requireEnv, "")
	if got := required(); len(got) != 0 {
		t.Errorf("required %q by an empty variable", got)
	}
}

func TestWorst(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		got, want float64
		bad       bool
	}{
		{1, 1.5, false}, {1, 3, true}, {nan, nan, false}, {inf, inf, false},
		{nan, 1, true}, {1, nan, true}, {inf, 1, true}, {1, inf, true}, {-inf, inf, true},
	} {
		var w Worst
		w.See(0, 0, 0, 0)
		w.See(1, c.got, c.want, 1)
		if bad := w.Ratio() > 1; bad != c.bad {
			t.Errorf("got %v, want %v ± 1: bad is %v", c.got, c.want, bad)
		}
	}
}

// faults says whether reading s[i], outside of s, faults.
func faults(s []float32, i int) (bad bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { bad = recover() != nil }()
	sink = *at(s, i)
	return false
}

var sink float32

// at points to s[i] without the check, for i outside of s.
func at[T Number](s []T, i int) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), i*int(unsafe.Sizeof(T(0)))))
}
