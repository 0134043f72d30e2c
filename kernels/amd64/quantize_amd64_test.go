//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

var quantizeRows = []struct {
	isa   kerneltest.ISA
	run   func(dst *byte, src *float32, ld, rows, k, block, mr, flip int)
	flips []int // that it takes
}{
	{kerneltest.AVX512, QuantizeRowsAVX512, []int{0, 0x80, -1}},
	{kerneltest.AVX2, QuantizeRowsAVX2, []int{0, 0x80}},
}

// quantizeInputs are n numbers, of which pieces of 32 differ: normal ones of any
// scale, whole ones whose quotients lie between two codes, ones with special values,
// and ones around the smallest that counts.
func quantizeInputs(seed uint64, n int) []float32 {
	rng := kerneltest.Rand(seed)
	x, specials := kerneltest.Normal(rng, n), kerneltest.Specials()
	for at := 0; at < len(x); at += 32 {
		piece := x[at:min(at+32, len(x))]
		kind, scale := rng.IntN(9), float32(math.Exp2(float64(rng.IntN(40)-20)))
		for i := range piece {
			switch kind {
			case 0: // halves of codes, if one is the largest
				piece[i] = float32(rng.IntN(509)-254) / 2
			case 1:
				if rng.IntN(8) == 0 {
					piece[i] = specials[rng.IntN(len(specials))]
				}
			case 2:
				piece[i] = float32(math.Ldexp(1-float64(rng.IntN(2))/(1<<24), -100))
			case 3:
				piece[i] *= 0x1p-110
			case 4:
				piece[i] = 0
			case 5: // the largest only
				piece[i] = float32(math.Copysign(float64(scale), float64(piece[i])))
			default:
				piece[i] *= scale
			}
		}
		if kind == 6 {
			piece[rng.IntN(len(piece))] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[rng.IntN(3)]
		}
	}
	return x
}

// TestQuantizeRows: the bytes of the reference for all numbers of rows in a record,
// and none beside them.
func TestQuantizeRows(t *testing.T) {
	const most, pad = 9, 3 // blocks, and between rows
	for _, q := range quantizeRows {
		t.Run(string(q.isa), func(t *testing.T) {
			kerneltest.Need(t, q.isa)
			src := kerneltest.NewGuard[float32](t, 32*(64*most+pad))
			dst := kerneltest.NewGuard[uint8](t, most*ref.BlockRecord(64, 32))
			n := 0
			for _, mr := range []int{1, 2, 4, 6, 12, 31, 32} {
				for _, block := range []int{32, 64} {
					for blocks := 1; blocks <= most; blocks += 1 + blocks/5 {
						for rows := range mr + 1 {
							if mr > 12 && rows > 2 && rows < mr-1 && rows != mr/2 {
								continue
							}
							n++
							k := blocks * block
							ld := k + n%(pad+1)
							// The last row ends with its inputs.
							x := quantizeInputs(uint64(n), max(0, (rows-1)*ld+k))
							if rows == 0 {
								x = x[:0]
							}
							flip := q.flips[n%len(q.flips)]
							for _, place := range []kerneltest.Place{kerneltest.Places[n/2%4], kerneltest.Places[4+n/2%4]} {
								from, got := src.Copy(x, place), dst.Slice(blocks*ref.BlockRecord(block, mr), place)
								want := slices.Clone(got)
								ref.QuantizeRows(want, x, ld, rows, k, block, mr, byte(max(flip, 0)))
								if rows == 0 {
									from = make([]float32, 1)
								}
								q.run(&got[0], &from[0], ld, rows, k, block, mr, flip)
								for end := ref.BlockRecord(block, mr); flip == -1 && end <= len(want); end += ref.BlockRecord(block, mr) {
									copy(want[end-4*mr:end], got[end-4*mr:]) // no sums
								}
								if !kerneltest.Equal(t, fmt.Sprintf("%d of %d rows, %d blocks of %d, %+v", rows, mr, blocks, block, place), got, want) {
									return
								}
								src.Check(t)
								dst.Check(t)
							}
						}
					}
				}
			}
		})
	}
}

func BenchmarkQuantizeRows(b *testing.B) {
	const k, block = 2048, 64
	for _, q := range quantizeRows {
		for _, mr := range []int{1, 6, 12} {
			b.Run(fmt.Sprintf("%s/tokens=%d", q.isa, mr), func(b *testing.B) {
				kerneltest.Need(b, q.isa)
				x := kerneltest.Normal(kerneltest.Rand(1), mr*k)
				dst := make([]byte, k/block*ref.BlockRecord(block, mr))
				for b.Loop() {
					q.run(&dst[0], &x[0], k, mr, k, block, mr, 0)
				}
				b.ReportMetric(float64(mr*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "inputs/ns")
			})
		}
	}
}
