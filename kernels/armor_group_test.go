package kernels

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"armor/kernels/internal/kerneltest"
)

func newTestCPU(t *testing.T) *CPU {
	t.Helper()
	c, err := NewCPU(Options{ISA: BestISA(), Compute: BF16, Threads: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestArmorGroupRefuses(t *testing.T) {
	c := newTestCPU(t)
	zeros := func(rows, cols int) *plain { return &plain{rows, cols, make([]float32, rows*cols)} }
	empty := func(rows, cols int) *core {
		return &core{rows, cols, make([]float32, rows*cols), make([]uint8, rows*cols)}
	}
	bad := empty(70, 8)
	bad.masks[2*69+1] = 6
	badCodes := empty(8, 64)
	badCodes.masks[2*16+1] = 7
	for want, p := range map[string]Part{
		"want one of them":                 {},
		"or neither, want one":             {W: zeros(8, 8), Core: empty(8, 8)},
		"beside dense":                     {W: zeros(8, 8), A: zeros(8, 4)},
		"inputs, want a multiple of 4":     {Core: empty(8, 6)},
		"in groups of 32, want 8 or 4":     {Core: empty(8, 64), Quant: Quant{8, 32}},
		"32 inputs, want a multiple of 64": {Core: empty(8, 32), Quant: Quant{4, 64}},
		"B: got 16 inputs, want a multipl": {Core: empty(8, 64), B: zeros(64, 16), Wrappers: Quant{8, 32}},
		"row 2, group 1: got mask 7":       {Core: badCodes, Quant: Quant{8, 64}},
		"A: got blocks for 4 rows":         {Core: empty(8, 8), A: zeros(4, 4)},
		"B: got blocks for 12 rows":        {Core: empty(8, 8), B: zeros(12, 4)},
		"A: got blocks of 0":               {Core: empty(8, 8), A: zeros(8, 0)},
		"B: got blocks of 2, want":         {Core: empty(8, 8), B: zeros(8, 2)},
		"A: got blocks of 12, want":        {Core: empty(20, 8), A: zeros(20, 12)},
		"got 3 biases":                     {Core: empty(8, 8), Bias: make([]float32, 3)},
		"row 69, group 1: got mask 6":      {Core: bad},
		"got 12 inputs, want the 8 of its": {Core: empty(4, 12)},
	} {
		parts := []Part{p}
		if strings.Contains(want, "of its") {
			parts = []Part{{W: zeros(4, 8)}, p}
		}
		if _, err := c.NewGroup(parts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
	g, err := c.NewGroup(Part{Name: "core", Core: empty(20, 8)})
	if err != nil {
		t.Fatal(err)
	}
	dst, _ := c.NewBuf(1, 8)
	p, _ := c.NewPass()
	p.Embed(dst, g, []int32{3})
	if err := p.End(); err == nil {
		t.Error("a 2:4 embedding was accepted")
	}
}

// counted counts the rows that are read and released.
type counted struct {
	*plain
	released *int
}

func (m counted) Release(row, n int) { *m.released += n }

// TestSharedB: the same B is kept once, whatever kind of value it is in.
func TestSharedB(t *testing.T) {
	c := newTestCPU(t)
	rng := kerneltest.Rand(3)
	at := armorTest{64, BF16, []armorPart{{32, 0, 32, -1, false, false}, {48, 0, 32, -1, false, false}, {16, 0, 0, -1, false, false}}}
	parts := at.make(rng, func(n int) []float32 { return truncated(rng, n) })
	released := 0
	parts[0].B = counted{parts[0].B.(*plain), &released}
	copied := *parts[0].B.(counted).plain
	parts[1].B = &copied
	apart, err := c.NewGroup(parts...)
	if err != nil {
		t.Fatal(err)
	}
	parts[1].B = parts[0].B
	shared, err := c.NewGroup(parts...)
	if err != nil {
		t.Fatal(err)
	}
	// 16 rows: 16 groups' positions, 8 bytes each, and 32 kept values of 16 rows.
	const bytes = 6*(16*8+32*16*2) + 64*32*2
	if shared.Bytes() != bytes || apart.Bytes() != bytes+64*32*2 {
		t.Errorf("got %d and %d bytes, want %d and %d", shared.Bytes(), apart.Bytes(), bytes, bytes+64*32*2)
	}
	if released != 2*64 {
		t.Errorf("%d rows of B were released, want %d", released, 2*64)
	}
	x := upload(t, c, 5, 64, truncated(rng, 5*64))
	got, want := upload(t, c, 5, 96, make([]float32, 5*96)), upload(t, c, 5, 96, make([]float32, 5*96))
	linear(t, c, got, shared, x, Fuse{})
	linear(t, c, want, apart, x, Fuse{})
	for r := range 5 {
		kerneltest.Equal(t, "shared B", got.row(r), want.row(r))
	}
}

func TestRepack(t *testing.T) {
	at := armorTest{64, BF16, []armorPart{{37, 0, 0, -1, true, true}, {32, 32, 16, -1, false, false}, {48, 12, 0, 1, false, true}, {21, 0, 0, -1, false, false}}}
	c := newTestCPU(t)
	rng := kerneltest.Rand(4)
	number := func(n int) []float32 { return truncated(rng, n) }
	g, err := c.NewGroup(at.make(rng, number)...)
	if err != nil {
		t.Fatal(err)
	}
	parts := at.make(rng, number)
	used := c.Bytes()
	if err := c.Repack(g, parts...); err != nil {
		t.Fatal(err)
	}
	if c.Bytes() != used {
		t.Errorf("repacking took %d bytes", c.Bytes()-used)
	}
	fresh, err := c.NewGroup(parts...)
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.Equal(t, "weights", g.(*group).mem, fresh.(*group).mem)
	kerneltest.Equal(t, "bias", g.(*group).bias, fresh.(*group).bias)

	other := at
	other.parts = append([]armorPart{}, at.parts...)
	other.parts[1].a = 16
	if err := c.Repack(g, other.make(rng, number)...); err == nil || !strings.Contains(err.Error(), "A of 16") {
		t.Errorf("another block of A: got error %v", err)
	}
	if err := c.Repack(g, at.make(rng, number)[1:]...); err == nil {
		t.Error("fewer parts were accepted")
	}
	parts[3].Core.(*core).masks[7] = 9
	if err := c.Repack(g, parts...); err == nil {
		t.Error("a mask of 9 was accepted")
	}
}

// TestInput: a Linear of what Input gives has the bits of the fused one, of one B or
// of B's of two sizes, beside sections that read x itself.
func TestInput(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		rng := kerneltest.Rand(9)
		for _, rows := range []int{1, 29, 133} {
			for _, at := range []armorTest{
				{44, BF16, []armorPart{{20, 4, 44, -1, false, false}, {9, 0, 0, -1, true, true}, {8, 0, 0, -1, false, false}}},
				{192, BF16, []armorPart{{64, 32, 64, -1, false, false}, {20, 0, 12, -1, false, false}, {12, 4, 0, 0, false, false}}},
			} {
				checkInput(t, c, rng, at, rows)
			}
		}
	})
}

func checkInput(t *testing.T, c *CPU, rng *rand.Rand, at armorTest, rows int) {
	t.Helper()
	g, err := c.NewGroup(at.make(rng, func(n int) []float32 { return truncated(rng, n) })...)
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]Fuse{
		"plain":  {},
		"norm":   Norm(RMSNorm{upload(t, c, 1, at.in, kerneltest.Normal(rng, at.in)), 1e-5}),
		"SwiGLU": {SwiGLU: true},
	} {
		width := at.in
		if f.SwiGLU {
			width = 2 * at.in
		}
		x := upload(t, c, rows, width, kerneltest.Normal(rng, rows*width))
		fused := upload(t, c, rows, at.in, make([]float32, rows*at.in))
		zeros := make([]float32, rows*g.Out())
		got, want := upload(t, c, rows, g.Out(), zeros), upload(t, c, rows, g.Out(), zeros)
		p, _ := c.NewPass()
		p.Input(fused, x, f)
		p.Linear(got, g, fused, Fuse{})
		p.Linear(want, g, x, f)
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		for r := range rows {
			kerneltest.Equal(t, fmt.Sprintf("%s, %d inputs, row %d of %d", what, at.in, r, rows), got.row(r), want.row(r))
		}
	}
}

// TestArmorAllocates nothing once its scratch has grown, with rows or tokens in
// the lanes.
func TestArmorAllocates(t *testing.T) {
	rng := kerneltest.Rand(2)
	at := armorTest{64, F32, []armorPart{{32, 32, 32, -1, false, false}, {12, 4, 8, -1, false, false}}}
	parts := at.make(rng, func(n int) []float32 { return truncated(rng, n) })
	backends(t, func(t *testing.T, c *CPU) {
		for _, at.typ = range []DType{F32, BF16} {
			parts[0].Type, parts[1].Type = at.typ, at.typ
			g, err := c.NewGroup(parts...)
			if err != nil {
				t.Fatal(err)
			}
			for _, rows := range []int{3, 200} {
				dst, x := upload(t, c, rows, 44, make([]float32, rows*44)), upload(t, c, rows, 64, make([]float32, rows*64))
				p, _ := c.NewPass()
				if n := testing.AllocsPerRun(20, func() { p.Linear(dst, g, x, Fuse{}) }); n != 0 {
					t.Errorf("%d rows of %v: got %v allocations, want 0", rows, at.typ, n)
				}
			}
		}
	})
}
