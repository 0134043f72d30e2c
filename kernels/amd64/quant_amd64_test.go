//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"

	"github.com/x448/float16"
)

// quantRows makes tiles of quantized rows and the values they stand for.
func quantRows(seed uint64, bits, tiles, inputs, pad int) (w []byte, values []float32) {
	rng := kerneltest.Rand(seed)
	s, c := ref.QuantTile(bits, inputs)
	stride := s + c + pad
	w = make([]byte, tiles*stride-pad)
	codes, scales := make([]int8, inputs), make([]uint16, inputs/ref.QuantGroup)
	for r := range 16 * tiles {
		for i := range codes {
			codes[i] = int8(rng.IntN(1<<bits) - 1<<(bits-1))
		}
		for i := range scales {
			scales[i] = float16.Fromfloat32(float32(rng.NormFloat64() / 64)).Bits()
			if rng.IntN(8) == 0 {
				scales[i] = uint16(rng.IntN(0x400)) // subnormal
			}
		}
		ref.PackQuant(w[r/16*stride:][:s+c], bits, r%16, codes, scales)
		for i, code := range codes {
			values = append(values, float32(code)*float16.Frombits(scales[i/ref.QuantGroup]).Float32())
		}
	}
	return w, values
}

// f32Kernel is the kernel on f32 weights of the same instruction set and shape.
func (d *denseKernel) f32Kernel(t testing.TB) *denseKernel {
	name := strings.NewReplacer("Int8F32", "F32F32", "Int4F32", "F32F32").Replace(d.name)
	for i := range denseKernels {
		if denseKernels[i].name == name {
			return &denseKernels[i]
		}
	}
	t.Fatalf("no kernel %s", name)
	return nil
}

// TestQuant: the bits are those of the f32 kernel on the dequantized weights,
// which TestDense holds against f64.
func TestQuant(t *testing.T) {
	for i := range denseKernels {
		d := &denseKernels[i]
		if d.bits > 8 {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, d.isa)
			plain := d.f32Kernel(t)
			const maxGroups, pad = 17, 64
			s, c := ref.QuantTile(d.bits, maxGroups*ref.QuantGroup)
			gw := kerneltest.NewGuard[uint8](t, d.tiles*(s+c+pad))
			gx := kerneltest.NewGuard[float32](t, d.tokens*maxGroups*ref.QuantGroup)
			gy := kerneltest.NewGuard[float32](t, d.tokens*(16*d.tiles+denseGap))
			for k := range maxGroups + 1 {
				in, rows := k*ref.QuantGroup, 16*d.tiles
				w, values := quantRows(uint64(k), d.bits, d.tiles, in, pad)
				cs := &denseCase{w: values, x: kerneltest.Normal(kerneltest.Rand(uint64(k)), d.tokens*in)}
				wf, xf := packed(cs, rows, in, d.tokens, 0, false, func(v float32) float32 { return v })
				ldy := rows + denseGap
				want := make([]float32, (d.tokens-1)*ldy+rows)
				for i := range want {
					want[i] = float32(i)
				}
				start := append([]float32{}, want...)
				plain.run(unsafe.Pointer(unsafe.SliceData(wf)), 16*in*4, unsafe.Pointer(unsafe.SliceData(xf)), in, &want[0], ldy, k%2)
				s, c := ref.QuantTile(d.bits, in)
				for _, place := range kerneltest.Places {
					y := gy.Copy(start, place)
					d.run(unsafe.Pointer(unsafe.SliceData(gw.Copy(w, place))), s+c+pad,
						unsafe.Pointer(unsafe.SliceData(gx.Copy(xf, place))), k, &y[0], ldy, k%2)
					kerneltest.Equal(t, fmt.Sprintf("%s, %d groups", d.name, k), y, want)
					gy.Check(t)
				}
			}
		})
	}
}

func BenchmarkQuant(b *testing.B) {
	for i := range denseKernels {
		d := &denseKernels[i]
		if d.bits > 8 {
			continue
		}
		b.Run(d.name, func(b *testing.B) {
			kerneltest.Need(b, d.isa)
			const k = 16
			in, rows := k*ref.QuantGroup, 16*d.tiles
			w, _ := quantRows(1, d.bits, d.tiles, in, 0)
			s, c := ref.QuantTile(d.bits, in)
			x, y := make([]float32, d.tokens*in), make([]float32, d.tokens*rows)
			for b.Loop() {
				d.run(unsafe.Pointer(&w[0]), s+c, unsafe.Pointer(&x[0]), k, &y[0], rows, 0)
			}
			flops := 2 * float64(in) * float64(rows) * float64(d.tokens)
			b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOPS")
		})
	}
}
