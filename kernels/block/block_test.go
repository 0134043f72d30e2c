package block

import (
	"fmt"
	"testing"

	"armor/kernels"
	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// each runs f for plain Go and for each instruction set that there is.
func each(t *testing.T, f func(t *testing.T, m Math)) {
	t.Helper()
	t.Run("ref", func(t *testing.T) { f(t, New(kernels.Ref)) })
	kerneltest.Run(t, func(t *testing.T, isa kerneltest.ISA) {
		id, err := kernels.ParseISA(string(isa))
		if err != nil {
			t.Fatal(err)
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

func TestMul(t *testing.T) {
	sizes := [][3]int{{0, 5, 3}, {5, 0, 3}, {5, 7, 0}, {128, 128, 128}, {64, 128, 40}, {37, 64, 130}, {16, 48, 16}, {13, 40, 500}, {30, 33, 321}, {29, 50, 193}, {1, 200, 128}, {1, 96, 7}}
	for n := range 30 {
		sizes = append(sizes, [3]int{n + 1, 1 + (n*7)%70, 1 + n%5}, [3]int{1 + (n*11)%31, 33 + n, 9},
			[3]int{24 + n, 32 + n%3*16, 1 + n*n%11})
	}
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(1)
		ga, gb, gc := kerneltest.NewGuard[float32](t, 40000), kerneltest.NewGuard[float32](t, 40000), kerneltest.NewGuard[float32](t, 40000)
		for n, size := range sizes {
			rows, cols, inner := size[0], size[1], size[2]
			place := kerneltest.Places[n%len(kerneltest.Places)]
			lda, ldb, ldc := inner+n%3, cols+n%4, cols+n%2
			values := func(k int) []float32 { return kerneltest.Integers(rng, k, 20) }
			if n%2 == 1 {
				values = func(k int) []float32 { return kerneltest.Normal(rng, k) }
			}
			av, bv, cv := values(rows*inner), values(inner*cols), values(rows*cols)
			a, ars, acs := matrix(ga, place, av, rows, inner, lda), lda, 1
			if n%3 == 0 { // the transpose, in place
				lda = rows + n%2
				at := make([]float32, len(av))
				ref.BlockTranspose(at, rows, av, inner, rows, inner)
				a, ars, acs = matrix(ga, place, at, inner, rows, lda), 1, lda
			}
			b := matrix(gb, place, bv, inner, cols, ldb)
			for _, op := range []Op{Set, Add, Sub} {
				c := matrix(gc, place, cv, rows, cols, ldc)
				if op == Set { // over what must not be read: NaN
					c = gc.Slice(len(c), place)
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
				ga.Check(t)
				gb.Check(t)
				gc.Check(t)
			}
		}
	})
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
