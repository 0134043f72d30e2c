package kernels

import (
	"fmt"
	"math"
	"unsafe"

	"armor/kernels/ref"
)

// WidenBF16 sets dst [n] to the little-endian bfloat16 numbers of src [2n], exactly.
func WidenBF16(dst []float32, src []byte) {
	if len(src) != 2*len(dst) {
		panic(fmt.Sprintf("kernels: %d bfloat16 numbers of %d bytes", len(dst), len(src)))
	}
	fromBF16(dst, unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(src))), len(dst)))
}

// WidenF16 is WidenBF16 of float16 numbers.
func WidenF16(dst []float32, src []byte) {
	if len(src) != 2*len(dst) {
		panic(fmt.Sprintf("kernels: %d float16 numbers of %d bytes", len(dst), len(src)))
	}
	fromF16(dst, unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(src))), len(dst)))
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

// ScaleCodes sets dst [n] to codes [n], two's complement, less offset, times their
// scale, less their minimum, rounded twice. Each of scales and less [n/16 or n/32] is
// of as many of them.
func ScaleCodes(dst []float32, codes []byte, offset int32, scales, less []float32) {
	each := 0
	if len(scales) > 0 {
		each = len(dst) / len(scales)
	}
	if len(codes) != len(dst) || len(less) != len(scales) || each*len(scales) != len(dst) || each != 0 && each != 16 && each != 32 {
		panic(fmt.Sprintf("kernels: %d numbers of %d codes, %d scales and %d minima", len(dst), len(codes), len(scales), len(less)))
	}
	if each > 0 {
		scaleCodes(dst, codes, offset, scales, less, each)
	}
}

// BitField says where 32 bytes have bits of 32 codes.
type BitField = ref.BitField

// BitFields sets 32 codes for each field [32·fields] to the bits of mask of those bytes
// of src, shifted, or adds them, up places higher.
func BitFields(codes, src []byte, fields []BitField, mask byte, up int, add bool) {
	fits := len(codes) == 32*len(fields) && int(mask)<<up <= 0xff
	for _, f := range fields {
		fits = fits && int(f.At)+32 <= len(src) && int(mask)<<f.Shift <= 0xff
	}
	if !fits {
		panic(fmt.Sprintf("kernels: %d codes of fields %v of %d bytes, %#x << %d", len(codes), fields, len(src), mask, up))
	}
	if len(fields) > 0 {
		bitFields(codes, src, fields, mask, up, add)
	}
}
