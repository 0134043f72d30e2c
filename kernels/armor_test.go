package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/sparse24"
)

// core is a Sparse in memory.
type core struct {
	rows, cols int
	values     []float32 // [rows, cols/2]
	masks      []uint8   // [rows, cols/4]
}

func (m *core) Rows() int          { return m.rows }
func (m *core) Cols() int          { return m.cols }
func (m *core) Release(row, n int) {}
func (m *core) ReadCore(values []float32, masks []uint8, row, n int) error {
	copy(values, m.values[row*m.cols/2:(row+n)*m.cols/2])
	copy(masks, m.masks[row*m.cols/4:(row+n)*m.cols/4])
	return nil
}

// dense is the same matrix with its zeros.
func (m *core) dense() *plain {
	p := &plain{m.rows, m.cols, make([]float32, m.rows*m.cols)}
	sparse24.Unpack(p.data, m.values, m.masks)
	return p
}

// unstack is the block-diagonal matrix whose blocks m stacks; nil is identity.
func unstack(m Matrix, n int) *plain {
	p := &plain{n, n, make([]float32, n*n)}
	for r := range n {
		if m == nil {
			p.data[r*n+r] = 1
			continue
		}
		b := m.Cols()
		copy(p.data[r*n+r/b*b:], m.(*plain).data[r*b:(r+1)*b])
	}
	return p
}

// armorPart says what a part is: a block of 0 is identity, shared is the number
// of an earlier part whose B it has, or -1.
type armorPart struct {
	rows   int
	a, b   int
	shared int
	dense  bool
	bias   bool
}

// armorTest is a group and what runs through it.
type armorTest struct {
	in    int
	typ   DType
	parts []armorPart
}

// numbers makes values that bf16 holds.
type numbers func(n int) []float32

func (at armorTest) make(rng *rand.Rand, number numbers) []Part {
	var parts []Part
	for i, ap := range at.parts {
		p := Part{Name: fmt.Sprint("part ", i), Type: at.typ}
		if ap.bias {
			p.Bias = number(ap.rows)
		}
		if ap.dense {
			p.W = &plain{ap.rows, at.in, number(ap.rows * at.in)}
			parts = append(parts, p)
			continue
		}
		c := &core{ap.rows, at.in, number(ap.rows * at.in / 2), make([]uint8, ap.rows*at.in/4)}
		for i := range c.masks {
			c.masks[i] = uint8(rng.IntN(sparse24.Masks))
		}
		p.Core = c
		if ap.a > 0 {
			p.A = &plain{ap.rows, ap.a, number(ap.rows * ap.a)}
		}
		if ap.shared >= 0 {
			p.B = parts[ap.shared].B
		} else if ap.b > 0 {
			p.B = &plain{at.in, ap.b, number(at.in * ap.b)}
		}
		parts = append(parts, p)
	}
	return parts
}

// armorTests have every row count to 70, inputs by 4 to 260, blocks down to 4.
func armorTests() []armorTest {
	rng := kerneltest.Rand(11)
	var tests []armorTest
	for i := range 65 {
		at := armorTest{in: 4 * (i + 1), typ: DType(i % 2)}
		for p := range 1 + i%3 {
			ap := armorPart{rows: 1 + (i+23*p)%70, shared: -1, dense: (i+p)%5 == 4, bias: rng.IntN(3) == 0}
			if blocks := divisors(ap.rows); len(blocks) > 0 && rng.IntN(4) > 0 {
				ap.a = blocks[rng.IntN(len(blocks))]
			}
			if blocks := divisors(at.in); rng.IntN(4) > 0 {
				ap.b = blocks[rng.IntN(len(blocks))]
			}
			if p > 0 && !at.parts[p-1].dense && i%2 == 1 {
				ap.shared = p - 1
			}
			at.parts = append(at.parts, ap)
		}
		tests = append(tests, at)
	}
	return append(tests,
		armorTest{256, BF16, []armorPart{{384, 128, 64, -1, false, false}, {128, 64, 64, 0, false, true}, {128, 128, 0, 0, false, false}}},
		armorTest{192, F32, []armorPart{{960, 64, 64, -1, false, false}, {70, 0, 0, -1, true, false}, {240, 20, 0, -1, false, true}}},
		armorTest{64, BF16, []armorPart{{33, 0, 0, -1, true, true}, {20, 4, 4, -1, false, false}, {33, 0, 0, -1, true, false}}},
	)
}

// divisors are those that are multiples of 4.
func divisors(n int) (d []int) {
	for b := 4; b <= n; b += 4 {
		if n%b == 0 {
			d = append(d, b)
		}
	}
	return d
}

// multiplied is a vector with, for each element, how far a computed one may be.
type multiplied struct{ value, bound []float64 }

