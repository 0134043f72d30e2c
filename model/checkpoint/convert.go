package checkpoint

import (
	"encoding/binary"
	"math"

	"armor/kernels"
)

// decode sets dst to the little-endian elements of src, which holds as many, in
// whole blocks.
func decode(dst []float32, d DType, src []byte) {
	switch d {
	case F32:
		decodeF32(dst, src)
	case F16:
		kernels.WidenF16(dst, src)
	case BF16:
		kernels.WidenBF16(dst, src)
	case Q40, Q41, Q50, Q51, Q80:
		decode32(dst, d, src)
	case Q2K, Q3K, Q4K, Q5K, Q6K:
		decode256(dst, d, src)
	default:
		panic("checkpoint: decode of " + d.String())
	}
}

func decodeF32(dst []float32, src []byte) {
	for len(dst) >= 4 && len(src) >= 16 {
		d, a, b := dst[:4], binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		d[0] = math.Float32frombits(uint32(a))
		d[1] = math.Float32frombits(uint32(a >> 32))
		d[2] = math.Float32frombits(uint32(b))
		d[3] = math.Float32frombits(uint32(b >> 32))
		dst, src = dst[4:], src[16:]
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}
