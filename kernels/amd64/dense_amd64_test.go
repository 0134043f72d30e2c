//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
)

// denseKernel is a row of the generated table.
type denseKernel struct {
	name          string
	isa           kerneltest.ISA
	bits          int  // of a weight
	pairs         bool // activations are bf16 pairs too
	tiles, tokens int
	run           func(w unsafe.Pointer, wstride int, x unsafe.Pointer, k int, y *float32, ldy, add int)
}

// inputs is the number of inputs in k steps.
func (d *denseKernel) inputs(k int) int {
	if d.bits == 16 {
		return 2 * k
	}
	return k
}

// denseCase is one product in plain layout: y[tokens, rows] = y0 + x·wᵀ.
type denseCase struct {
	w, x, y0 []float32
	k        int // steps
	want     []float64
	bound    []float64
}

const denseMaxSteps, denseGap = 257, 5

func newDenseCase(d *denseKernel, k int, exact, add bool) *denseCase {
	rng := kerneltest.Rand(uint64(k) + 1)
	make := func(n int) []float32 {
		if exact {
			return kerneltest.Integers(rng, n, 8)
		}
		v := kerneltest.Normal(rng, n)
		for i := range v { // so that bf16 holds it
			v[i] = math.Float32frombits(math.Float32bits(v[i]) &^ 0xffff)
		}
		return v
	}
	in, rows := d.inputs(k), d.tiles*16
	c := &denseCase{w: make(rows * in), x: make(d.tokens * in), k: k}
	c.y0 = make(d.tokens * rows)
	for t := range d.tokens {
		for r := range rows {
			sum, abs := kerneltest.Dot(c.x[t*in:(t+1)*in], c.w[r*in:(r+1)*in])
			if add {
				y := float64(c.y0[t*rows+r])
				sum, abs = sum+y, abs+math.Abs(y)
			}
			bound := 0.0
			if !exact {
				bound = kerneltest.Bound(in+1, abs)
			}
			c.want, c.bound = append(c.want, sum), append(c.bound, bound)
		}
	}
	return c
}

func toBits(v float32) uint16 { return uint16(math.Float32bits(v) >> 16) }

// packed gives the kernel's layouts: each weight tile followed by pad elements.
func packed[T float32 | uint16](c *denseCase, rows, in, mr, pad int, paired bool, conv func(float32) T) (w, x []T) {
	group := 1
	if paired {
		group = 2
	}
	tile := 16*in + pad
	w = make([]T, rows/16*tile-pad)
	for r := range rows {
		for i := range in {
			w[r/16*tile+(i/group*16+r%16)*group+i%group] = conv(c.w[r*in+i])
		}
	}
	x = make([]T, mr*in)
	for t := range mr {
		for i := range in {
			x[(i/group*mr+t)*group+i%group] = conv(c.x[t*in+i])
		}
	}
	return w, x
}

func TestDense(t *testing.T) {
	for i := range denseKernels {
		d := &denseKernels[i]
		if d.bits < 16 {
			continue // TestQuant
		}
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, d.isa)
			h := newDenseHarness(t, d)
			for k := range denseMaxSteps + 1 {
				for _, exact := range []bool{true, false} {
					add := k%2 == 1
					h.check(newDenseCase(d, k, exact, add), add)
				}
			}
		})
	}
}

type denseHarness struct {
	t  *testing.T
	d  *denseKernel
	wf *kerneltest.Guard[float32]
	wh *kerneltest.Guard[uint16]
	xf *kerneltest.Guard[float32]
	xh *kerneltest.Guard[uint16]
	y  *kerneltest.Guard[float32]
}

func newDenseHarness(t *testing.T, d *denseKernel) *denseHarness {
	n := 2 * denseMaxSteps
	return &denseHarness{
		t: t, d: d,
		wf: kerneltest.NewGuard[float32](t, d.tiles*(16*n+64)),
		wh: kerneltest.NewGuard[uint16](t, d.tiles*(16*n+64)),
		xf: kerneltest.NewGuard[float32](t, d.tokens*n),
		xh: kerneltest.NewGuard[uint16](t, d.tokens*n),
		y:  kerneltest.NewGuard[float32](t, d.tokens*(16*d.tiles+denseGap)),
	}
}

