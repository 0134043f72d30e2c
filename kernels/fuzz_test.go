package kernels

import (
	"fmt"
	"testing"

	"armor/kernels/internal/kerneltest"
)

// FuzzLinear has groups of any shape, floats and integers, on every instruction set.
func FuzzLinear(f *testing.F) {
	f.Add(uint16(63), uint16(69), uint16(31), uint16(80), uint8(0), uint8(3))
	f.Add(uint16(127), uint16(19), uint16(0), uint16(0), uint8(1), uint8(77))
	f.Add(uint16(3), uint16(47), uint16(5), uint16(33), uint8(2), uint8(12))
	f.Add(uint16(200), uint16(130), uint16(130), uint16(600), uint8(3), uint8(255))
	f.Add(uint16(77), uint16(99), uint16(7), uint16(9), uint8(4), uint8(40))
	f.Add(uint16(255), uint16(15), uint16(64), uint16(64), uint8(6), uint8(1))
	f.Fuzz(func(t *testing.T, in, out, a, b uint16, kind, rows uint8) {
		most := 300 // of what the reference still multiplies soon
		at := armorTest{in: 4 * (1 + int(in)%(most/4)), typ: DType(kind & 1)}
		tokens := 1 + int(rows)
		if kind>>1&3 == 3 {
			fuzzQuant(t, 64*(1+int(in)%5), 1+int(out)%most, kind, 1+tokens%70)
			return
		}
		for i := range 1 + int(kind>>3&1) {
			ap := armorPart{rows: 1 + (int(out)+23*i)%most, shared: -1, dense: kind>>1&3 == 2, bias: kind>>4&1 == 1}
			if blocks := divisors(ap.rows); len(blocks) > 0 && a > 0 {
				ap.a = blocks[int(a)%len(blocks)]
			}
			if blocks := divisors(at.in); b > 0 {
				ap.b = blocks[int(b)%len(blocks)]
			}
			if i > 0 && !ap.dense && kind>>5&1 == 1 {
				ap.shared = 0
			}
			at.parts = append(at.parts, ap)
		}
		ac := newArmorCase(at, 1+tokens%90, kind>>6&1 == 1)
		backends(t, func(t *testing.T, c *CPU) { ac.check(t, c) })
	})
}

func fuzzQuant(t *testing.T, in, out int, kind uint8, rows int) {
	q := Quant{Bits: 8 - 4*int(kind&1), Group: 32 << (kind >> 3 & 1)}
	w := newCoded(uint64(in+out), out, in, q)
	x := kerneltest.Normal(kerneltest.Rand(uint64(rows)), rows*in)
	var want []float32
	for r := range rows {
		want = append(want, w.times(x[r*in:][:in], false)...)
	}
	backends(t, func(t *testing.T, c *CPU) {
		if c.compute == F32 {
			return
		}
		g, err := c.NewGroup(Part{Name: "w", W: w, Quant: q})
		if err != nil {
			t.Fatal(err)
		}
		dst, _ := c.newBuf(rows, out)
		linear(t, c, dst, g, upload(t, c, rows, in, x), Fuse{})
		for r := range rows {
			if !kerneltest.Equal(t, fmt.Sprintf("%+v, [%d, %d], row %d of %d", q, out, in, r, rows), dst.row(r), want[r*out:][:out]) {
				return
			}
		}
	})
}
