//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// TestQuantizeRows: the bits of the reference, for all numbers of rows in a
// record, special values and halves between two codes.
func TestQuantizeRows(t *testing.T) {
	kerneltest.Need(t, kerneltest.AVX512)
	const most = 5 // blocks
	src := kerneltest.NewGuard[float32](t, 33*(64*most+3))
	dst := kerneltest.NewGuard[uint8](t, most*ref.BlockRecord(64, 32))
	rng := kerneltest.Rand(1)
	specials := kerneltest.Specials()
	n := 0
	for _, mr := range []int{1, 2, 4, 6, 12, 31, 32} {
		for _, block := range []int{32, 64} {
			for k := 0; k <= most*block; k += block {
				for _, rows := range []int{0, 1, mr / 2, mr - 1, mr} {
					n++
					ld := k + n%4
					x := intRows(rng, 1, (max(1, rows)*ld+block)/block*block, block, intNumbers{extreme: n%5 == 0, special: n%3 == 0})
					for i := range x {
						switch {
						case n%4 == 1 && rng.IntN(20) == 0:
							x[i] = specials[rng.IntN(len(specials))]
						case n%4 == 2: // whole codes and halves, if one is the largest
							x[i] = float32(rng.IntN(509)-254) / 2
						}
					}
					x = x[:max(0, (rows-1)*ld+k)]
					place := kerneltest.Places[n%len(kerneltest.Places)]
					flip := [...]int{0, 0x80, -1}[n/3%3]
					got := dst.Slice(k/block*ref.BlockRecord(block, mr), place)
					want := slices.Clone(got)
					ref.QuantizeRows(want, x, ld, rows, k, block, mr, byte(max(flip, 0)))
					from := src.Copy(x, place)
					if len(x) == 0 {
						from = make([]float32, 1)
					}
					if len(got) == 0 {
						got = make([]byte, 1)
					}
					QuantizeRowsAVX512(&got[0], &from[0], ld, rows, k, block, mr, flip)
					for end := ref.BlockRecord(block, mr); flip == -1 && end <= len(want); end += ref.BlockRecord(block, mr) {
						copy(want[end-4*mr:end], got[end-4*mr:]) // no sums
					}
					if len(want) > 0 {
						kerneltest.Equal(t, fmt.Sprintf("%d of %d rows, %d blocks of %d, %+v", rows, mr, k/block, block, place), got, want)
					}
					dst.Check(t)
				}
			}
		}
	}
}

func BenchmarkQuantizeRows(b *testing.B) {
	kerneltest.Need(b, kerneltest.AVX512)
	const k, block = 2048, 64
	for _, mr := range []int{1, 12} {
		b.Run(fmt.Sprintf("tokens=%d", mr), func(b *testing.B) {
			x := kerneltest.Normal(kerneltest.Rand(1), mr*k)
			dst := make([]byte, k/block*ref.BlockRecord(block, mr))
			for b.Loop() {
				QuantizeRowsAVX512(&dst[0], &x[0], k, mr, k, block, mr, 0)
			}
			b.ReportMetric(float64(mr*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "inputs/ns")
		})
	}
}
