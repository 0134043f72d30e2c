package kernels

import (
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// TestAMXRuns: the bits of a Linear are those of its instruction, and no other
// instruction set's, so that it was AMX that ran.
func TestAMXRuns(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	const in, out, rows = 200, 16, 7
	rng := kerneltest.Rand(9)
	w, x := truncated(rng, out*in), truncated(rng, rows*in)
	tile, tokens := make([]uint16, out*in), make([]uint16, rows*in)
	ref.PanelBF16(tile, w, in, out, in, out)
	ref.ToBF16(tokens, x)
	want := make([]float32, rows*out)
	ref.DenseBF16BF16(tile, tokens, in, in/2, rows, want, out, false)
	for isa := Ref; isa <= AMX; isa++ {
		c, err := NewCPU(Options{ISA: isa, Compute: BF16, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		g, err := c.NewGroup(Part{Name: "w", W: &plain{out, in, w}, Type: BF16})
		if err != nil {
			t.Fatal(err)
		}
		dst := upload(t, c, rows, out, make([]float32, rows*out))
		linear(t, c, dst, g, upload(t, c, rows, in, x), Fuse{})
		if same := slices.Equal(dst.data[:rows*out], want); same != (isa == AMX) {
			t.Errorf("%v: the bits of AMX: %v", isa, same)
		}
	}
}
