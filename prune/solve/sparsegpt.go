package solve

import (
	"context"
	"fmt"
	"math"

	"armor/kernels/block"
)

// sparseGPT prunes column by column, each group's mask chosen when its turn
// comes by w²/[U_jj]², and moves the columns to the right so that they make up
// for it (arXiv 2301.00774, algorithm 1, with n:m masks and blocks of 128). U is
// the upper Cholesky factor of the inverse of the damped Hessian.
func (t *target) sparseGPT(ctx context.Context) (*Result, error) {
	const width, height = 128, 64
	p, in := t.p, t.p.In
	u, err := t.inverseFactor()
	if err != nil {
		return nil, err
	}
	w := make([]float32, len(p.W))
	copy(w, p.W)
	for j := range in { // an input that is never there needs no weight
		if !(p.Hessian.Full[j*in+j] > 0) {
			for i := range p.Out {
				w[i*in+j] = 0
			}
		}
	}
	l := Layer{Out: p.Out, In: in, Values: make([]float32, p.Out*in/2), Mask: make([]uint8, p.Out*in/4)}
	errs := make([]float32, t.threads*height*width)
	inParallel(t.threads, (p.Out+height-1)/height, func(worker, task int) {
		first := task * height
		rows, errs := min(height, p.Out-first), errs[worker*height*width:][:height*width]
		for c := 0; c < in && ctx.Err() == nil; c += width {
			n := min(width, in-c)
			for i := range rows {
				row := w[(first+i)*in:][:in]
				t.pruneRow(row[:c+n], u, c, errs[i*width:][:n], &l, first+i)
			}
			if rest := in - c - n; rest > 0 {
				t.math.Mul(w[first*in+c+n:], in, block.Sub, errs, width, 1, u[c*in+c+n:], in, rows, rest, n)
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.baseline(l), nil
}

// pruneRow prunes row from column c to its end and puts the errors, each over
// its column's U_jj, into errs.
func (t *target) pruneRow(row, u []float32, c int, errs []float32, l *Layer, i int) {
	in := t.p.In
	for j := c; j < len(row); j++ {
		if j%4 == 0 {
			var score [4]float64
			for q := range score {
				v := float64(row[j+q]) / float64(u[(j+q)*in+j+q])
				score[q] = v * v
			}
			l.Mask[(i*in+j)/4] = bestMask(&score)
		}
		at := (i*in + j) / 4
		kept := pairs[l.Mask[at]]
		switch w := row[j]; j % 4 {
		case kept[0]:
			l.Values[2*at] = w
			errs[j-c] = 0
		case kept[1]:
			l.Values[2*at+1] = w
			errs[j-c] = 0
		default:
			e := w / u[j*in+j]
			errs[j-c] = e
			for x, v := range u[j*in+j : j*in+len(row)] {
				row[j+x] -= e * v
			}
		}
	}
}

// inverseFactor is U [In, In], upper triangular, UᵀU = H⁻¹ of the damped H. With
// H's rows and columns in reverse order = L·Lᵀ, U is L⁻¹ in reverse order.
func (t *target) inverseFactor() ([]float32, error) {
	n, full := t.p.In, t.p.Hessian.Full
	mean := 0.0
	for j := range n {
		if d := float64(full[j*n+j]); d > 0 {
			mean += d / float64(n)
		}
	}
	if !(mean > 0) || math.IsInf(mean, 1) {
		return nil, fmt.Errorf("the full Hessian has a mean diagonal of %v", mean)
	}
	l := make([]float32, n*n)
	inParallel(t.threads, n, func(_, i int) {
		for j := range i + 1 {
			l[i*n+j] = float32(float64(full[(n-1-i)*n+n-1-j]) / mean)
		}
		d := &l[i*n+i]
		if !(*d > 0) {
			*d = 1
		}
		*d += damping
	})
	if !t.math.Cholesky(l, n, n) {
		return nil, fmt.Errorf("the full Hessian is not positive semidefinite")
	}
	x := make([]float32, n*n)
	t.invertLower(x, l, n)
	inParallel(t.threads, n, func(_, i int) {
		for j := range n {
			l[i*n+j] = x[(n-1-i)*n+n-1-j]
		}
	})
	return l, nil
}

// invertLower sets x [n, n], which is zero, to the inverse of the lower
// triangular l [n, n]; each task is a strip of columns of x.
func (t *target) invertLower(x, l []float32, n int) {
	const b = 64
	inParallel(t.threads, (n+b-1)/b, func(_, task int) {
		c := task * b
		w := min(b, n-c)
		for i := range w {
			x[(c+i)*n+c+i] = 1
		}
		for r := c; r < n; r += b { // L_rr·X_r = I_r − Σ L_rp·X_p
			h := min(b, n-r)
			if r > c {
				t.math.Mul(x[r*n+c:], n, block.Sub, l[r*n+c:], n, 1, x[c*n+c:], n, h, w, r-c)
			}
			for i := range h {
				row := x[(r+i)*n+c:][:w]
				for p := range i {
					f := l[(r+i)*n+r+p]
					for q, v := range x[(r+p)*n+c:][:w] {
						row[q] -= f * v
					}
				}
				for q := range row {
					row[q] /= l[(r+i)*n+r+i]
				}
			}
		}
	})
}
