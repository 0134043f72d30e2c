package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// plain is a Matrix in memory.
type plain struct {
	rows, cols int
	data       []float32
}

func (m *plain) Rows() int          { return m.rows }
func (m *plain) Cols() int          { return m.cols }
func (m *plain) Release(row, n int) {}
func (m *plain) ReadRows(dst []float32, row, n int) error {
	copy(dst, m.data[row*m.cols:(row+n)*m.cols])
	return nil
}

// truncated values are exact in bf16.
func truncated(rng *rand.Rand, n int) []float32 {
	x := kerneltest.Normal(rng, n)
	for i := range x {
		x[i] = math.Float32frombits(math.Float32bits(x[i]) &^ 0xffff)
	}
	return x
}

// backends are all instruction sets by both compute types. Behind all their memory
// are pages without access.
func backends(t *testing.T, f func(t *testing.T, c *CPU)) {
	t.Helper()
	kerneltest.ISAs(t) // what ARMOR_REQUIRE_ISA asks for is there
	for isa := Ref; isa <= BestISA(); isa++ {
		for _, compute := range []DType{F32, BF16} {
			t.Run(fmt.Sprintf("%v/%v", isa, compute), func(t *testing.T) {
				c, err := NewCPU(Options{ISA: isa, Compute: compute, Threads: 3})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				c.memory.guard = func(n int) ([]byte, error) {
					mem := kerneltest.NewGuard[uint8](t, n).Slice(n, kerneltest.Place{Tail: true})
					clear(mem)
					return mem, nil
				}
				f(t, c)
			})
		}
	}
}

func upload(t *testing.T, c *CPU, rows, cols int, data []float32) *buf {
	t.Helper()
	b, err := c.Upload(rows, cols, data)
	if err != nil {
		t.Fatal(err)
	}
	return b.(*buf)
}

// linearTest is one Linear in plain form.
type linearTest struct {
	rows, in int
	outs     []int
	typ      DType
	bias     bool
	fuse     Fuse // Norm.Weight is filled in
	norm     bool
}

func TestLinear(t *testing.T) {
	rng := kerneltest.Rand(7)
	var tests []linearTest
	for i, rows := range []int{1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 16, 24, 25, 40} {
		tests = append(tests, linearTest{
			rows: rows, in: 2 * (1 + rng.IntN(60)), outs: []int{1 + rng.IntN(90), 1 + rng.IntN(40)}[:1+i%2],
			typ: DType(i % 2), bias: i%3 == 0, norm: i%4 == 1, fuse: Fuse{SwiGLU: i%4 == 2, Residual: i%5 < 2},
		})
	}
	tests = append(tests, linearTest{rows: 30, in: 64, outs: []int{700}, typ: BF16}, linearTest{rows: 1, in: 64, outs: []int{3000}, typ: BF16})
	// On AMX panels of inputs: sums that wait, are added to, and of more tokens than go together.
	tests = append(tests, linearTest{rows: 40, in: 608, outs: []int{100, 48}, typ: BF16, bias: true},
		linearTest{rows: 33, in: 288, outs: []int{144}, typ: BF16, fuse: Fuse{Residual: true}},
		linearTest{rows: 530, in: 288, outs: []int{48}, typ: BF16})
	backends(t, func(t *testing.T, c *CPU) {
		for _, lt := range tests {
			lt.run(t, c)
		}
	})
}

