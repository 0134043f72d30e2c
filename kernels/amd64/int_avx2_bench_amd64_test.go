//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// streamedTiles is a kernel over many tiles of 2048 inputs.
type streamedTiles struct {
	name   string
	tokens int
	rows   int // of a call
	bytes  int // of 16 rows
	call   func(w, x unsafe.Pointer, y *float32)
}

const benchInputs = 2048

func intAVX2Streams() (all []streamedTiles) {
	for i := range intAVX2Kernels {
		d := &intAVX2Kernels[i]
		for _, shape := range d.shapes {
			for _, block := range d.blocks() {
				tiles, tokens := shape[0], shape[1]
				scales, size := ref.IntTile(d.bits, benchInputs, block, d.sparse)
				name := fmt.Sprintf("%sB%dR%dM%d", d.name, block, tiles, tokens)
				all = append(all, streamedTiles{name, tokens, 16 * tiles, scales + size, func(w, x unsafe.Pointer, y *float32) {
					d.run(tiles, tokens, w, scales+size, x, benchInputs/block, block, y, 16*tiles, 0)
				}})
			}
		}
	}
	for _, list := range [][]denseKernel{denseKernels, sparseKernels} {
		for i := range list {
			d := &list[i]
			if d.isa != kerneltest.AVX2 || d.bits != 16 {
				continue
			}
			size, k := 32*benchInputs, benchInputs/2
			if i < len(sparseKernels) && d == &sparseKernels[i] {
				p, v := ref.SparseTile(16, benchInputs)
				size, k = p+v, benchInputs/4
			}
			all = append(all, streamedTiles{d.name, d.tokens, 16 * d.tiles, size, func(w, x unsafe.Pointer, y *float32) {
				d.run(w, size, x, k, y, 16*d.tiles, 0)
			}})
		}
	}
	return all
}

// BenchmarkIntAVX2 goes through a matrix of 2048 × 2048 again and again, and
// through 64 MiB, half a MiB after the other, taking turns with a plain read.
// Weights are the dense matrix's; the share is of the plain read's bytes a second.
// Medians, so that a while without the processor does not count.
func BenchmarkIntAVX2(b *testing.B) {
	kerneltest.Need(b, kerneltest.AVX2)
	const most, chunk = 64 << 20, 512 << 10
	memory := make([]float32, most/4)
	for i := range memory { // pages of their own
		memory[i] = 0
	}
	x, y := make([]float32, 6*benchInputs), make([]float32, 6*64)
	for _, s := range intAVX2Streams() {
		bytes := s.bytes * s.rows / 16 // of a call
		for _, where := range []string{"cache", "memory"} {
			size := benchInputs / s.rows * bytes
			if where == "memory" {
				size = chunk / bytes * bytes
			}
			b.Run(fmt.Sprintf("%s/%s", s.name, where), func(b *testing.B) {
				var kernel, plain []float64
				at := 0
				for b.Loop() {
					begin := time.Now()
					for i := 0; i < size; i += bytes {
						s.call(unsafe.Pointer(&memory[(at+i)/4]), unsafe.Pointer(&x[0]), &y[0])
					}
					kernel = append(kernel, float64(time.Since(begin)))
					if where == "cache" {
						continue
					}
					begin = time.Now()
					MaxAVX2(memory[(at+chunk)/4:][:size/4])
					plain = append(plain, float64(time.Since(begin)))
					at = (at + 2*chunk) % most
				}
				ns := median(kernel)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(size/s.bytes*16*benchInputs*s.tokens)/ns, "weights·tokens/ns")
				b.ReportMetric(float64(size)/ns, "GB/s")
				if where == "memory" {
					b.ReportMetric(median(plain)/ns, "of-stream")
				}
			})
		}
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
