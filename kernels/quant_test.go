package kernels

import (
	"fmt"
	"math"
	"testing"

	"armor/kernels/internal/kerneltest"

	"github.com/x448/float16"
)

// coded is a quantized Matrix in memory, and the values it stands for.
type coded struct {
	plain
	quant  Quant
	codes  []int8
	scales []uint16
}

func (m *coded) Fits(q Quant) bool { return q == m.quant }
func (m *coded) ReadCodes(codes []int8, scales []uint16, row, n int) error {
	copy(codes, m.codes[row*m.cols:(row+n)*m.cols])
	copy(scales, m.scales[row*m.cols/32:(row+n)*m.cols/32])
	return nil
}

func newCoded(seed uint64, rows, cols int, q Quant) *coded {
	rng := kerneltest.Rand(seed)
	m := &coded{plain: plain{rows: rows, cols: cols}, quant: q}
	for i := range rows * cols {
		if i%32 == 0 {
			m.scales = append(m.scales, float16.Fromfloat32(float32(rng.NormFloat64())).Bits())
		}
		m.codes = append(m.codes, int8(rng.IntN(1<<q.Bits)-1<<(q.Bits-1)))
		m.data = append(m.data, float32(m.codes[i])*float16.Frombits(m.scales[i/32]).Float32())
	}
	return m
}

func TestQuantLinear(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		for _, q := range []Quant{{8, 32}, {4, 32}} {
			for _, rows := range []int{1, 3, 12, 19} {
				a, b := newCoded(1, 50, 96, q), newCoded(2, 31, 96, q)
				g, err := c.NewGroup(Part{Name: "a", W: a, Quant: q}, Part{Name: "b", W: b, Quant: q})
				if err != nil {
					t.Fatal(err)
				}
				x := kerneltest.Normal(kerneltest.Rand(3), rows*96)
				dst, _ := c.newBuf(rows, 81)
				p, _ := c.NewPass()
				p.Linear(dst, g, upload(t, c, rows, 96, x), Fuse{})
				if err := p.End(); err != nil {
					t.Fatal(err)
				}
				var worst kerneltest.Worst
				for r := range rows {
					for n := range 81 {
						w := a.data
						if n >= 50 {
							w = b.data[(n-50)*96:]
						} else {
							w = w[n*96:]
						}
						sum, abs := kerneltest.Dot(x[r*96:(r+1)*96], w[:96])
						worst.See(r*81+n, float64(dst.row(r)[n]), sum, kerneltest.Bound(98, abs))
					}
				}
				worst.Check(t, fmt.Sprintf("%+v, %d rows", q, rows))
			}
		}
	})
}

// TestQuantize: codes of a quantized source are kept, other weights come back
// within half a step, and zeros as zeros.
func TestQuantize(t *testing.T) {
	c, err := NewCPU(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, q := range []Quant{{8, 32}, {4, 32}} {
		m := newCoded(5, 20, 64, q)
		g, err := c.NewGroup(Part{W: m, Quant: q})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 64)
		for r := range 20 {
			g.(*group).sections[0].w.unpack(got, r)
			kerneltest.Equal(t, "coded row", got, m.data[r*64:][:64])
		}
		w := &plain{20, 64, kerneltest.Normal(kerneltest.Rand(6), 20*64)}
		clear(w.data[64:96])
		w.data[128] = 1e-9 // below the least scale
		clear(w.data[129:160])
		if g, err = c.NewGroup(Part{W: w, Quant: q}); err != nil {
			t.Fatal(err)
		}
		limit := float64(int(1)<<(q.Bits-1) - 1)
		for r := range 20 {
			g.(*group).sections[0].w.unpack(got, r)
			for i, v := range got {
				group := w.data[r*64+i/32*32:][:32]
				most := 0.0
				for _, x := range group {
					most = max(most, math.Abs(float64(x)))
				}
				if diff := math.Abs(float64(v - w.data[r*64+i])); diff > most/limit*0.51+1e-8 {
					t.Errorf("%+v, row %d, %d: got %v, want %v within half of %v", q, r, i, v, w.data[r*64+i], most/limit)
				}
			}
		}
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), 1e30} {
			w.data[700] = bad
			if _, err := c.NewGroup(Part{Name: "w", W: w, Quant: q}); err == nil {
				t.Errorf("%v was quantized", bad)
			}
		}
	}
}
