package kernels

import (
	"math"
	"unsafe"
)

// tokenPlan splits T rows into the token tiles of an instruction set: as many
// of the largest as fit, and one for the rest.
type tokenPlan struct {
	rows      int
	full, big int // full tiles of big tokens each
	last      int // tokens of the tile for the rest, 0 where nothing is left
}

func (c *CPU) plan(rows int) tokenPlan {
	shapes := c.tokenTiles()
	big := shapes[len(shapes)-1]
	p := tokenPlan{rows: rows, full: rows / big, big: big}
	if rest := rows % big; rest > 0 {
		for _, s := range shapes {
			if s >= rest {
				p.last = s
				break
			}
		}
	}
	return p
}

func (p tokenPlan) tiles() int {
	if p.last > 0 {
		return p.full + 1
	}
	return p.full
}

// tile gives tile i: its first row, the rows that it holds, and its size.
func (p tokenPlan) tile(i int) (first, rows, mr int) {
	first = i * p.big
	if i < p.full {
		return first, p.big, p.big
	}
	return first, p.rows - first, p.last
}

// linearJob is one Linear: first each token tile is normalized (or multiplied
// by its gate) and packed into a panel, then tiles of rows run over all panels.
type linearJob struct {
	c        *CPU
	g        *group
	x, dst   *buf
	norm     *buf
	eps      float32
	swiglu   bool
	residual bool

	plan      tokenPlan
	types     denseTypes
	panels    []byte // [tile][k][tokens of the tile]
	panelSize int    // bytes of a full tile's panel
	packing   bool
	chunk     int         // row tiles of a task
	scratch   [][]float32 // per worker: [rows of a token tile, in]
}

func (p *pass) Linear(dst Buf, g Group, x Buf, f Fuse) {
	j := &p.linear
	j.g, j.x, j.dst = g.(*group), x.(*buf), dst.(*buf)
	j.swiglu, j.residual, j.eps, j.norm = f.SwiGLU, f.Residual, f.Norm.Eps, nil
	if f.Norm.Weight != nil {
		j.norm = f.Norm.Weight.(*buf)
	}
	in := j.x.cols
	if j.swiglu {
		in /= 2
	}
	if in != j.g.in || j.dst.cols != j.g.out || j.x.rows != j.dst.rows {
		want(false, j.g.name, "[%d, %d] by [%d, %d] into [%d, %d]", j.x.rows, in, j.g.in, j.g.out, j.dst.rows, j.dst.cols)
	}
	if j.x.rows == 0 {
		return
	}
	j.plan = p.c.plan(j.x.rows)
	j.types = p.c.denseTypes(j.g.bits)
	j.panelSize = j.plan.big * in * j.types.activationSize()
	if need := j.plan.tiles() * j.panelSize; need > len(j.panels) {
		j.panels = make([]byte, need)
	}
	for w := range j.scratch {
		if need := padRows * in; need > len(j.scratch[w]) {
			j.scratch[w] = make([]float32, need)
		}
	}
	j.packing = true
	p.run(j, j.plan.tiles())
	j.packing = false
	// Enough tasks that a late worker costs little; whole groups of four tiles.
	tiles := j.g.tiles()
	j.chunk = max(4, roundUp(tiles/(8*p.c.pool.workers), 4))
	p.run(j, (tiles+j.chunk-1)/j.chunk)
}

func (j *linearJob) run(worker, task int) {
	if j.packing {
		j.pack(j.scratch[worker], task)
		return
	}
	first := task * j.chunk
	end := min(first+j.chunk, j.g.tiles())
	if j.g.bias != nil {
		j.addBias(first*tileRows, end*tileRows)
	}
	add := j.residual || j.g.bias != nil
	step := j.c.rowTiles(j.plan.big)
	if j.plan.full == 0 {
		step = j.c.rowTiles(j.plan.last)
	}
	for t := first; t < end; t += step {
		j.multiply(t, min(step, end-t), add)
	}
}

// multiply runs row tiles t … t+n-1 over all token tiles, so that the weights
// are read from memory once.
func (j *linearJob) multiply(t, n int, add bool) {
	for i := range j.plan.tiles() {
		first, _, mr := j.plan.tile(i)
		x := unsafe.Pointer(&j.panels[i*j.panelSize])
		for r := 0; r < n; {
			rows := 1
			if most := j.c.rowTiles(mr); n-r >= most {
				rows = most
			}
			y := &j.dst.data[first*j.dst.ld+(t+r)*tileRows]
			j.c.dense(j.types, rows, mr, j.g.tile(t+r), j.g.stride, x, j.g.steps(), y, j.dst.ld, add)
			r += rows
		}
	}
}

// addBias puts the bias where the products will be added: columns from … to.
func (j *linearJob) addBias(from, to int) {
	for r := range j.dst.rows {
		row := j.dst.data[r*j.dst.ld:][from:to]
		if j.residual {
			j.c.add(row, j.g.bias[from:to])
		} else {
			copy(row, j.g.bias[from:to])
		}
	}
}

// pack makes the panel of one token tile.
func (j *linearJob) pack(scratch []float32, tile int) {
	first, rows, mr := j.plan.tile(tile)
	src, ld, in := j.x.data[first*j.x.ld:], j.x.ld, j.g.in
	if j.norm != nil || j.swiglu {
		for r := range rows {
			x, out := src[r*ld:], scratch[r*in:][:in]
			if j.swiglu {
				j.c.swiGLU(out, x[:in], x[in:2*in])
			} else {
				j.c.rmsNorm(out, x[:in], j.norm.data, j.eps)
			}
		}
		src, ld = scratch, in
	}
	j.c.panel(j.types, j.panels[tile*j.panelSize:], src, ld, rows, in, mr)
}

// rmsNorm sets dst to x/√(mean x² + eps)·w.
func (c *CPU) rmsNorm(dst, x, w []float32, eps float32) {
	mean := c.sumSquares(x) / float32(len(x))
	c.scaleMul(dst, x, w, float32(1/math.Sqrt(float64(mean+eps))))
}
