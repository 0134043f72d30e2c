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
	w := &plain{out, in, truncated(kerneltest.Rand(1), out*in)}
	benchmarkParts(b, isa, compute, out, in, rows, Part{W: w, Type: BF16})
}

func benchmarkParts(b *testing.B, isa ISA, compute DType, out, in, rows int, part Part) {
	c, err := NewCPU(Options{ISA: isa, Compute: compute})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	groups := make([]Group, max(1, (128<<20)/(2*out*in)))
	for i := range groups {
		if groups[i], err = c.NewGroup(part); err != nil {
			b.Fatal(err)
		}
	}
	x, _ := c.Upload(rows, in, kerneltest.Normal(kerneltest.Rand(1), rows*in))
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
	b.ReportMetric(float64(groups[0].Bytes())/seconds/1e9, "GB/s")
}

// BenchmarkArmor sets a dense layer beside ARMOR ones of the same shape, blocks
// of 128 or 64, and a core alone. GFLOPS are the dense matrix's.
func BenchmarkArmor(b *testing.B) {
	for _, shape := range []struct{ out, in, block int }{{2048, 2048, 128}, {576, 1536, 64}} {
		rng := kerneltest.Rand(1)
		out, in := shape.out, shape.in
		at := armorTest{in, BF16, []armorPart{{out, shape.block, shape.block, -1, false, false}}}
		whole := at.make(rng, func(n int) []float32 { return truncated(rng, n) })[0]
		parts := []struct {
			name string
			part Part
		}{
			{"dense", Part{W: &plain{out, in, truncated(rng, out*in)}, Type: BF16}},
			{"core", Part{Core: whole.Core, Type: BF16}},
			{"armor", whole},
		}
		for _, rows := range []int{1, 4, 16, 64, 512} {
			for isa := AVX2; isa <= BestISA(); isa++ {
				for _, p := range parts {
					b.Run(fmt.Sprintf("%dx%d/rows=%d/%v/%s", out, in, rows, isa, p.name), func(b *testing.B) {
						benchmarkParts(b, isa, BF16, out, in, rows, p.part)
					})
				}
			}
		}
	}
}
