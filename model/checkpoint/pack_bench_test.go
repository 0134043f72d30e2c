package checkpoint

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"armor/kernels"
	"armor/model/internal/gguftest"
)

// BenchmarkPack has a backend of one thread pack a matrix as codes, over one that it
// has, from a file in memory: bytes of the file a second.
func BenchmarkPack(b *testing.B) {
	const rows, cols = 1024, 2048
	for _, d := range []DType{BF16, F16, Q40, Q41, Q50, Q51, Q80, Q2K, Q3K, Q4K, Q5K, Q6K} {
		rng := rand.New(rand.NewPCG(1, 2))
		block, size := d.Block()
		data := make([]byte, rows*cols/block*size)
		for i := range data {
			data[i] = byte(rng.Uint32())
			if j := i % size; j == 1 && d != Q2K && d != Q3K && d != Q6K || j == 3 && (d == Q41 || d == Q51 || d == Q4K || d == Q5K) ||
				j == size-1 && (d == Q2K || d == Q3K || d == Q6K) || j == size-3 && d == Q2K { // the exponent of a number, or of a block's scale or minimum
				data[i] = 0x3c
			}
		}
		c, err := Open("model", single(build(entry{"w", d.String(), []int{rows, cols}, data})).open)
		if d.Quantized() {
			kind := map[DType]uint32{Q40: 2, Q41: 3, Q50: 6, Q51: 7, Q80: 8, Q2K: 10, Q3K: 11, Q4K: 12, Q5K: 13, Q6K: 14}[d]
			f := &ggufFile{Keys: []ggufKey{architecture("llama"), {"llama.attention.head_count", uint32(1)}}, Tensors: []ggufEntry{gguftest.NewTensor("w", []uint64{cols, rows}, kind, data)}}
			c, err = openGGUF("m.gguf", files{"m.gguf": f.Bytes()})
		}
		if err != nil {
			b.Fatal(err)
		}
		w, ok := c.Tensor("w")
		if !ok {
			b.Fatal("no tensor w")
		}
		for _, q := range []kernels.Quant{{}, {Bits: 8, Group: 32}, {Bits: 4, Group: 32}} {
			if q == (kernels.Quant{}) && d.Quantized() || q.Bits == 4 && d != BF16 && d != Q40 {
				continue
			}
			for isa := kernels.AVX2; isa <= min(kernels.BestISA(), kernels.AVX512); isa++ {
				b.Run(fmt.Sprintf("%v/%d bits/%v", d, q.Bits, isa), func(b *testing.B) {
					cpu, err := kernels.NewCPU(kernels.Options{ISA: isa, Compute: kernels.BF16, Threads: 1})
					if err != nil {
						b.Fatal(err)
					}
					defer cpu.Close()
					part := kernels.Part{Name: "w", W: w, Type: kernels.BF16, Quant: q}
					g, err := cpu.NewGroup(part)
					if err != nil {
						b.Fatal(err)
					}
					b.SetBytes(int64(len(data)))
					for b.Loop() {
						if err := cpu.Repack(g, part); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
