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

const intBenchInputs = 2048

// intStream is tiles of intBenchInputs inputs behind each other, as a layer has
// them.
type intStream struct {
	w      []byte
	stride int
}

// newIntStream takes what fits of a buffer that begins a cache line.
func newIntStream(from []byte, stride int) *intStream {
	return &intStream{from[:len(from)/stride/4*4*stride], stride}
}

// intBytes are codes, and scales that are finite.
func intBytes(n int) []byte {
	all := make([]byte, n+64)
	all = all[-int(uintptr(unsafe.Pointer(&all[0])))&63:][:n]
	for i := range all {
		all[i] = byte(i*7+i>>8) & 0x3b
	}
	return all
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
	all := intBytes(64 << 20)
	x, y := make([]byte, 12*2*in), make([]float32, 12*64)
	to := unsafe.Pointer(&x[0])
	for _, place := range []string{"L2", "layer", "memory"} {
		stream := func(stride int) *intStream {
			n := map[string]int{"L2": 1 << 20, "layer": in / 16 * stride, "memory": len(all)}[place]
			return newIntStream(all[:n], stride)
		}
		for _, shape := range intVNNIKernels[0].shapes {
			tiles, tokens := shape[0], shape[1]
			if tiles == 1 { // what remains of a matrix
				continue
			}
			name := func(kernel string) string { return fmt.Sprintf("%s/tokens=%d/%s", place, tokens, kernel) }
			for i := range intVNNIKernels {
				d := &intVNNIKernels[i]
				for _, block := range d.blocks() {
					scales, codes := ref.IntTile(d.bits, in, block, d.sparse)
					s := stream(scales + codes)
					s.benchmark(b, name(fmt.Sprintf("%s/block=%d", d.name, block)), tiles, tokens, func(w unsafe.Pointer) {
						d.run(tiles, tokens, w, s.stride, to, in/block, block, &y[0], 16*tiles, 0)
					})
				}
			}
			if !slices.Contains(kerneltest.ISAs(b), kerneltest.AVX512BF16) {
				continue
			}
			positions, values := ref.SparseTile(16, in)
			s := stream(positions + values)
			s.benchmark(b, name("SparseBF16BF16AVX512BF16"), tiles, tokens, func(w unsafe.Pointer) {
				SparseBF16BF16AVX512BF16(tiles, tokens, w, s.stride, to, in/4, &y[0], 16*tiles, 0)
			})
			d := stream(32 * in)
			d.benchmark(b, name("DenseBF16BF16AVX512BF16"), tiles, tokens, func(w unsafe.Pointer) {
				DenseBF16BF16AVX512BF16(tiles, tokens, w, d.stride, to, in/2, &y[0], 16*tiles, 0)
			})
		}
		s := stream(32 * in)
		s.benchmark(b, place+"/read", 4, 1, func(w unsafe.Pointer) { MaxAVX512(unsafe.Slice((*float32)(w), s.stride)) })
	}
}
