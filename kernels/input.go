package kernels

import (
	"math"

	"armor/kernels/ref"
)

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

// scaled are so many rows of x from first on, in a call of Linear.
type scaled struct{ call, first, rows int }

// packSpan divides the packing of so many token tiles: where they are few, columns are
// divided, too, unless that costs more than it gains.
func (j *linearJob) packSpan(form, tiles int) span {
	const least = 16 << 10 // inputs of a task
	parts := min(ceil(4*j.c.pool.workers, tiles), max(1, j.plan.rows*j.g.in/(tiles*least)))
	units := ceil(j.g.in, ref.SparseBlock)
	return span{of: form, units: units, per: ceil(units, parts), tiles: tiles, chunk: 1}
}

// pack packs units begin … end-1 of columns, of one vector of tokens of x in the group's
// form i, or of one token tile in all forms from i on that are none with tokens in the
// lanes.
func (j *linearJob) pack(s *linearScratch, i, begin, end, tile int) {
	from, to := begin*ref.SparseBlock, min(end*ref.SparseBlock, j.g.in)
	lanes := j.regions[i].form.lanes
	first, rows, mr := tile*lanesTokens, min(lanesTokens, j.plan.rows-tile*lanesTokens), 0
	if !lanes {
		first, rows, mr = j.plan.tile(tile)
	}
	j.scales(s, first, rows)
	for ; from < to; from += columnsPacked {
		n := min(columnsPacked, to-from)
		src, ld := j.in.columns(s.x, s.scale, first, rows, from, n)
		if lanes {
			j.fillLanes(s, i, tile, from, src, ld, rows, n)
			continue
		}
		for f := i; f < len(j.g.forms); f++ {
			if form := j.regions[f].form; !form.lanes {
				j.c.fill(form, j.tile(f, tile)[form.at(from, mr):], j.g.in, src, ld, rows, n, mr, s.line)
			}
		}
	}
}

// scales makes those of the norms of rows of x, unless a task for other columns has.
func (j *linearJob) scales(s *linearScratch, first, rows int) {
	of := scaled{j.calls, first, rows}
	if j.in.norm == nil || s.scaleOf == of {
		return
	}
	s.scaleOf = of
	for r := range rows {
		s.scale[r] = j.in.scale(first + r)
	}
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