func (lt linearTest) run(t *testing.T, c *CPU) {
	t.Helper()
	rng := kerneltest.Rand(uint64(lt.rows*1000 + lt.in))
	var parts []Part
	out := 0
	for _, n := range lt.outs {
		p := Part{Name: fmt.Sprintf("%+v", lt), W: &plain{n, lt.in, truncated(rng, n*lt.in)}, Type: lt.typ}
		if lt.bias {
			p.Bias = kerneltest.Normal(rng, n)
		}
		parts = append(parts, p)
		out += n
	}
	g, err := c.NewGroup(parts...)
	if err != nil {
		t.Fatal(err)
	}
	width := lt.in
	if lt.fuse.SwiGLU {
		width *= 2
	}
	x, y := kerneltest.Normal(rng, lt.rows*width), kerneltest.Normal(rng, lt.rows*out)
	if lt.norm {
		lt.fuse.Norm = RMSNorm{upload(t, c, 1, lt.in, kerneltest.Normal(rng, lt.in)), 1e-5}
	}
	dst := upload(t, c, lt.rows, out, y)
	p, err := c.NewPass()
	if err != nil {
		t.Fatal(err)
	}
	p.Linear(dst, g, upload(t, c, lt.rows, width, x), lt.fuse)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	var worst kerneltest.Worst
	for r := range lt.rows {
		in := lt.input(c, x[r*width:(r+1)*width])
		o := 0
		for _, part := range parts {
			w := part.W.(*plain)
			for n := range w.rows {
				sum, abs := kerneltest.Dot(in, w.data[n*lt.in:(n+1)*lt.in])
				if lt.bias {
					sum, abs = sum+float64(part.Bias[n]), abs+math.Abs(float64(part.Bias[n]))
				}
				if lt.fuse.Residual {
					sum, abs = sum+float64(y[r*out+o]), abs+math.Abs(float64(y[r*out+o]))
				}
				bound := kerneltest.Bound(lt.in+10, abs)
				if lt.norm || lt.fuse.SwiGLU { // the input itself may round the other way
					bound += abs * inputUnit(c, lt.typ)
				}
				worst.See(r*out+o, float64(dst.row(r)[o]), sum, bound)
				o++
			}
		}
	}
	worst.Check(t, fmt.Sprintf("%+v", lt))
}

// inputUnit is how far apart two roundings of nearly the same input may lie.
func inputUnit(c *CPU, typ DType) float64 {
	if c.compute == BF16 && typ == BF16 {
		return 1.0 / 128
	}
	return 1e-6
}

// input is what goes into the product, computed in f64.
func (lt linearTest) input(c *CPU, x []float32) []float32 {
	in := make([]float32, lt.in)
	switch {
	case lt.fuse.SwiGLU:
		for i := range in {
			gate := float64(x[i])
			in[i] = float32(gate / (1 + math.Exp(-gate)) * float64(x[lt.in+i]))
		}
	case lt.norm:
		sum := 0.0
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		rms := math.Sqrt(sum/float64(lt.in) + 1e-5)
		for i, w := range lt.fuse.Norm.Weight.(*buf).row(0) {
			in[i] = float32(float64(x[i]) / rms * float64(w))
		}
	default:
		copy(in, x)
	}
	if c.compute == BF16 && lt.typ == BF16 {
		for i, v := range in {
			in[i] = math.Float32frombits(uint32(ref.BF16Bits(v)) << 16)
		}
	}
	return in
}

// TestEmbed: the rows that were packed come back, whatever shares their tile.
func TestEmbed(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		for _, typ := range []DType{F32, BF16} {
			const vocab, dim = 75, 22
			w := &plain{vocab, dim, truncated(kerneltest.Rand(1), vocab*dim)}
			g, err := c.NewGroup(Part{Name: "embedding", W: w, Type: typ})
			if err != nil {
				t.Fatal(err)
			}
			tokens := []int32{0, 74, 3, 15, 16, 17, 3, 40, 41, 42, 43, 44, 45, 46, 47, 48, 1, 2}
			dst, err := c.newBuf(len(tokens), dim)
			if err != nil {
				t.Fatal(err)
			}
			p, _ := c.NewPass()
			p.Embed(dst, g, tokens)
			if err := p.End(); err != nil {
				t.Fatal(err)
			}
			for i, id := range tokens {
				kerneltest.Equal(t, fmt.Sprint("token ", id), dst.row(i), w.data[id*dim:][:dim])
			}
			p.Embed(dst, g, append(tokens[:len(tokens)-1:len(tokens)-1], vocab))
			p.Gather(dst, dst, make([]int32, len(tokens)))
			if err := p.End(); err == nil {
				t.Error("a token outside the vocabulary was accepted")
			}
		}
	})
}

func TestNewGroupRefuses(t *testing.T) {
	c, err := NewCPU(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := func(rows, cols int) *plain { return &plain{rows, cols, make([]float32, rows*cols)} }
	for name, parts := range map[string][]Part{
		"odd inputs":    {{W: w(3, 5)}},
		"inputs differ": {{W: w(3, 4)}, {W: w(3, 6)}},
		"bias":          {{W: w(3, 4), Bias: make([]float32, 4)}},
	} {
		if _, err := c.NewGroup(parts...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
