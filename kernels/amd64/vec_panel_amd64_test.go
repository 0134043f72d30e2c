//go:build amd64 && !noasm

package amd64_test

import (
	"fmt"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

func TestPanels(t *testing.T) {
	const most = 12*1025 + 12
	for _, isa := range vecISAs(t) {
		src := kerneltest.NewGuard[float32](t, most)
		dst, half := kerneltest.NewGuard[float32](t, most), kerneltest.NewGuard[uint16](t, most)
		k := vecs[isa]
		run := 0
		check := func(rows, cols, mr int) {
			what := fmt.Sprintf("%s: %d rows, %d columns, tile of %d", isa, rows, cols, mr)
			run++
			p := kerneltest.Places[run%len(kerneltest.Places)]
			q := kerneltest.Places[run/len(kerneltest.Places)%len(kerneltest.Places)]
			ld := cols + run%2*5
			size := 0 // of the source: the last row ends with its last column
			if rows > 0 {
				size = (rows-1)*ld + cols
			}
			x := src.Slice(size, p)
			for i := range x {
				x[i] = wild[(i+7*run)%len(wild)]
			}
			for _, f := range []struct {
				name     string
				ref, got func(dst, src []float32, ld, rows, k, mr int)
			}{{" f32", ref.PanelF32, k.panelF32}, {" rounded", ref.PanelF32Round, k.panelF32Round}} {
				want, out := make([]float32, cols*mr), dst.Slice(cols*mr, q)
				f.ref(want, x, ld, rows, cols, mr)
				f.got(out, x, ld, rows, cols, mr)
				kerneltest.Equal(t, what+f.name, out, want)
				dst.Check(t)
			}
			n := (cols + 1) / 2 * 2 * mr
			want, out := make([]uint16, n), half.Slice(n, q)
			ref.PanelBF16(want, x, ld, rows, cols, mr)
			k.panelBF16(out, x, ld, rows, cols, mr)
			kerneltest.Equal(t, what+" bf16", out, want)
			half.Check(t)
			src.Check(t)
			if t.Failed() {
				t.Fatal(what)
			}
		}
		for _, mr := range []int{1, 4, 6, 12} {
			for _, cols := range kerneltest.Lengths() {
				from := 0
				if cols > 257 {
					from = mr - 1
				}
				for rows := from; rows <= mr; rows++ {
					check(rows, cols, mr)
				}
			}
		}
		// Every place of both operands, at a full and at a ragged tile.
		for range 64 {
			for rows := range 3 {
				check(12-rows, 67, 12)
				check(6-rows, 67, 6)
			}
		}
	}
}