// times multiplies by w: errors of x pass through |w|, and a sum has its own.
func (x multiplied) times(w *plain) multiplied {
	y := multiplied{make([]float64, w.rows), make([]float64, w.rows)}
	for r := range w.rows {
		most := 0.0
		for i, v := range w.data[r*w.cols : (r+1)*w.cols] {
			y.value[r] += float64(v) * x.value[i]
			y.bound[r] += math.Abs(float64(v)) * x.bound[i]
			most += math.Abs(float64(v)) * (math.Abs(x.value[i]) + x.bound[i])
		}
		y.bound[r] += kerneltest.Bound(w.cols, most)
	}
	return y
}

// rounded allows for a rounding to bf16, half of 2⁻⁸.
func (x multiplied) rounded() multiplied {
	for i, v := range x.value {
		x.bound[i] += (math.Abs(v) + x.bound[i]) / 256
	}
	return x
}

func TestArmorLinear(t *testing.T) {
	var cases []*armorCase
	for i, at := range armorTests() {
		for _, exact := range []bool{true, false} {
			cases = append(cases, newArmorCase(at, (i*7)%83, exact))
		}
	}
	backends(t, func(t *testing.T, c *CPU) {
		for _, ac := range cases {
			ac.check(t, c)
		}
	})
}

// armorCase is an armorTest with numbers and their product.
type armorCase struct {
	armorTest
	rows, out int
	exact     bool
	residual  bool
	group     []Part
	x, y      []float32     // [rows, in] and, before the Linear, [rows, out]
	want      [2]multiplied // [rows, out] without and with rounding to bf16
}

func newArmorCase(at armorTest, rows int, exact bool) *armorCase {
	rng := kerneltest.Rand(uint64(at.in*1000 + rows))
	number := func(n int) []float32 { return truncated(rng, n) }
	if exact { // zeros, so that every number on the way is whole and below 2⁸
		number = func(n int) []float32 {
			x := make([]float32, n)
			for i := range x {
				if rng.IntN(6) == 0 {
					x[i] = float32(1 - rng.IntN(2)*2)
				}
			}
			return x
		}
	}
	ac := &armorCase{armorTest: at, rows: rows, exact: exact, residual: at.in%3 == 0, group: at.make(rng, number)}
	for _, p := range ac.group {
		ac.out += p.rows()
	}
	ac.x, ac.y = number(rows*at.in), number(rows*ac.out)
	for i := range ac.want {
		ac.want[i] = ac.product(i == 1)
	}
	return ac
}

// product is what the Linear gives, in f64.
func (ac *armorCase) product(rounds bool) (all multiplied) {
	steps := make([][]*plain, len(ac.group)) // B, Core, A or W
	for i, p := range ac.group {
		if p.Core == nil {
			steps[i] = []*plain{p.W.(*plain)}
			continue
		}
		if p.B != nil {
			steps[i] = append(steps[i], unstack(p.B, ac.in))
		}
		steps[i] = append(steps[i], p.Core.(*core).dense())
		if p.A != nil {
			steps[i] = append(steps[i], unstack(p.A, p.rows()))
		}
	}
	for r := range ac.rows {
		for i, p := range ac.group {
			v := multiplied{make([]float64, ac.in), make([]float64, ac.in)}
			for k, x := range ac.x[r*ac.in : (r+1)*ac.in] {
				v.value[k] = float64(x)
			}
			for step, m := range steps[i] {
				if step > 0 && rounds {
					v = v.rounded()
				}
				v = v.times(m)
			}
			for n := range v.value {
				abs := math.Abs(v.value[n]) + v.bound[n]
				add := func(x float32) {
					v.value[n] += float64(x)
					abs += math.Abs(float64(x))
				}
				if p.Bias != nil {
					add(p.Bias[n])
				}
				if ac.residual {
					add(ac.y[len(all.value)+n])
				}
				v.bound[n] += kerneltest.Bound(2, abs)
			}
			all.value, all.bound = append(all.value, v.value...), append(all.bound, v.bound...)
		}
	}
	if ac.exact {
		clear(all.bound)
	}
	return all
}

func (ac *armorCase) check(t *testing.T, c *CPU) {
	t.Helper()
	g, err := c.NewGroup(ac.group...)
	if err != nil {
		t.Fatal(err)
	}
	dst := upload(t, c, ac.rows, ac.out, ac.y)
	linear(t, c, dst, g, upload(t, c, ac.rows, ac.in, ac.x), Fuse{Residual: ac.residual})
	want := ac.want[0]
	if c.compute == BF16 && ac.typ == BF16 {
		want = ac.want[1]
	}
	var worst kerneltest.Worst
	for r := range ac.rows {
		for n, got := range dst.row(r) {
			i := r*ac.out + n
			worst.See(i, float64(got), want.value[i], want.bound[i])
		}
	}
	worst.Check(t, fmt.Sprintf("%+v, %d rows, exact %v", ac.armorTest, ac.rows, ac.exact))
}

