package kernels

import (
	"fmt"
	"testing"

	"armor/kernels/internal/kerneltest"
)

// BenchmarkLinear has the shapes of SmolLM2-135M and Llama-3.2-1B. Every call
// takes another copy of the weights, as the layers of a model do.
func BenchmarkLinear(b *testing.B) {
	for _, shape := range []struct{ out, in int }{{1536, 576}, {576, 1536}, {16384, 2048}} {
		for _, rows := range []int{1, 4, 12, 512} {
			for isa := AVX2; isa <= BestISA(); isa++ {
				for _, compute := range []DType{F32, BF16} {
					name := fmt.Sprintf("%dx%d/rows=%d/%v-%v", shape.out, shape.in, rows, isa, compute)
					b.Run(name, func(b *testing.B) { benchmarkLinear(b, isa, compute, shape.out, shape.in, rows) })
				}
			}
		}
	}
}

func benchmarkLinear(b *testing.B, isa ISA, compute DType, out, in, rows int) {
	c, err := NewCPU(Options{ISA: isa, Compute: compute})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	rng := kerneltest.Rand(1)
	w := &plain{out, in, truncated(rng, out*in)}
	groups := make([]Group, max(1, (128<<20)/(2*out*in)))
	for i := range groups {
		if groups[i], err = c.NewGroup(Part{W: w, Type: BF16}); err != nil {
			b.Fatal(err)
		}
	}
	x, _ := c.Upload(rows, in, kerneltest.Normal(rng, rows*in))
	y, _ := c.NewBuf(rows, out)
	p, _ := c.NewPass()
	i := 0
	for b.Loop() {
		p.Linear(y, groups[i%len(groups)], x, Fuse{})
		i++
	}
	if err := p.End(); err != nil {
		b.Fatal(err)
	}
	seconds := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(2*float64(rows)*float64(in)*float64(out)/seconds/1e9, "GFLOPS")
	b.ReportMetric(2*float64(in)*float64(out)/seconds/1e9, "GB/s")
}
