//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// intStream is tiles of 2048 inputs behind each other, as a layer has them.
type intStream struct {
	w      []byte
	stride int
}

const intBenchInputs = 2048

func newIntStream(bytes, stride int) *intStream {
	s := &intStream{stride: stride}
	tiles := max(4, bytes/stride/4*4)
	all := make([]byte, tiles*stride+64)
	from := -int(uintptr(unsafe.Pointer(&all[0]))) & 63
	s.w = all[from:][:tiles*stride]
	for i := range s.w { // every byte is a code, and no scale is infinite
		s.w[i] = byte(i*7+i>>8) & 0x3b
	}
	return s
}

// benchmark runs f over the stream, tiles at a time.
func (s *intStream) benchmark(b *testing.B, name string, tiles, tokens int, f func(w unsafe.Pointer)) {
	b.Run(name, func(b *testing.B) {
		for b.Loop() {
			for at := 0; at < len(s.w); at += tiles * s.stride {
				f(unsafe.Pointer(&s.w[at]))
			}
		}
		ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
		b.ReportMetric(float64(len(s.w)/s.stride*16*intBenchInputs*tokens)/ns, "weights/ns")
		b.ReportMetric(float64(len(s.w))/ns, "GB/s")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkIntVNNI has tile streams in L2, of a layer 2048 × 2048, and from
// memory; beside them the kernels of bf16 and a plain read of as many bytes.
// Weights are those of the dense matrix, times tokens.
func BenchmarkIntVNNI(b *testing.B) {
	kerneltest.Need(b, kerneltest.AVX512VNNI)
	const in = intBenchInputs
	for _, place := range []struct {
		name  string
		bytes int // 0: a layer
	}{{"L2", 1 << 20}, {"layer", 0}, {"memory", 64 << 20}} {
		size := func(stride int) int {
			if place.bytes == 0 {
				return in / 16 * stride
			}
			return place.bytes
		}
		y := make([]float32, 12*64)
		for _, shape := range intShapes {
			tiles, tokens := shape[0], shape[1]
			if tiles == 1 && tokens < 12 {
				continue
			}
			x := make([]byte, in/32*ref.BlockRecord(32, tokens))
			for i := range vnniKernels {
				d := &vnniKernels[i]
				for _, block := range d.blocks() {
					if d.bits == 8 && block == 32 && tokens == 1 {
						continue
					}
					sc, c := ref.IntTile(d.bits, in, block, d.sparse)
					s := newIntStream(size(sc+c), sc+c)
					s.benchmark(b, fmt.Sprintf("%s/tokens=%d/tiles=%d/%s-%d", place.name, tokens, tiles, d.name, block), tiles, tokens, func(w unsafe.Pointer) {
						d.run(tiles, tokens, w, s.stride, unsafe.Pointer(&x[0]), in/block, block, &y[0], 16*tiles, 0)
					})
				}
			}
			if slices.Contains(kerneltest.ISAs(b), kerneltest.AVX512BF16) {
				xs := make([]byte, in*12*2)
				p, v := ref.SparseTile(16, in)
				s := newIntStream(size(p+v), p+v)
				s.benchmark(b, fmt.Sprintf("%s/tokens=%d/tiles=%d/SparseBF16BF16AVX512BF16", place.name, tokens, tiles), tiles, tokens, func(w unsafe.Pointer) {
					SparseBF16BF16AVX512BF16(tiles, tokens, w, s.stride, unsafe.Pointer(&xs[0]), in/4, &y[0], 16*tiles, 0)
				})
				s = newIntStream(size(32*in), 32*in)
				s.benchmark(b, fmt.Sprintf("%s/tokens=%d/tiles=%d/DenseBF16BF16AVX512BF16", place.name, tokens, tiles), tiles, tokens, func(w unsafe.Pointer) {
					DenseBF16BF16AVX512BF16(tiles, tokens, w, s.stride, unsafe.Pointer(&xs[0]), in/2, &y[0], 16*tiles, 0)
				})
			}
		}
		s := newIntStream(size(32*in), 32*in)
		s.benchmark(b, place.name+"/read", 4, 1, func(w unsafe.Pointer) { MaxAVX512(unsafe.Slice((*float32)(w), s.stride)) })
	}
}
