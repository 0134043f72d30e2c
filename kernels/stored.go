package kernels

import (
	"fmt"
	"math"
	"unsafe"
)

// WidenBF16 sets dst [n] to the little-endian bfloat16 numbers of src [2n], exactly.
func WidenBF16(dst []float32, src []byte) {
	if len(src) != 2*len(dst) {
		panic(fmt.Sprintf("kernels: %d bfloat16 numbers of %d bytes", len(dst), len(src)))
	}
	fromBF16(dst, unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(src))), len(dst)))
}

// NotFinite is the first of x that is infinite or NaN, or -1.
func NotFinite(x []float32) int {
	for at := 0; at < len(x); at += finiteStep {
		some := x[at:min(at+finiteStep, len(x))]
		if maxAbs(some) <= math.MaxFloat32 {
			continue
		}
		for i, v := range some {
			if !(float32(math.Abs(float64(v))) <= math.MaxFloat32) {
				return at + i
			}
		}
	}
	return -1
}

const finiteStep = 1024
