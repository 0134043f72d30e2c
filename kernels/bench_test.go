package kernels

import (
	"fmt"
	"slices"
	"testing"
	"time"

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

// armorShapes are outputs and inputs of layers of the shape of Llama 3.2 1B.
var armorShapes = [][2]int{{2048, 2048}, {16384, 2048}, {2048, 8192}}

// BenchmarkArmorPrefill runs a dense layer of an 8B or 1B model, a 2:4 core and whole
// ARMOR of the same shape in turns, 512 tokens, and reports by medians how many
// times the dense one's speed the others have, and ARMOR's time in the core's.
func BenchmarkArmorPrefill(b *testing.B) {
	for _, shape := range append([][2]int{{4096, 4096}, {14336, 4096}, {4096, 14336}}, armorShapes...) {
		for isa := AVX2; isa <= BestISA(); isa++ {
			benchmarkShape(b, isa, shape[0], shape[1], 512)
		}
	}
}

// BenchmarkArmorDecode does so with the tokens of a decode in batches.
func BenchmarkArmorDecode(b *testing.B) {
	for _, rows := range []int{1, 4, 16, 64} {
		for isa := AVX2; isa <= BestISA(); isa++ {
			for _, shape := range append([][2]int{{14336, 4096}}, armorShapes...) {
				benchmarkShape(b, isa, shape[0], shape[1], rows)
			}
		}
	}
}

func benchmarkShape(b *testing.B, isa ISA, out, in, rows int) {
	const block = 64
	for _, types := range [][2]DType{{F32, F32}, {BF16, F32}, {BF16, BF16}} {
		if types[1] == F32 && isa > AVX512 || types[1] == BF16 && isa < AVX512BF16 {
			continue // as with the set below, or as with f32
		}
		b.Run(fmt.Sprintf("%dx%d/rows=%d/%v/%v-%v", out, in, rows, isa, types[0], types[1]), func(b *testing.B) {
			rng := kerneltest.Rand(1)
			at := armorTest{in, F32, []armorPart{{out, block, block, -1, false, false}}}
			whole := at.make(rng, func(n int) []float32 { return truncated(rng, n) })[0]
			whole.Type = types[0]
			parts := []Part{{W: whole.Core.(*core).dense(), Type: types[0]}, {Core: whole.Core, Type: types[0]}, whole}
			medians := benchmarkInTurns(b, isa, types[1], rows, parts)
			b.ReportMetric(2*float64(rows)*float64(out*in)/medians[0].Seconds()/1e9, "dense-GFLOPS")
			b.ReportMetric(medians[0].Seconds()/medians[1].Seconds(), "core:dense")
			b.ReportMetric(medians[0].Seconds()/medians[2].Seconds(), "armor:dense")
			b.ReportMetric(medians[2].Seconds()/medians[1].Seconds(), "armor/core")
		})
	}
}

// benchmarkInTurns gives the median time of a Linear of each part.
func benchmarkInTurns(b *testing.B, isa ISA, compute DType, rows int, parts []Part) (medians []time.Duration) {
	c, err := NewCPU(Options{ISA: isa, Compute: compute})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	groups, times := make([]Group, len(parts)), make([][]time.Duration, len(parts))
	for i, part := range parts {
		if groups[i], err = c.NewGroup(part); err != nil {
			b.Fatal(err)
		}
	}
	in := groups[0].In()
	x, _ := c.Upload(rows, in, kerneltest.Normal(kerneltest.Rand(1), rows*in))
	y, _ := c.NewBuf(rows, groups[0].Out())
	p, _ := c.NewPass()
	for b.Loop() {
		for i, g := range groups {
			start := time.Now()
			p.Linear(y, g, x, Fuse{})
			times[i] = append(times[i], time.Since(start))
		}
	}
	if err := p.End(); err != nil {
		b.Fatal(err)
	}
	for _, t := range times {
		slices.Sort(t)
		medians = append(medians, t[len(t)/2])
	}
	return medians
}
