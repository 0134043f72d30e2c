package solve

import (
	"math"
	"math/rand/v2"

	"armor/kernels"
	"armor/kernels/block"
)

var best = block.New(kernels.BestISA())

func randomProblem(rng *rand.Rand, out, in int) *Problem {
	p := &Problem{Out: out, In: in, W: make([]float32, out*in)}
	for i := range p.W {
		p.W[i] = float32(rng.NormFloat64())
	}
	for range in {
		p.Hessian.Diag = append(p.Hessian.Diag, math.Exp(rng.NormFloat64()))
	}
	return p
}

// gramOf makes a Hessian [n, n] of 2n random tokens.
func gramOf(rng *rand.Rand, n int) []float32 {
	h := make([]float32, n*n)
	x := make([]float64, n)
	for range 2 * n {
		common := rng.NormFloat64()
		for i := range x {
			x[i] = rng.NormFloat64() + 0.5*common
		}
		for i := range x {
			for j := range x {
				h[i*n+j] += float32(x[i] * x[j])
			}
		}
	}
	return h
}

// naiveDense multiplies A·S·B by the definition, in f64.
func naiveDense(l *Layer) []float64 {
	s := make([]float64, l.Out*l.In)
	for g, m := range l.Mask {
		s[4*g+pairs[m][0]] = float64(l.Values[2*g])
		s[4*g+pairs[m][1]] = float64(l.Values[2*g+1])
	}
	if l.A == nil {
		return s
	}
	as, asb := make([]float64, len(s)), make([]float64, len(s))
	for i := range l.Out {
		for j := range l.In {
			for q := range l.BlockOut {
				as[i*l.In+j] += float64(l.A[i*l.BlockOut+q]) * s[(i/l.BlockOut*l.BlockOut+q)*l.In+j]
			}
		}
	}
	for i := range l.Out {
		for j := range l.In {
			first := j / l.BlockIn * l.BlockIn
			for q := range l.BlockIn {
				asb[i*l.In+j] += as[i*l.In+first+q] * float64(l.B[(first+q)*l.BlockIn+j-first])
			}
		}
	}
	return asb
}

// naiveLoss is the relative loss by its definition, in f64, for any Ŵ [Out, In].
func naiveLoss(p *Problem, w []float64) float64 {
	n := normalize(p, 1)
	loss, total := 0.0, 0.0
	mean := 0.0
	for j := range p.In {
		if b := p.Hessian.Block; b > 0 {
			mean += float64(p.Hessian.Blocks[j*b+j%b]) / float64(p.In)
		}
	}
	bar := func(v float64, i, j int) float64 { return v / n.row[i] / n.col[j] }
	for i := range p.Out {
		for j := range p.In {
			v := float64(p.W[i*p.In+j])
			if p.Hessian.Blocks == nil {
				loss += n.h[j] * bar(v-w[i*p.In+j], i, j) * bar(v-w[i*p.In+j], i, j)
				total += n.h[j] * bar(v, i, j) * bar(v, i, j)
				continue
			}
			b := p.Hessian.Block
			for c := range b {
				at := j/b*b + c
				h := float64(p.Hessian.Blocks[j*b+c]) / mean
				if at == j {
					h += 0.01
				}
				u := float64(p.W[i*p.In+at])
				loss += h * bar(v-w[i*p.In+j], i, j) * bar(u-w[i*p.In+at], i, at)
				total += h * bar(v, i, j) * bar(u, i, at)
			}
		}
	}
	if total == 0 {
		return 0
	}
	return loss / total
}

// solveNaive solves a·x = b for a [n, n], b [n, cols] by elimination with pivots.
func solveNaive(a, b []float64, n, cols int) []float64 {
	a, b = append([]float64(nil), a...), append([]float64(nil), b...)
	for c := range n {
		pivot := c
		for r := c; r < n; r++ {
			if math.Abs(a[r*n+c]) > math.Abs(a[pivot*n+c]) {
				pivot = r
			}
		}
		for x := range n {
			a[c*n+x], a[pivot*n+x] = a[pivot*n+x], a[c*n+x]
		}
		for x := range cols {
			b[c*cols+x], b[pivot*cols+x] = b[pivot*cols+x], b[c*cols+x]
		}
		for r := range n {
			if r == c {
				continue
			}
			f := a[r*n+c] / a[c*n+c]
			for x := range n {
				a[r*n+x] -= f * a[c*n+x]
			}
			for x := range cols {
				b[r*cols+x] -= f * b[c*cols+x]
			}
		}
	}
	for r := range n {
		for x := range cols {
			b[r*cols+x] /= a[r*n+r]
		}
	}
	return b
}

// mulNaive is a [n, inner] · b [inner, cols].
func mulNaive(a, b []float64, n, cols, inner int) []float64 {
	c := make([]float64, n*cols)
	for i := range n {
		for p := range inner {
			for j := range cols {
				c[i*cols+j] += a[i*inner+p] * b[p*cols+j]
			}
		}
	}
	return c
}

func transposeNaive(a []float64, n, cols int) []float64 {
	t := make([]float64, len(a))
	for i := range n {
		for j := range cols {
			t[j*n+i] = a[i*cols+j]
		}
	}
	return t
}
