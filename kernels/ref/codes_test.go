package ref

import (
	"math"
	"testing"

	"armor/kernels/internal/kerneltest"
)

// TestQuantizeInt8: the largest is ±127, all others are within half a step, codes
// quantize to themselves, and what is not finite shows in the scale.
func TestQuantizeInt8(t *testing.T) {
	rng := kerneltest.Rand(1)
	for n := 1; n < 200; n++ {
		x := kerneltest.Normal(rng, n)
		codes, again := make([]int8, n), make([]int8, n)
		scale := QuantizeInt8(codes, x)
		largest, back := 0, make([]float32, n)
		for i, c := range codes {
			back[i] = scale * float32(c)
			largest = max(largest, max(int(c), -int(c)))
			if e := math.Abs(float64(x[i]) - float64(scale)*float64(c)); e > float64(scale)*(0.5+127*kerneltest.Unit*2) {
				t.Fatalf("%v is %d of %v", x[i], c, scale)
			}
		}
		if largest != 127 {
			t.Fatalf("the largest code is %d", largest)
		}
		QuantizeInt8(again, back)
		kerneltest.Equal(t, "codes", again, codes)
	}
	codes := []int8{1, 2}
	if s := QuantizeInt8(codes, []float32{0, 0}); s != 0 || codes[0] != 0 || codes[1] != 0 {
		t.Errorf("zeros: got %v, %v", codes, s)
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if s := QuantizeInt8(codes, []float32{float32(v), 1}); !math.IsNaN(float64(s)) && !math.IsInf(float64(s), 1) {
			t.Errorf("%v: got a scale of %v", v, s)
		}
	}
	tiny := []float32{190 * math.SmallestNonzeroFloat32, 0} // its scale would round down by a third
	if s := QuantizeInt8(codes, tiny); s != 0 || codes[0] != 0 {
		t.Errorf("subnormal: got %v, %v", codes, s)
	}
}
