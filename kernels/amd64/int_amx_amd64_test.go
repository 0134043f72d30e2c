//go:build amd64 && !noasm

package amd64

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
	"github.com/x448/float16"
)

// intTile is a kernel for integers on AMX.
type intTile struct {
	name        string
	bits, block int
	sparse      bool
	run         intTileKernel
}

type (
	intTileKernel  = func(w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int)
	diagonalKernel = func(w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int, every, step int)
)

// whole has one x for all tiles.
func whole(run diagonalKernel) intTileKernel {
	return func(w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int) {
		run(w, tiles, tokens, x, k, block, y, ldy, add, tiles, 0)
	}
}

var intTiles = []intTile{
	{"DenseInt8/block=64", 8, 64, false, whole(DenseInt8AMX)},
	{"DenseInt8/block=32", 8, 32, false, whole(DenseInt8AMX)},
	{"DenseInt4/block=64", 4, 64, false, whole(DenseInt4AMX)},
	{"DenseInt4/block=32", 4, 32, false, whole(DenseInt4AMX)},
	{"SparseInt8", 8, 64, true, SparseInt8AMX},
	{"SparseInt4", 4, 64, true, SparseInt4AMX},
}

// intTileCase is one product; its weight tiles are pad bytes apart.
type intTileCase struct {
	*intTile
	tiles, tokens, k int
	ldy, stride      int
	w                []byte // [tiles, stride], but the last without the pad
	x                []byte // [k] records
	y                []float32
}

func newIntTileCase(kind *intTile, rng *rand.Rand, tiles, tokens, k, pad int) *intTileCase {
	o := &intTileCase{intTile: kind, tiles: tiles, tokens: tokens, k: k, ldy: 16*tiles + denseGap}
	scales, codes := 0, 0
	if k > 0 {
		scales, codes = ref.IntTile(kind.bits, k*kind.block, kind.block, kind.sparse)
	}
	o.stride = scales + codes + pad
	o.w = make([]byte, max(0, tiles*o.stride-pad))
	for row := range 16 * tiles {
		if k > 0 {
			packIntRow(o.w[row/16*o.stride:], kind, rng, row%16, k)
		}
	}
	for range k {
		o.x = append(o.x, intRecord(rng, tokens, kind.block)...)
	}
	o.y = kerneltest.Normal(rng, (tokens-1)*o.ldy+16*tiles)
	return o
}

// packIntRow makes a row of codes, now and then only of the largest, in groups of
// all masks, and of those that a row of fewer inputs has: none, at 0 and 0.
func packIntRow(tile []byte, kind *intTile, rng *rand.Rand, lane, k int) {
	most := 1<<(kind.bits-1) - 1
	n := k * kind.block
	if kind.sparse {
		n /= 2
	}
	extreme := rng.IntN(6)
	codes := make([]int8, n)
	for i := range codes {
		switch extreme {
		case 0:
			codes[i] = int8(most)
		case 1:
			codes[i] = int8(-most)
		default:
			codes[i] = int8(rng.IntN(2*most+1) - most)
		}
	}
	scales := make([]uint16, k)
	for i := range scales {
		scales[i] = float16.Fromfloat32(float32(math.Abs(rng.NormFloat64()) / 64)).Bits()
		switch rng.IntN(8) {
		case 0:
			scales[i] = uint16(rng.IntN(0x400)) // subnormal
		case 1:
			scales[i] = 0
		case 2:
			scales[i] = 0x7bff // the largest
		}
	}
	if !kind.sparse {
		ref.PackInt(tile, kind.bits, kind.block, lane, codes, scales)
		return
	}
	positions := make([]uint8, n/2)
	for i := range positions {
		positions[i] = uint8(rng.IntN(sparse24.Masks))
	}
	sparse24.ToPositions(positions, positions)
	for i := range positions {
		if rng.IntN(9) == 0 {
			positions[i], codes[2*i], codes[2*i+1] = 0, 0, 0
		}
	}
	ref.PackIntSparse(tile, kind.bits, lane, codes, positions, scales)
}

// intRecord is a block of activations; some have no codes, or are not finite.
func intRecord(rng *rand.Rand, tokens, block int) []byte {
	record := make([]byte, ref.BlockRecord(block, tokens))
	for i := range tokens {
		kind, scale, sum := rng.IntN(20), float32(math.Abs(rng.NormFloat64())), int32(0)
		for j := range block {
			code := int8(rng.IntN(255) - 127)
			switch kind {
			case 0, 1, 2, 3:
				code = 0
			case 4:
				code = 127
			case 5:
				code = -127
			}
			record[i*block+j] = byte(code)
			sum += int32(code)
		}
		switch kind {
		case 0:
			scale = 0
		case 1:
			if rng.IntN(4) == 0 {
				scale = float32(math.NaN())
			}
		case 2:
			if rng.IntN(4) == 0 {
				scale = float32(math.Inf(1))
			}
		case 6:
			scale = 0x1p-107
		}
		binary.LittleEndian.PutUint32(record[tokens*block+4*i:], math.Float32bits(scale))
		binary.LittleEndian.PutUint32(record[tokens*(block+4)+4*i:], uint32(sum))
	}
	return record
}

