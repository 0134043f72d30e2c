//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

// sparseOperands are 2:4 weights in a kernel's layout, and as a dense matrix.
type sparseOperands struct {
	w     []byte    // tiles, pad bytes apart
	dense []float32 // [rows, inputs]
}

// newSparse makes rows whose groups have all masks, from values of conv.
func newSparse(seed uint64, bits, rows, inputs, pad int, exact bool) sparseOperands {
	rng := kerneltest.Rand(seed)
	p, v := ref.SparseTile(bits, inputs)
	o := sparseOperands{make([]byte, rows/16*(p+v+pad)-pad), make([]float32, rows*inputs)}
	kept := sparseNumbers(seed, rows*inputs/2, exact)
	masks := make([]uint8, rows*inputs/4)
	for i := range masks {
		masks[i] = uint8(rng.IntN(sparse24.Masks))
	}
	sparse24.Unpack(o.dense, kept, masks)
	sparse24.ToPositions(masks, masks)
	for t := 0; t < rows/16 && inputs > 0; t++ {
		tile := o.w[t*(p+v+pad):]
		ref.PackPositions(unsafe.Slice((*uint64)(unsafe.Pointer(&tile[0])), inputs/4), masks[t*4*inputs:], 16)
		values := unsafe.Pointer(&tile[p])
		if bits == 32 {
			ref.PanelF32(unsafe.Slice((*float32)(values), v/4), kept[t*8*inputs:], inputs/2, 16, inputs/2, 16)
		} else {
			ref.PanelBF16(unsafe.Slice((*uint16)(values), v/2), kept[t*8*inputs:], inputs/2, 16, inputs/2, 16)
		}
	}
	return o
}

// sparseNumbers are whole or normal ones that bf16 holds.
func sparseNumbers(seed uint64, n int, exact bool) []float32 {
	rng := kerneltest.Rand(seed + 1e6)
	if exact {
		return kerneltest.Integers(rng, n, 8)
	}
	x := kerneltest.Normal(rng, n)
	for i, v := range x {
		x[i] = math.Float32frombits(math.Float32bits(v) &^ 0xffff)
	}
	return x
}

func TestSparse(t *testing.T) {
	const maxGroups, pad = 65, 72
	for i := range sparseKernels {
		d := &sparseKernels[i]
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, d.isa)
			rows, ldy := 16*d.tiles, 16*d.tiles+denseGap
			p, v := ref.SparseTile(d.bits, 4*maxGroups)
			gw := kerneltest.NewGuard[uint8](t, d.tiles*(p+v+pad))
			gf := kerneltest.NewGuard[float32](t, d.tokens*4*maxGroups)
			gh := kerneltest.NewGuard[uint16](t, d.tokens*4*maxGroups)
			gy := kerneltest.NewGuard[float32](t, d.tokens*ldy)
			for k := range maxGroups + 1 {
				for _, exact := range []bool{true, false} {
					in, add := 4*k, k%2
					o := newSparse(uint64(k), d.bits, rows, in, pad, exact)
					x := sparseNumbers(7, d.tokens*in, exact)
					start := sparseNumbers(8, (d.tokens-1)*ldy+rows, exact)
					xf, xh := make([]float32, len(x)), make([]uint16, len(x))
					half := make([]uint16, len(x))
					ref.ToBF16(half, x)
					for i := range d.tokens {
						ref.Quads(xf, x[i*in:(i+1)*in], i, d.tokens)
						ref.Quads(xh, half[i*in:(i+1)*in], i, d.tokens)
					}
					p, v := ref.SparseTile(d.bits, in)
					for _, place := range kerneltest.Places {
						y := gy.Copy(start, place)
						at := unsafe.Pointer(unsafe.SliceData(gf.Copy(xf, place)))
						if d.pairs {
							at = unsafe.Pointer(unsafe.SliceData(gh.Copy(xh, place)))
						}
						d.run(unsafe.Pointer(unsafe.SliceData(gw.Copy(o.w, place))), p+v+pad, at, k, &y[0], ldy, add)
						checkSparse(t, d, o, x, start, y, in, exact)
						gy.Check(t)
					}
				}
			}
		})
	}
}

func checkSparse(t *testing.T, d *denseKernel, o sparseOperands, x, start, y []float32, in int, exact bool) {
	t.Helper()
	rows, ldy := 16*d.tiles, 16*d.tiles+denseGap
	var worst kerneltest.Worst
	for i := range y {
		token, row := i/ldy, i%ldy
		want, bound := float64(start[i]), 0.0
		if row < rows {
			sum, abs := kerneltest.Dot(x[token*in:(token+1)*in], o.dense[row*in:(row+1)*in])
			if in/4%2 == 1 { // added
				sum, abs = sum+want, abs+math.Abs(want)
			}
			want = sum
			if !exact {
				bound = kerneltest.Bound(in/2+1, abs)
			}
		}
		worst.See(i, float64(y[i]), want, bound)
	}
	worst.Check(t, fmt.Sprintf("%s, %d inputs", d.name, in))
}

// BenchmarkSparse counts the dense matrix's operations.
func BenchmarkSparse(b *testing.B) {
	for i := range sparseKernels {
		d := &sparseKernels[i]
		b.Run(d.name, func(b *testing.B) {
			kerneltest.Need(b, d.isa)
			const in = 512
			rows := 16 * d.tiles
			o := newSparse(1, d.bits, rows, in, 0, true)
			p, v := ref.SparseTile(d.bits, in)
			x, y := make([]float32, d.tokens*in), make([]float32, d.tokens*rows)
			for b.Loop() {
				d.run(unsafe.Pointer(&o.w[0]), p+v, unsafe.Pointer(&x[0]), in/4, &y[0], rows, 0)
			}
			flops := 2 * float64(in) * float64(rows) * float64(d.tokens)
			b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOPS")
		})
	}
}
