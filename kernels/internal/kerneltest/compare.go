package kerneltest

import (
	"math"
	"testing"
	"unsafe"
)

// Unit is the unit roundoff of float32: half the distance from 1 to the next.
const Unit = 1.0 / (1 << 24)

// Bound is the largest error of a float32 sum of products whose absolute
// values add up to sumAbs, where no product passes through more than depth
// rounded operations: Higham, Accuracy and Stability, γ_depth · Σ|a·b|.
func Bound(depth int, sumAbs float64) float64 {
	e := float64(depth) * Unit
	return e/(1-e)*sumAbs + float64(depth)*math.SmallestNonzeroFloat32
}

// Dot is Σ a·b in float64, and Σ |a·b| for Bound.
func Dot(a, b []float32) (sum, sumAbs float64) {
	for i, v := range a {
		p := float64(v) * float64(b[i])
		sum += p
		sumAbs += math.Abs(p)
	}
	return sum, sumAbs
}

// Worst remembers the element that is furthest beyond its bound.
type Worst struct {
	Index            int
	Got, Want, Bound float64
	ratio            float64
	seen             bool
}

// See takes element i. NaN must be NaN, and infinity the same infinity.
func (w *Worst) See(i int, got, want, bound float64) {
	ratio := math.Abs(got-want) / bound
	switch {
	case got == want || got != got && want != want:
		ratio = 0
	case ratio != ratio || math.IsInf(want, 0):
		ratio = math.Inf(1)
	}
	if !w.seen || ratio > w.ratio {
		*w = Worst{i, got, want, bound, ratio, true}
	}
}

// Ratio is the worst error as a share of its bound.
func (w *Worst) Ratio() float64 { return w.ratio }

// Check fails the test if any element was beyond its bound.
func (w *Worst) Check(tb testing.TB, what string) {
	tb.Helper()
	if w.ratio > 1 {
		tb.Errorf("%s: worst at %d: got %.9g, want %.9g ± %.3g (%.3g times the bound)", what, w.Index, w.Got, w.Want, w.Bound, w.ratio)
	}
}

// Equal fails the test unless got and want have the same bits. It returns
// whether they do.
func Equal[T Number](tb testing.TB, what string, got, want []T) bool {
	tb.Helper()
	if len(got) != len(want) {
		tb.Errorf("%s: %d elements, want %d", what, len(got), len(want))
		return false
	}
	for i := range got {
		if bits(got[i]) != bits(want[i]) {
			tb.Errorf("%s: element %d of %d: got %v (%#x), want %v (%#x)", what, i, len(got), got[i], bits(got[i]), want[i], bits(want[i]))
			return false
		}
	}
	return true
}

func bits[T Number](v T) uint32 {
	switch p := unsafe.Pointer(&v); unsafe.Sizeof(v) {
	case 1:
		return uint32(*(*uint8)(p))
	case 2:
		return uint32(*(*uint16)(p))
	default:
		return *(*uint32)(p)
	}
}