// TestArmorComposes: the bits are those of three Linears, by B, the core and A,
// which round what is between them as one does.
func TestArmorComposes(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		for i, at := range armorTests() {
			at.parts = at.parts[:1]
			at.parts[0].dense = false
			// AMX sums 32 inputs at a time: those of smaller blocks otherwise than
			// those of a whole row.
			if ap := at.parts[0]; c.denseTypes(8*at.typ.Size()) == bf16amx && (ap.a%tileLine > 0 || ap.b%tileLine > 0) {
				continue
			}
			rows, rng := 1+i*5%71, kerneltest.Rand(uint64(i))
			p := at.make(rng, func(n int) []float32 { return truncated(rng, n) })[0]
			x := upload(t, c, rows, at.in, kerneltest.Normal(rng, rows*at.in))
			through := func(x *buf, p Part) *buf {
				g, err := c.NewGroup(p)
				if err != nil {
					t.Fatal(err)
				}
				dst := upload(t, c, rows, g.Out(), make([]float32, rows*g.Out()))
				linear(t, c, dst, g, x, Fuse{})
				return dst
			}
			got, want := through(x, p), x
			if p.B != nil {
				want = through(want, Part{W: unstack(p.B, at.in), Type: at.typ})
			}
			last := Part{Core: p.Core, Type: at.typ, Bias: p.Bias}
			if p.A != nil {
				last.Bias = nil
				want = through(want, last)
				last = Part{W: unstack(p.A, p.rows()), Type: at.typ, Bias: p.Bias}
			}
			want = through(want, last)
			for r := range rows {
				if !kerneltest.Equal(t, fmt.Sprintf("%+v, row %d of %d", at, r, rows), got.row(r), want.row(r)) {
					break
				}
			}
		}
	})
}

func linear(t *testing.T, c *CPU, dst *buf, g Group, x *buf, f Fuse) {
	t.Helper()
	p, err := c.NewPass()
	if err != nil {
		t.Fatal(err)
	}
	p.Linear(dst, g, x, f)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
}

// TestArmorInvariant: a row's bits depend neither on the rows beside it, nor on
// the threads, nor on the other parts of the group.
func TestArmorInvariant(t *testing.T) {
	at := armorTest{192, BF16, []armorPart{{192, 64, 64, -1, false, false}, {40, 0, 0, -1, true, true}, {96, 32, 0, 0, false, true}, {40, 8, 12, -1, false, false}, {36, 0, 0, -1, false, false}}}
	backends(t, func(t *testing.T, c *CPU) {
		for _, at.typ = range []DType{F32, BF16} {
			// Some tiles more than wait for A, and than kernels with tokens in the
			// lanes take at once.
			rows := max(chunkTiles*c.plan(c.denseTypes(8*at.typ.Size()), 1000).big+5, 133)
			rng := kerneltest.Rand(5)
			parts := at.make(rng, func(n int) []float32 { return truncated(rng, n) })
			g, err := c.NewGroup(parts...)
			if err != nil {
				t.Fatal(err)
			}
			x := kerneltest.Normal(rng, rows*at.in)
			whole := upload(t, c, rows, g.Out(), make([]float32, rows*g.Out()))
			linear(t, c, whole, g, upload(t, c, rows, at.in, x), Fuse{})
			for _, threads := range []int{1, 4} {
				other, err := NewCPU(Options{ISA: c.isa, Compute: c.compute, Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				og, err := other.NewGroup(parts...)
				if err != nil {
					t.Fatal(err)
				}
				for first, n := 0, threads; first < rows; first, n = first+n, n*2+1 {
					n = min(n, rows-first)
					dst := upload(t, other, n, g.Out(), make([]float32, n*g.Out()))
					linear(t, other, dst, og, upload(t, other, n, at.in, x[first*at.in:(first+n)*at.in]), Fuse{})
					for r := range n {
						kerneltest.Equal(t, fmt.Sprintf("%v, row %d of %d, %d threads", at.typ, r, n, threads), dst.row(r), whole.row(first+r))
					}
				}
			}
			column := whole.cols
			for i := len(parts) - 1; i >= 0; i-- {
				column -= parts[i].rows()
				alone, err := c.NewGroup(parts[i])
				if err != nil {
					t.Fatal(err)
				}
				dst := upload(t, c, rows, alone.Out(), make([]float32, rows*alone.Out()))
				linear(t, c, dst, alone, upload(t, c, rows, at.in, x), Fuse{})
				for r := range rows {
					if !kerneltest.Equal(t, parts[i].Name+" alone", dst.row(r), whole.row(r)[column:][:alone.Out()]) {
						break
					}
				}
			}
		}
	})
}
