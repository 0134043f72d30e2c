package kernels

import (
	"fmt"
	"math"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/sparse24"

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
	copy(scales, m.scales[row*m.cols/m.quant.Group:(row+n)*m.cols/m.quant.Group])
	return nil
}

func newCoded(seed uint64, rows, cols int, q Quant) *coded {
	rng := kerneltest.Rand(seed)
	m := &coded{plain: plain{rows: rows, cols: cols}, quant: q}
	for i := range rows * cols {
		if i%q.Group == 0 {
			m.scales = append(m.scales, float16.Fromfloat32(float32(rng.NormFloat64())).Bits())
		}
		m.codes = append(m.codes, int8(rng.IntN(1<<q.Bits)-1<<(q.Bits-1)))
		m.data = append(m.data, m.value(i))
	}
	return m
}

func (m *coded) value(i int) float32 {
	return float32(m.codes[i]) * float16.Frombits(m.scales[i/m.quant.Group]).Float32()
}

func (m *coded) row(r int) []int8 { return m.codes[r*m.cols:][:m.cols] }

// times multiplies x by the matrix as package ref says: where it is the blocks of
// a block-diagonal one, row r by those inputs that its block has.
func (m *coded) times(x []float32, diagonal bool) []float32 {
	group := m.quant.Group
	codes, scales := make([]int, len(x)), make([]float32, len(x)/group)
	for b := range scales {
		scales[b] = round(codes[b*group:], x[b*group:][:group])
	}
	y := make([]float32, m.rows)
	for r := range y {
		first := 0
		if diagonal {
			first = r / m.cols * m.cols
		}
		for at := 0; at < m.cols; at += group {
			dot := 0
			for i, c := range m.row(r)[at:][:group] {
				dot += int(c) * codes[first+at+i]
			}
			w := float16.Frombits(m.scales[(r*m.cols+at)/group]).Float32()
			y[r] = float32(math.FMA(float64(float32(dot)*w), float64(scales[(first+at)/group]), float64(y[r])))
		}
	}
	return y
}

// round rounds x to −127 … 127.
func round(codes []int, x []float32) (scale float32) {
	most := float32(0)
	for _, v := range x {
		most = max(most, v, -v)
	}
	if most == 0 {
		return 0
	}
	up := 127 / most
	for i, v := range x {
		codes[i] = int(math.RoundToEven(float64(v * up)))
	}
	return most * float32(1.0/127)
}

// TestQuantLinear: where activations are rounded, to integers, the bits are those
// of exact sums within a group of inputs.
func TestQuantLinear(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		for _, q := range []Quant{{8, 32}, {4, 32}, {8, 64}, {4, 64}} {
			if c.compute == F32 && q.Group == 64 {
				continue
			}
			for _, rows := range []int{1, 2, 3, 12, 19, 33, 60} {
				a, b := newCoded(1, 50, 192, q), newCoded(2, 31, 192, q)
				g, err := c.NewGroup(Part{Name: "a", W: a, Quant: q}, Part{Name: "b", W: b, Quant: q})
				if err != nil {
					t.Fatal(err)
				}
				x := kerneltest.Normal(kerneltest.Rand(3), rows*192)
				clear(x[:40])
				dst, _ := c.newBuf(rows, 81)
				linear(t, c, dst, g, upload(t, c, rows, 192, x), Fuse{})
				if c.compute == F32 {
					checkQuant(t, fmt.Sprintf("%+v, %d rows", q, rows), dst, x, append(a.data, b.data...))
					continue
				}
				for r := range rows {
					want := append(a.times(x[r*192:][:192], false), b.times(x[r*192:][:192], false)...)
					if !kerneltest.Equal(t, fmt.Sprintf("%+v, row %d of %d", q, r, rows), dst.row(r), want) {
						break
					}
				}
			}
		}
	})
}

// checkQuant compares with products of the dequantized weights.
func checkQuant(t *testing.T, name string, y *buf, x, w []float32) {
	in := len(w) / y.cols
	var worst kerneltest.Worst
	for r := range y.rows {
		for n, got := range y.row(r) {
			sum, abs := kerneltest.Dot(x[r*in:(r+1)*in], w[n*in:(n+1)*in])
			worst.See(r*y.cols+n, float64(got), sum, kerneltest.Bound(in+2, abs))
		}
	}
	worst.Check(t, name)
}

// codedCore is a 2:4 matrix of codes.
type codedCore struct {
	coded         // its zeros are codes, too
	masks []uint8 // [rows, cols/4]
}

