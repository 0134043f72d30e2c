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

// TestAMXBatch: a token has the same bits in any batch and place.
func TestAMXBatch(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	const in, out, most, block = 608, 192, 530, 32
	rng := kerneltest.Rand(10)
	c, err := NewCPU(Options{ISA: AMX, Compute: BF16, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at := armorTest{in, BF16, []armorPart{{out, block, block, -1, false, false}}}
	whole := at.make(rng, func(n int) []float32 { return truncated(rng, n) })[0]
	x, y := kerneltest.Normal(rng, most*in), kerneltest.Normal(rng, most*out)
	for name, part := range map[string]Part{
		"dense": {Name: "w", W: &plain{out, in, truncated(rng, out*in)}, Type: BF16},
		"core":  {Name: "core", Core: whole.Core, Type: BF16},
		"armor": whole,
	} {
		g, err := c.NewGroup(part)
		if err != nil {
			t.Fatal(err)
		}
		run := func(first, rows int) []float32 {
			dst := upload(t, c, rows, out, y[first*out:][:rows*out])
			linear(t, c, dst, g, upload(t, c, rows, in, x[first*in:][:rows*in]), Fuse{Residual: true})
			var got []float32
			for r := range rows {
				got = append(got, dst.row(r)...)
			}
			return got
		}
		all := run(0, most)
		for _, rows := range []int{1, 16, 17, 32, 33, 63, 64, 100, 512} {
			for _, first := range []int{0, most - rows} {
				kerneltest.Equal(t, name, run(first, rows), all[first*out:][:rows*out])
			}
		}
	}
}
