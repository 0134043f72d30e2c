package kernels

import (
	"fmt"
	"testing"
)

// BenchmarkQuantPrefill runs dense integers of a layer of an 8B model, in groups of
// 32, a 2:4 core of them and whole ARMOR, blocks of 64, in turns, 512 tokens. The
// metrics are weights × tokens a nanosecond of dense, and how many times its speed
// the others have, by medians.
func BenchmarkQuantPrefill(b *testing.B) {
	const rows, block = 512, 64
	for _, shape := range []struct{ out, in int }{{4096, 4096}, {14336, 4096}, {4096, 14336}} {
		for _, bits := range []int{8, 4} {
			wrappers := Quant{8, 64} // as models have them
			dense := Part{W: newCoded(1, shape.out, shape.in, Quant{bits, 32}), Quant: Quant{bits, 32}}
			core := Part{Core: newCodedCore(2, shape.out, shape.in, Quant{bits, 64}), Quant: Quant{bits, 64}}
			whole := core
			whole.A, whole.B = newCoded(3, shape.out, block, wrappers), newCoded(4, shape.in, block, wrappers)
			whole.Wrappers = wrappers
			for isa := AVX2; isa <= BestISA(); isa++ {
				if isa == AVX512BF16 { // as the set before it
					continue
				}
				b.Run(fmt.Sprintf("%dx%d/int%d/%v", shape.out, shape.in, bits, isa), func(b *testing.B) {
					medians := benchmarkInTurns(b, isa, BF16, rows, []Part{dense, core, whole})
					b.ReportMetric(rows*float64(shape.out*shape.in)/float64(medians[0].Nanoseconds()), "dense-weights/ns")
					b.ReportMetric(medians[0].Seconds()/medians[1].Seconds(), "core:dense")
					b.ReportMetric(medians[0].Seconds()/medians[2].Seconds(), "armor:dense")
				})
			}
		}
	}
}
