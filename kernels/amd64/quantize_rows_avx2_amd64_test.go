//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// quantizeInputs are rows [rows, ld] in which blocks of 32 differ: normal ones,
// whole ones whose quotients lie between two codes, ones with special values, and
// ones around the smallest that counts.
func quantizeInputs(seed uint64, rows, ld int) []float32 {
	rng := kerneltest.Rand(seed)
	x, specials := kerneltest.Normal(rng, rows*ld), kerneltest.Specials()
	for at := 0; at < len(x); at += 32 {
		block := x[at:min(at+32, len(x))]
		kind := rng.IntN(6)
		for i := range block {
			switch kind {
			case 0:
				block[i] = float32(rng.IntN(509)-254) / 2
			case 1:
				if rng.IntN(8) == 0 {
					block[i] = specials[rng.IntN(len(specials))]
				}
			case 2:
				block[i] = float32(math.Ldexp(1-float64(rng.IntN(2))/(1<<24), -100))
			case 3:
				block[i] *= 0x1p-110
			}
		}
	}
	return x
}

// TestQuantizeRowsAVX2: the bytes of the reference, and none beside them.
func TestQuantizeRowsAVX2(t *testing.T) {
	kerneltest.Need(t, kerneltest.AVX2)
	const most = 12
	for _, block := range []int{32, 64} {
		for _, mr := range []int{1, 4, 6, 12} {
			dst := kerneltest.NewGuard[uint8](t, most*ref.BlockRecord(block, mr))
			src := kerneltest.NewGuard[float32](t, mr*(most*block+3))
			for blocks := range most + 1 {
				for rows := range mr + 1 {
					k := blocks * block
					ld := k + blocks%4
					x := quantizeInputs(uint64(100*blocks+rows), rows, ld)
					if rows > 0 { // the last row ends with its inputs
						x = x[:(rows-1)*ld+k]
					}
					flip := byte(rows % 2 * 0x80)
					want := make([]byte, blocks*ref.BlockRecord(block, mr))
					ref.QuantizeRows(want, x, ld, rows, k, block, mr, flip)
					place := kerneltest.Places[(blocks+rows)%len(kerneltest.Places)]
					got, from := dst.Slice(len(want), place), src.Copy(x, place)
					if blocks > 0 {
						var at *float32
						if rows > 0 {
							at = &from[0]
						}
						QuantizeRowsAVX2(&got[0], at, ld, rows, k, block, mr, int(flip))
					}
					dst.Check(t)
					if !kerneltest.Equal(t, fmt.Sprintf("%d blocks of %d, %d of %d rows", blocks, block, rows, mr), got, want) {
						return
					}
				}
			}
		}
	}
}

func BenchmarkQuantizeRowsAVX2(b *testing.B) {
	kerneltest.Need(b, kerneltest.AVX2)
	const k, block = 2048, 64
	for _, mr := range []int{1, 6} {
		b.Run(fmt.Sprintf("tokens=%d", mr), func(b *testing.B) {
			x := kerneltest.Normal(kerneltest.Rand(1), mr*k)
			dst := make([]byte, k/block*ref.BlockRecord(block, mr))
			for b.Loop() {
				QuantizeRowsAVX2(&dst[0], &x[0], k, mr, k, block, mr, 0)
			}
			b.ReportMetric(float64(mr*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "inputs/ns")
		})
	}
}