func newCodedCore(seed uint64, rows, cols int, q Quant) *codedCore {
	m := &codedCore{*newCoded(seed, rows, cols, q), make([]uint8, rows*cols/4)}
	rng := kerneltest.Rand(seed + 1)
	for g := range m.masks {
		m.masks[g] = uint8(rng.IntN(sparse24.Masks))
		first, second := sparse24.Places(m.masks[g])
		for i := range 4 {
			at := 4*g + i
			if i != first && i != second {
				m.codes[at] = 0
			}
			if q.Bits == 8 {
				m.codes[at] = max(m.codes[at], -127)
			}
			m.data[at] = m.value(at)
		}
	}
	return m
}

// kept calls of for what rows row … row+n-1 keep.
func (m *codedCore) kept(row, n int, of func(i int)) {
	for g := row * m.cols / 4; g < (row+n)*m.cols/4; g++ {
		first, second := sparse24.Places(m.masks[g])
		of(4*g + first)
		of(4*g + second)
	}
}

func (m *codedCore) ReadCore(values []float32, masks []uint8, row, n int) error {
	at := 0
	m.kept(row, n, func(i int) { values[at], at = m.data[i], at+1 })
	copy(masks, m.masks[row*m.cols/4:(row+n)*m.cols/4])
	return nil
}

func (m *codedCore) ReadCoded(codes []int8, scales []uint16, bits []uint8, row, n int) error {
	at := 0
	m.kept(row, n, func(i int) { codes[at], at = m.codes[i], at+1 })
	copy(scales, m.scales[row*m.cols/64:(row+n)*m.cols/64])
	sparse24.ToBits(bits, m.masks[row*m.cols/4:(row+n)*m.cols/4])
	return nil
}

// TestQuantArmor: cores and wrappers of integers, and integers beside floats, give
// the bits of B, the core and A one after another.
func TestQuantArmor(t *testing.T) {
	const in, out = 384, 192
	backends(t, func(t *testing.T, c *CPU) {
		if c.compute == F32 {
			return
		}
		for i, cores := range []Quant{{8, 64}, {4, 64}} {
			for _, wrappers := range []Quant{{}, {8, 32}, {8, 64}} {
				for _, rows := range []int{1, 2, 13, 33, 12*chunkTiles + 29} {
					if c.isa == Ref && rows > 13 {
						continue // slow, and all of one kernel
					}
					part := Part{Name: "part", Type: DType(i), Quant: cores, Wrappers: wrappers}
					core := newCodedCore(3, out, in, cores)
					part.Core = core
					var a, b *coded
					if wrappers == (Quant{}) {
						rng := kerneltest.Rand(4)
						ofA, ofB := 96, 32
						if rows%2 == 1 { // for which AMX has kernels of their own
							ofA, ofB = 64, 128
						}
						part.A, part.B = &plain{out, ofA, truncated(rng, out*ofA)}, &plain{in, ofB, truncated(rng, in*ofB)}
					} else {
						a, b = newCoded(5, out, 64, wrappers), newCoded(6, in, 192, wrappers)
						part.A, part.B = a, b
					}
					dense := Part{Name: "dense", W: &plain{20, in, truncated(kerneltest.Rand(7), 20*in)}, Type: BF16}
					g, err := c.NewGroup(part, dense)
					if err != nil {
						t.Fatal(err)
					}
					x := upload(t, c, rows, in, kerneltest.Normal(kerneltest.Rand(8), rows*in))
					got, _ := c.newBuf(rows, out+20)
					linear(t, c, got, g, x, Fuse{})
					through := func(p Part, x *buf) *buf {
						g, err := c.forIntegers().NewGroup(p)
						if err != nil {
							t.Fatal(err)
						}
						y, _ := c.newBuf(rows, g.Out())
						linear(t, c, y, g, x, Fuse{})
						return y
					}
					each := func(x *buf, out int, f func(x []float32) []float32) *buf {
						y, _ := c.newBuf(rows, out)
						for r := range rows {
							copy(y.row(r), f(x.row(r)))
						}
						return y
					}
					step := func(x *buf, codes *coded, m Matrix, n int) *buf {
						if codes != nil {
							return each(x, n, func(x []float32) []float32 { return codes.times(x, true) })
						}
						return through(Part{W: unstack(m, n), Type: part.Type}, x)
					}
					want := step(x, b, part.B, in)
					want = each(want, out, func(x []float32) []float32 { return core.times(x, false) })
					want = step(want, a, part.A, out)
					beside := through(dense, x)
					for r := range rows {
						if !kerneltest.Equal(t, fmt.Sprintf("%+v, %+v, row %d of %d", cores, wrappers, r, rows), got.row(r), append(want.row(r)[:out:out], beside.row(r)...)) {
							break
						}
					}
				}
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
