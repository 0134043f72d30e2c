package block

import (
	"fmt"
	"math"
	"testing"

	"armor/kernels"
	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// TestCholesky checks L·Lᵀ = a by Higham's bound (Theorem 10.3), Σ |L|·|Lᵀ|
// times γ, and that the solution's residual is as small.
func TestCholesky(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(6)
		for _, n := range []int{1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 47, 64, 65, 100, 128, 145} {
			lda, cols := n+n%3, 1+n%50
			if n == 64 {
				cols = 300
			}
			dense := gram(rng, n, 3*n)
			ga := kerneltest.NewGuard[float32](t, n*lda)
			a := matrix(ga, kerneltest.Places[n%8], dense, n, n, lda)
			for i := range n {
				for j := i + 1; j < n; j++ { // not to be read
					a[i*lda+j] = float32(math.NaN())
				}
			}
			if !m.Cholesky(a, lda, n) {
				t.Fatalf("%d: not positive definite", n)
			}
			ga.Check(t)
			l := func(i, j int) float64 {
				if j > i {
					return 0
				}
				return float64(a[i*lda+j])
			}
			var worst kerneltest.Worst
			size := make([]float64, n*n) // |L|·|Lᵀ|
			for i := range n {
				for j := range i + 1 {
					sum := 0.0
					for p := range j + 1 {
						sum += l(i, p) * l(j, p)
						size[i*n+j] += math.Abs(l(i, p) * l(j, p))
					}
					size[j*n+i] = size[i*n+j]
					worst.See(i*n+j, sum, float64(dense[i*n+j]), kerneltest.Bound(n+step, size[i*n+j]))
				}
			}
			worst.Check(t, fmt.Sprintf("factor of %d", n))

			b := kerneltest.Normal(rng, n*cols)
			ldx := cols + n%2
			gx := kerneltest.NewGuard[float32](t, n*ldx)
			x := matrix(gx, kerneltest.Places[(n+3)%8], b, n, cols, ldx)
			m.CholeskySolve(a, lda, n, x, ldx, cols)
			ga.Check(t)
			gx.Check(t)
			worst = kerneltest.Worst{}
			for i := range n {
				for j := range cols {
					sum, abs := 0.0, 0.0
					for p := range n {
						v := float64(x[p*ldx+j])
						sum += float64(dense[i*n+p]) * v
						abs += size[i*n+p] * math.Abs(v)
					}
					worst.See(i*cols+j, sum, float64(b[i*cols+j]), kerneltest.Bound(3*n+2*step, abs))
				}
			}
			worst.Check(t, fmt.Sprintf("solution of %d", n))
		}
	})
}

func TestCholeskyRefuses(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		for _, n := range []int{1, 5, 16, 40} {
			for at := range n {
				for _, v := range []float64{0, -1, math.NaN(), math.Inf(1)} {
					a := make([]float32, n*n)
					for i := range n {
						a[i*n+i] = 1
					}
					a[at*n+at] = float32(v)
					if m.Cholesky(a, n, n) {
						t.Errorf("%d: %v at %d of the diagonal was accepted", n, v, at)
					}
				}
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(7)
		from, to := kerneltest.NewGuard[float32](t, 20000), kerneltest.NewGuard[float32](t, 20000)
		small := [2]*kerneltest.Guard[float32]{kerneltest.NewGuard[float32](t, 1000), kerneltest.NewGuard[float32](t, 1000)}
		sizes := [][2]int{{0, 3}, {3, 0}, {16, 16}, {31, 66}, {128, 130}}
		for i := range 9 * 69 { // all remainders
			sizes = append(sizes, [2]int{1 + i%9, 1 + i/9})
		}
		for i, size := range sizes {
			for n, place := range kerneltest.Places {
				rows, cols := size[0], size[1]
				lds, ldd := cols+n%3, rows+n%2
				from, to := from, to
				if rows < 10 {
					from, to = small[0], small[1]
					if n != i%8 {
						continue
					}
				}
				values := kerneltest.Normal(rng, rows*cols)
				src, dst := matrix(from, place, values, rows, cols, lds), matrix(to, place, make([]float32, rows*cols), cols, rows, ldd)
				want := append([]float32(nil), dst...)
				ref.BlockTranspose(want, ldd, src, lds, rows, cols)
				m.Transpose(dst, ldd, src, lds, rows, cols)
				kerneltest.Equal(t, fmt.Sprintf("[%d, %d]", rows, cols), dst, want)
				from.Check(t)
				to.Check(t)
			}
		}
	})
}

func TestSquaredError(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		rng := kerneltest.Rand(8)
		ga, gb := kerneltest.NewGuard[float32](t, 5000), kerneltest.NewGuard[float32](t, 5000)
		for i, n := range append(kerneltest.Lengths(), 5000) {
			place := kerneltest.Places[i%8]
			values := func() []float32 { return kerneltest.Normal(rng, n) }
			if i/8%2 == 1 {
				values = func() []float32 { return kerneltest.Integers(rng, n, 8) }
			}
			a, b := ga.Copy(values(), place), gb.Copy(values(), place)
			want := 0.0
			for i, v := range a {
				d := float64(v) - float64(b[i])
				want += d * d
			}
			bound := kerneltest.Bound(32+8, want) // 32 squares in a sum
			if i/8%2 == 1 {
				bound = 0
			}
			var worst kerneltest.Worst
			worst.See(n, m.SquaredError(a, b), want, bound)
			worst.Check(t, "Σ (a-b)²")
			ga.Check(t)
			gb.Check(t)
		}
	})
}

func BenchmarkCholesky(b *testing.B) {
	const n = 128
	for _, isa := range []kernels.ISA{kernels.AVX2, kernels.AVX512} {
		if isa > kernels.BestISA() {
			continue
		}
		b.Run(isa.String(), func(b *testing.B) {
			g, m := gram(kerneltest.Rand(1), n, 2*n), New(isa)
			a, x := make([]float32, n*n), make([]float32, n*n)
			for b.Loop() {
				copy(a, g)
				copy(x, g)
				m.Cholesky(a, n, n)
				m.CholeskySolve(a, n, n, x, n, n)
			}
		})
	}
}