// at is the list of the weight tiles.
func (o *intTileCase) at(w []byte) []unsafe.Pointer {
	list := make([]unsafe.Pointer, o.tiles)
	for t := range list {
		list[t] = unsafe.Pointer(unsafe.SliceData(w[t*o.stride:]))
	}
	return list
}

func (o *intTileCase) multiply(w []byte, x []byte, y []float32, add int) {
	at := o.at(w)
	o.run(&at[0], o.tiles, o.tokens, unsafe.Pointer(unsafe.SliceData(x)), o.k, o.block, &y[0], o.ldy, add)
}

func (o *intTileCase) want(add bool) []float32 {
	y := slices.Clone(o.y)
	for t := range o.tiles {
		if o.k > 0 {
			ref.Int(o.w[t*o.stride:], o.bits, o.block, o.sparse, o.x, o.k, o.tokens, y[16*t:], o.ldy, add, 0)
			continue
		}
		for i := range o.tokens {
			for n := range 16 {
				if !add {
					y[i*o.ldy+16*t+n] = 0
				}
			}
		}
	}
	return y
}

// sameBits fails the test unless all bits are those wanted; a NaN is any NaN.
func sameBits(tb testing.TB, what string, got, want []float32) {
	tb.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			tb.Fatalf("%s: element %d of %d: got %v (%#x), want %v (%#x)", what, i, len(got), got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// TestIntAMX: bits of the reference for all numbers of tokens and the first of
// blocks, and what is beside operands unread.
func TestIntAMX(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	const maxBlocks, maxTiles, pad = 9, 5, 72
	for i := range intTiles {
		kind := &intTiles[i]
		t.Run(kind.name, func(t *testing.T) {
			// Not any seed: ref.Int rounds a sum twice, to f64 first, and one in
			// some millions is another then. With a fma of one rounding all do.
			rng := kerneltest.Rand(15)
			gw := kerneltest.NewGuard[uint8](t, maxTiles*(2048*maxBlocks+pad))
			gx := kerneltest.NewGuard[uint8](t, maxBlocks*ref.BlockRecord(64, 64))
			gy := kerneltest.NewGuard[float32](t, 64*(16*maxTiles+denseGap))
			n := 0
			for k := range maxBlocks + 1 {
				for tokens := 1; tokens <= 64; tokens++ {
					if few := tokens % 16; tokens > 32 && few > 1 && few < 15 && (tokens+k)%7 > 0 {
						continue // the reference is slow
					}
					tiles, place := 1+n*7%maxTiles, kerneltest.Places[n%len(kerneltest.Places)]
					n++
					o := newIntTileCase(kind, rng, tiles, tokens, k, pad)
					for add := range 2 {
						y := gy.Copy(o.y, place)
						o.multiply(gw.Copy(o.w, place), gx.Copy(o.x, place), y, add)
						sameBits(t, fmt.Sprintf("%d tiles, %d tokens, %d blocks, %+v, add %d", tiles, tokens, k, place, add), y, o.want(add == 1))
						gy.Check(t)
					}
				}
			}
			for tokens := 1; tokens <= 64; tokens += 9 {
				o := newIntTileCase(kind, rng, 3, tokens, 150, pad)
				got := slices.Clone(o.y)
				o.multiply(o.w, o.x, got, 0)
				sameBits(t, fmt.Sprintf("%d tokens, 150 blocks", tokens), got, o.want(false))
			}
		})
	}
}

// TestIntAMXLargest has the sums that are largest in magnitude.
func TestIntAMXLargest(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	for i := range intTiles {
		kind := &intTiles[i]
		rng := kerneltest.Rand(12)
		for _, sign := range []int{1, -1} {
			o := newIntTileCase(kind, rng, 1, 2, 1, 0)
			n := kind.block
			if kind.sparse {
				n /= 2
			}
			codes, positions := make([]int8, n), make([]uint8, n/2)
			for j := range codes {
				codes[j] = int8(sign * (1<<(kind.bits-1) - 1))
			}
			for j := range positions {
				positions[j] = 1 << 2
			}
			for lane := range 16 {
				if kind.sparse {
					ref.PackIntSparse(o.w, kind.bits, lane, codes, positions, []uint16{0x3c00})
				} else {
					ref.PackInt(o.w, kind.bits, kind.block, lane, codes, []uint16{0x3c00})
				}
			}
			for j := range 2 * kind.block {
				o.x[j] = 127
			}
			for j := range 2 {
				binary.LittleEndian.PutUint32(o.x[2*kind.block+4*j:], math.Float32bits(1))
			}
			want := float32(sign * n * 127 * (1<<(kind.bits-1) - 1))
			o.multiply(o.w, o.x, o.y, 0)
			for lane := range 16 {
				if o.y[lane] != want || o.y[o.ldy+lane] != want {
					t.Errorf("%s: lane %d: got %v and %v, want %v", kind.name, lane, o.y[lane], o.y[o.ldy+lane], want)
				}
			}
		}
	}
}

// TestIntAMXDiagonal: every so many tiles have inputs of their own, and nothing is
// read behind the last's.
func TestIntAMXDiagonal(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	const maxBlocks, diagonal = 5, 3 // blocks of inputs of each, and so many of these
	gx := kerneltest.NewGuard[uint8](t, diagonal*maxBlocks*ref.BlockRecord(64, 64))
	for i := range intTiles {
		kind := &intTiles[i]
		if kind.sparse {
			continue
		}
		run := diagonalKernel(DenseInt8AMX)
		if kind.bits == 4 {
			run = DenseInt4AMX
		}
		for n, tokens := range []int{1, 2, 15, 16, 17, 31, 32, 33, 40, 48, 49, 63, 64, 64, 64, 64, 64} {
			every, k := 1+n%5, 1+n%maxBlocks
			o := newIntTileCase(kind, kerneltest.Rand(uint64(16+n)), diagonal*every-n%2, tokens, k, 0)
			one := len(o.x)
			for range diagonal - 1 {
				for range k {
					o.x = append(o.x, intRecord(kerneltest.Rand(uint64(len(o.x))), tokens, kind.block)...)
				}
			}
			for add := range 2 {
				want := slices.Clone(o.y)
				for tile := range o.tiles {
					ref.Int(o.w[tile*o.stride:], o.bits, o.block, false, o.x[tile/every*one:], k, tokens, want[16*tile:], o.ldy, add == 1, 0)
				}
				at, got := o.at(o.w), slices.Clone(o.y)
				x := gx.Copy(o.x, kerneltest.Places[n%len(kerneltest.Places)])
				run(&at[0], o.tiles, tokens, unsafe.Pointer(&x[0]), k, o.block, &got[0], o.ldy, add, every, one)
				sameBits(t, fmt.Sprintf("%s: every %d tiles, %d tokens, %d blocks, add %d", kind.name, every, tokens, k, add), got, want)
			}
		}
	}
}

// TestIntAMXSignals: tiles and sums are kept when signals and the collector
// interrupt.
func TestIntAMXSignals(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	stop := time.Now().Add(300 * time.Millisecond)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			o := newIntTileCase(&intTiles[2+worker], kerneltest.Rand(uint64(worker)), 6, 14+16*worker, 21, 0)
			got, want := slices.Clone(o.y), o.want(false)
			for calls := 0; time.Now().Before(stop); calls++ {
				o.multiply(o.w, o.x, got, 0)
				for i := range want {
					if got[i] != want[i] && want[i] == want[i] {
						t.Errorf("worker %d: call %d is wrong", worker, calls)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkIntAMX reads half a megabyte of the format again and again, as the
// tokens of a prefill do, or more memory than caches hold, as decoding does; beside
// it the kernels of bf16, and a plain read. w/ns counts the dense matrix's weights.
func BenchmarkIntAMX(b *testing.B) {
	kerneltest.Need(b, kerneltest.AMX)
	const in, list = 2048, 16
	for _, where := range []struct {
		name string
		size int
	}{{"L2", 512 << 10}, {"memory", 512 << 20}} {
		mem := make([]byte, where.size)
		for i := range mem {
			mem[i] = 0x2b // all types are finite
		}
		for _, tokens := range []int{1, 2, 4, 16, 32, 64} {
			ldx := 2*in + 64 // bytes
			x, y := make([]byte, 64*ldx), make([]float32, 64*16*list)
			bench := func(name string, size int, run func(at []unsafe.Pointer)) {
				b.Run(fmt.Sprintf("%s/tokens=%d/%s", where.name, tokens, name), func(b *testing.B) {
					at, next := make([]unsafe.Pointer, list), 0
					for b.Loop() {
						for i := range at {
							if next+size > len(mem) {
								next = 0
							}
							at[i] = unsafe.Pointer(&mem[next])
							next += size
						}
						run(at)
					}
					ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
					b.ReportMetric(list*16*in/ns, "w/ns")
					b.ReportMetric(float64(list*size)/ns, "GB/s")
				})
			}
			bench("read", 16*in, func(at []unsafe.Pointer) {
				for _, p := range at {
					MaxAVX512(unsafe.Slice((*float32)(p), 4*in))
				}
			})
			if tokens <= 32 {
				bench("DenseBF16", 32*in, func(at []unsafe.Pointer) {
					DenseBF16BF16AMX(&at[0], list, tokens, unsafe.Pointer(&x[0]), ldx, in/2, &y[0], 16*list, 0)
				})
				positions, values := ref.SparseTile(16, in)
				bench("SparseBF16", positions+values, func(at []unsafe.Pointer) {
					SparseBF16BF16AMX(&at[0], list, tokens, unsafe.Pointer(&x[0]), ldx, in/4, &y[0], 16*list, 0)
				})
			}
			for _, kind := range intTiles {
				scales, codes := ref.IntTile(kind.bits, in, kind.block, kind.sparse)
				bench(kind.name, scales+codes, func(at []unsafe.Pointer) {
					kind.run(&at[0], list, tokens, unsafe.Pointer(&x[0]), in/kind.block, kind.block, &y[0], 16*list, 0)
				})
			}
		}
	}
}
