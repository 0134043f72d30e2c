package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"armor/kernels"
	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// each runs f for plain Go and for each instruction set that there is and that has
// kernels of its own.
func each(t *testing.T, f func(t *testing.T, m Math)) {
	t.Helper()
	t.Run("ref", func(t *testing.T) { f(t, New(kernels.Ref)) })
	kerneltest.Run(t, func(t *testing.T, isa kerneltest.ISA) {
		id, err := kernels.ParseISA(string(isa))
		if err != nil {
			t.Fatal(err)
		}
		if id > kernels.AVX512 {
			t.Skip("as AVX-512")
		}
		f(t, New(id))
	})
}

// matrix is [rows, cols] between guard pages, its rows ld elements apart and
// canaries, which are NaN, between them.
func matrix(g *kerneltest.Guard[float32], p kerneltest.Place, src []float32, rows, cols, ld int) []float32 {
	if rows == 0 || cols == 0 {
		return g.Slice(0, p)
	}
	m := g.Slice((rows-1)*ld+cols, p)
	for i := range rows {
		copy(m[i*ld:][:cols], src[i*cols:])
	}
	return m
}

// TestMul has all remainders of the tiles, all inner to 257, and larger ones.
func TestMul(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		all := []Op{Set, Add, Sub}
		g := newMulGuards(t, 40000)
		sizes := [][3]int{{0, 5, 3}, {5, 0, 3}, {5, 7, 0}, {128, 128, 128}, {64, 128, 40}, {37, 64, 130}, {16, 48, 16}, {13, 40, 500}, {30, 33, 321}, {29, 50, 193}, {1, 200, 128}, {1, 96, 7}}
		for n := range 30 {
			sizes = append(sizes, [3]int{1 + (n*11)%31, 33 + n, 9}, [3]int{24 + n, 32 + n%3*16, 1 + n*n%11})
		}
		for n, size := range sizes {
			g.check(t, m, n, size[0], size[1], size[2], all)
		}
		g = newMulGuards(t, 52*260)
		for inner := range 258 {
			g.check(t, m, inner, 9, 33+inner%5, inner, all[inner%3:][:1])
			g.check(t, m, inner+1, 25, 33+inner%16, inner, all[inner%3:][:1])
		}
		g = newMulGuards(t, 40*80)
		n := 0
		for rows := 1; rows <= 39; rows++ {
			for cols := 1; cols <= 69; cols++ {
				n++
				g.check(t, m, n+rows, rows, cols, 1+n%4, all[n%3:][:1])
			}
		}
	})
}

// mulGuards holds the operands of products.
type mulGuards struct {
	rng     *rand.Rand
	a, b, c *kerneltest.Guard[float32]
}

func newMulGuards(t *testing.T, most int) *mulGuards {
	return &mulGuards{kerneltest.Rand(1), kerneltest.NewGuard[float32](t, most), kerneltest.NewGuard[float32](t, most), kerneltest.NewGuard[float32](t, most)}
}

// check multiplies whole numbers or, where n is odd, others. Also by n it places the
// operands and transposes the first.
func (g *mulGuards) check(t *testing.T, m Math, n, rows, cols, inner int, ops []Op) {
	t.Helper()
	place := kerneltest.Places[n%len(kerneltest.Places)]
	lda, ldb, ldc := inner+n%3, cols+n%4, cols+n%2
	values := func(k int) []float32 { return kerneltest.Integers(g.rng, k, 20) }
	if n%2 == 1 {
		values = func(k int) []float32 { return kerneltest.Normal(g.rng, k) }
	}
	av, bv, cv := values(rows*inner), values(inner*cols), values(rows*cols)
	a, ars, acs := matrix(g.a, place, av, rows, inner, lda), lda, 1
	if n%3 == 0 { // the transpose, in place
		lda = rows + n%2
		at := make([]float32, len(av))
		ref.BlockTranspose(at, rows, av, inner, rows, inner)
		a, ars, acs = matrix(g.a, place, at, inner, rows, lda), 1, lda
	}
	b := matrix(g.b, place, bv, inner, cols, ldb)
	for _, op := range ops {
		c := matrix(g.c, place, cv, rows, cols, ldc)
		if op == Set { // over what must not be read: NaN
			c = g.c.Slice(len(c), place)
		}
		m.Mul(c, ldc, op, a, ars, acs, b, ldb, rows, cols, inner)
		what := fmt.Sprintf("op %d, [%d, %d]·[%d, %d]", op, rows, inner, inner, cols)
		var worst kerneltest.Worst
		for i := range rows {
			for j := range cols {
				sum, abs := 0.0, 0.0
				if op != Set {
					sum = float64(cv[i*cols+j])
					abs = max(sum, -sum)
				}
				for p := range inner {
					v := float64(av[i*inner+p]) * float64(bv[p*cols+j])
					abs += max(v, -v)
					if op == Sub {
						v = -v
					}
					sum += v
				}
				bound := kerneltest.Bound(inner+1, abs)
				if n%2 == 0 {
					bound = 0
				}
				worst.See(i*cols+j, float64(c[i*ldc+j]), sum, bound)
			}
		}
		worst.Check(t, what)
		for i := 0; cols > 0 && i < rows-1; i++ {
			for _, v := range c[i*ldc+cols : (i+1)*ldc] {
				if v == v {
					t.Fatalf("%s: written beyond row %d", what, i)
				}
			}
		}
		g.a.Check(t)
		g.b.Check(t)
		g.c.Check(t)
	}
}

func BenchmarkMul(b *testing.B) {
	for _, isa := range []kernels.ISA{kernels.AVX2, kernels.AVX512} {
		if isa > kernels.BestISA() {
			continue
		}
		for _, n := range []int{128, 64} {
			b.Run(fmt.Sprintf("%d/%v", n, isa), func(b *testing.B) {
				rng := kerneltest.Rand(1)
				x, y, z := kerneltest.Normal(rng, n*n), kerneltest.Normal(rng, n*n), make([]float32, n*n)
				m := New(isa)
				for b.Loop() {
					m.Mul(z, n, Set, x, n, 1, y, n, n, n, n)
				}
				b.ReportMetric(2*float64(n*n*n)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOPS")
			})
		}
	}
}
