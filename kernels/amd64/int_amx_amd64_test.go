//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

var intAMXKernels = []intKernel{
	{"DenseInt8AMX", kerneltest.AMX, 8, false, nil, listed(whole(DenseInt8AMX))},
	{"DenseInt4AMX", kerneltest.AMX, 4, false, nil, listed(whole(DenseInt4AMX))},
	{"SparseInt8AMX", kerneltest.AMX, 8, true, nil, listed(SparseInt8AMX)},
	{"SparseInt4AMX", kerneltest.AMX, 4, true, nil, listed(SparseInt4AMX)},
}

type (
	listKernel     = func(w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int)
	diagonalKernel = func(w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int, every, step int)
)

// whole has one x for all tiles.
func whole(run diagonalKernel) listKernel {
	return func(w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int) {
		run(w, tiles, tokens, x, k, block, y, ldy, add, tiles, 0)
	}
}

// listed is called as other kernels are, and lists the tiles.
func listed(run listKernel) func(tiles, tokens int, w unsafe.Pointer, wstride int, x unsafe.Pointer, k, block int, y *float32, ldy, add int) {
	return func(tiles, tokens int, w unsafe.Pointer, wstride int, x unsafe.Pointer, k, block int, y *float32, ldy, add int) {
		run(&tileList(w, wstride, tiles)[0], tiles, tokens, x, k, block, y, ldy, add)
	}
}

func tileList(w unsafe.Pointer, stride, tiles int) []unsafe.Pointer {
	list := make([]unsafe.Pointer, tiles)
	for t := range list {
		list[t] = unsafe.Add(w, t*stride)
	}
	return list
}

// TestIntAMXDiagonal: every so many tiles have inputs of their own, and nothing is
// read behind the last's.
func TestIntAMXDiagonal(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	const maxBlocks, diagonal = 5, 3 // blocks of inputs of each, and so many of these
	gx := kerneltest.NewGuard[uint8](t, diagonal*maxBlocks*ref.BlockRecord(64, 64))
	for i, run := range []diagonalKernel{DenseInt8AMX, DenseInt4AMX} {
		for _, block := range []int{32, 64} {
			for n, tokens := range []int{1, 2, 15, 16, 17, 31, 32, 33, 40, 48, 49, 63, 64, 64, 64, 64, 64} {
				every, k, rng := 1+n%5, 1+n%maxBlocks, kerneltest.Rand(uint64(16+n))
				o := newIntCase(&intAMXKernels[i], rng, diagonal*every-n%2, tokens, k, block, intFinite)
				one := len(o.x)
				for range (diagonal - 1) * k {
					o.x = append(o.x, o.record(rng)...)
				}
				for add := range 2 {
					want := slices.Clone(o.y)
					for tile := range o.tiles {
						ref.Int(o.w[tile*o.stride:], o.d.bits, block, false, o.x[tile/every*one:], k, tokens, want[16*tile:], o.ldy, add == 1, 0)
					}
					at, got := tileList(unsafe.Pointer(&o.w[0]), o.stride, o.tiles), slices.Clone(o.y)
					x := gx.Copy(o.x, kerneltest.Places[n%len(kerneltest.Places)])
					run(&at[0], o.tiles, tokens, unsafe.Pointer(&x[0]), k, block, &got[0], o.ldy, add, every, one)
					sameBits(t, fmt.Sprintf("%v, every %d tiles, add %d", o, every, add), got, want)
				}
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
	for worker := range intAMXKernels {
		wg.Go(func() {
			o := newIntCase(&intAMXKernels[worker], kerneltest.Rand(uint64(worker)), 6, 14+16*worker, 21, 64, intFinite)
			got, want := slices.Clone(o.y), o.want(0)
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
			for i, run := range []listKernel{whole(DenseInt8AMX), whole(DenseInt4AMX), SparseInt8AMX, SparseInt4AMX} {
				d := &intAMXKernels[i]
				for _, block := range d.blocks() {
					scales, codes := ref.IntTile(d.bits, in, block, d.sparse)
					bench(fmt.Sprintf("%s/block=%d", d.name, block), scales+codes, func(at []unsafe.Pointer) {
						run(&at[0], list, tokens, unsafe.Pointer(&x[0]), in/block, block, &y[0], 16*list, 0)
					})
				}
			}
		}
	}
}
