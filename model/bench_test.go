package model_test

import (
	"testing"

	"armor/kernels"
)

var benchModels = []string{"smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"}

// benchEach has the best instruction set and the one below it.
func benchEach(b *testing.B, f func(b *testing.B, name string, isa kernels.ISA)) {
	for _, name := range benchModels {
		for isa := max(kernels.Ref, kernels.BestISA()-1); isa <= kernels.BestISA(); isa++ {
			b.Run(name+"/"+isa.String(), func(b *testing.B) { f(b, name, isa) })
		}
	}
}

// BenchmarkDecode is one token after another of one sequence.
func BenchmarkDecode(b *testing.B) {
	benchEach(b, func(b *testing.B, name string, isa kernels.ISA) {
		e := newEngine(b, realModel(b, name), kernels.Options{ISA: isa, Compute: kernels.BF16})
		pages := e.pages(testPositions)
		batch := &kernels.Batch{Tokens: []int32{5}, Seqs: []kernels.Span{{Rows: 1, Pages: pages}}, Out: []int32{0}, KV: e.kv}
		i := 0
		for b.Loop() {
			batch.Seqs[0].Pos = i % (testPositions - 1)
			i++
			if err := e.m.Decoder.Forward(e.pass, batch, e.logits); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		b.ReportMetric(float64(e.m.Decoder.WeightBytes())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
	})
}

// BenchmarkPrefill reads a prompt of 512 and wants the last logits.
func BenchmarkPrefill(b *testing.B) {
	benchEach(b, func(b *testing.B, name string, isa kernels.ISA) {
		e := newEngine(b, realModel(b, name), kernels.Options{ISA: isa, Compute: kernels.BF16})
		tokens := make([]int32, testRows)
		for i := range tokens {
			tokens[i] = int32(100 + i*7)
		}
		batch := &kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: testRows, Pages: e.pages(testRows)}}, Out: []int32{testRows - 1}, KV: e.kv}
		for b.Loop() {
			if err := e.m.Decoder.Forward(e.pass, batch, e.logits); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(testRows*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
	})
}
