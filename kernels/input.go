package kernels

import "math"

// fused is what a Linear multiplies: x, or x normalized, or silu(gate)·up.
type fused struct {
	c       *CPU
	x, norm *buf
	eps     float32
	swiglu  bool
}

// set takes the operands and returns how many inputs a row has.
func (f *fused) set(x Buf, fuse Fuse) (in int) {
	f.x, f.norm, f.eps, f.swiglu = x.(*buf), nil, fuse.Norm.Eps, fuse.SwiGLU
	if fuse.Norm.Weight != nil {
		f.norm = fuse.Norm.Weight.(*buf)
	}
	if f.swiglu {
		return f.x.cols / 2
	}
	return f.x.cols
}

func (f *fused) plain() bool { return f.norm == nil && !f.swiglu }

// row computes one row into dst [in].
func (f *fused) row(dst []float32, r int) {
	x := f.x.row(r)
	switch {
	case f.swiglu:
		f.c.swiGLU(dst, x[:len(dst)], x[len(dst):])
	case f.norm != nil:
		f.c.rmsNorm(dst, x, f.norm.data, f.eps)
	default:
		copy(dst, x)
	}
}

// columns gives n columns from from on of rows first … first+rows-1, where needed
// through scratch [rows, n]; scales are of the rows' norms.
func (f *fused) columns(scratch, scales []float32, first, rows, from, n int) (src []float32, ld int) {
	if f.plain() {
		return f.x.data[first*f.x.ld+from:], f.x.ld
	}
	for r := range rows {
		x, dst := f.x.row(first+r), scratch[r*n:][:n]
		if f.swiglu {
			f.c.swiGLU(dst, x[from:][:n], x[len(x)/2+from:][:n])
		} else {
			f.c.scaleMul(dst, x[from:][:n], f.norm.data[from:], scales[r])
		}
	}
	return scratch, n
}

// scale is what the norm multiplies row r by, beside its weights.
func (f *fused) scale(r int) float32 { return f.c.rmsScale(f.x.row(r), f.eps) }

// rmsNorm sets dst to x/√(mean x² + eps)·w.
func (c *CPU) rmsNorm(dst, x, w []float32, eps float32) {
	c.scaleMul(dst, x, w, c.rmsScale(x, eps))
}

// rmsScale is 1/√(mean x² + eps).
func (c *CPU) rmsScale(x []float32, eps float32) float32 {
	mean := c.sumSquares(x) / float32(len(x))
	return float32(1 / math.Sqrt(float64(mean+eps)))
}

// inputJob is one Input; a task is inputRows of it.
type inputJob struct {
	in  fused
	dst *buf
}

const inputRows = 4

// Input implements Pass.
func (p *pass) Input(dst Buf, x Buf, f Fuse) {
	j := &p.input
	j.dst = dst.(*buf)
	if in := j.in.set(x, f); in != j.dst.cols || j.in.x.rows != j.dst.rows {
		want(false, "Input", "[%d, %d] into [%d, %d]", j.in.x.rows, in, j.dst.rows, j.dst.cols)
	}
	if j.dst.rows > 0 {
		p.run(j, ceil(j.dst.rows, inputRows))
	}
}

func (j *inputJob) run(_, task int) {
	for r := task * inputRows; r < min((task+1)*inputRows, j.dst.rows); r++ {
		j.in.row(j.dst.row(r), r)
	}
}