// check runs the kernel with its operands at every place.
func (h *denseHarness) check(c *denseCase, add bool) {
	h.t.Helper()
	d, in, rows := h.d, h.d.inputs(c.k), 16*h.d.tiles
	const pad = 6
	wf, xf := packed(c, rows, in, d.tokens, pad, d.bits == 16, func(v float32) float32 { return v })
	wh, xh := packed(c, rows, in, d.tokens, pad, d.bits == 16, toBits)
	ldy := rows + denseGap
	if !d.pairs { // activations in f32, one input after the other
		_, xf = packed(c, rows, in, d.tokens, pad, false, func(v float32) float32 { return v })
	}
	for _, place := range kerneltest.Places {
		var w, x unsafe.Pointer
		size := 4
		if d.bits == 16 {
			w, size = unsafe.Pointer(unsafe.SliceData(h.wh.Copy(wh, place))), 2
		} else {
			w = unsafe.Pointer(unsafe.SliceData(h.wf.Copy(wf, place)))
		}
		if d.pairs {
			x = unsafe.Pointer(unsafe.SliceData(h.xh.Copy(xh, place)))
		} else {
			x = unsafe.Pointer(unsafe.SliceData(h.xf.Copy(xf, place)))
		}
		y := h.y.Slice((d.tokens-1)*ldy+rows, place)
		gap := y[min(rows, len(y)-1)]
		flag := 0
		if add {
			flag = 1
			for t := range d.tokens {
				copy(y[t*ldy:t*ldy+rows], c.y0[t*rows:])
			}
		}
		d.run(w, (16*in+pad)*size, x, c.k, &y[0], ldy, flag)
		h.compare(c, y, ldy, rows, gap)
	}
}

func (h *denseHarness) compare(c *denseCase, y []float32, ldy, rows int, gap float32) {
	h.t.Helper()
	var worst kerneltest.Worst
	for t := range h.d.tokens {
		for r := range rows {
			i := t*rows + r
			worst.See(i, float64(y[t*ldy+r]), c.want[i], c.bound[i])
		}
		if t == h.d.tokens-1 {
			break
		}
		for r := rows; r < ldy; r++ {
			if math.Float32bits(y[t*ldy+r]) != math.Float32bits(gap) {
				h.t.Fatalf("%d steps: the gap after token %d was written", c.k, t)
			}
		}
	}
	worst.Check(h.t, fmt.Sprintf("%s, %d steps", h.d.name, c.k))
	h.y.Check(h.t)
}

// BenchmarkDense has operands in cache, as a tile kernel has in a prefill.
func BenchmarkDense(b *testing.B) {
	for i := range denseKernels {
		d := &denseKernels[i]
		if d.bits < 16 {
			continue // BenchmarkQuant
		}
		b.Run(d.name, func(b *testing.B) {
			kerneltest.Need(b, d.isa)
			const k = 256
			c := newDenseCase(d, k, true, false)
			in, rows := d.inputs(k), 16*d.tiles
			wf, xf := packed(c, rows, in, d.tokens, 0, d.bits == 16, func(v float32) float32 { return v })
			wh, xh := packed(c, rows, in, d.tokens, 0, d.bits == 16, toBits)
			w, x, size := unsafe.Pointer(&wf[0]), unsafe.Pointer(&xf[0]), 4
			if d.bits == 16 {
				w, size = unsafe.Pointer(&wh[0]), 2
			}
			if d.pairs {
				x = unsafe.Pointer(&xh[0])
			}
			y := make([]float32, d.tokens*rows)
			for b.Loop() {
				d.run(w, 16*in*size, x, k, &y[0], rows, 0)
			}
			flops := 2 * float64(in) * float64(rows) * float64(d.tokens)
			b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOPS")
		})
	}
}
