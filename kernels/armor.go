package kernels

import "armor/kernels/ref"

// chunkTiles is how many token tiles of a core's output wait for A: they stay
// in L2, and the core's weights are read from there for the next ones.
const chunkTiles = 8

// blocksPerTask joins blocks of B to whole scales of what is packed after it, 64
// inputs.
func blocksPerTask(block int) int {
	n := 1
	for n*block%ref.SparseBlock != 0 {
		n++
	}
	return n
}

// blocksOfB computes blocks first … end-1 of z = B·x for token tiles lo … hi-1.
func (j *linearJob) blocksOfB(s *linearScratch, b, first, end, lo, hi int) {
	m, n := j.g.bs[b], j.g.bs[b].blockTiles()
	from, to := m.form(), j.g.after[b]
	ld := (end-first)*m.block + tileRows
	for i := lo; i < hi; i++ {
		_, rows, mr := j.plan.tile(i)
		for k := first; k < end; k++ {
			// A block's last tile may reach into the next one's columns, which
			// come after it.
			x := j.tile(m.x, i)[from.at(k*m.block, mr):]
			j.c.product(&s.list, m, k*n, n, mr, x, j.g.in, s.y[(k-first)*m.block:], ld, false)
		}
		z := j.tile(len(j.g.forms)+b, i)[to.at(first*m.block, mr):]
		j.c.fill(to, z, j.g.in, s.y, ld, rows, (end-first)*m.block, mr, s.line)
	}
}

// unitOfA computes rows first … first+n-1 of a section: u = Core·z, then A·u.
func (j *linearJob) unitOfA(s *linearScratch, sec *section, first, n int) {
	step, ld := j.rowTiles(sec.w), roundUp(n, tileRows)
	for lo := 0; lo < j.plan.tiles(); lo += chunkTiles {
		hi := min(lo+chunkTiles, j.plan.tiles())
		for t := 0; t < ld/tileRows; t += step {
			tiles := min(step, ld/tileRows-t)
			for i := lo; i < hi; i++ {
				_, _, mr := j.plan.tile(i)
				y := s.u[(i-lo)*j.plan.big*ld+t*tileRows:]
				j.c.product(&s.list, sec.w, first/tileRows+t, tiles, mr, j.tile(sec.x, i), j.g.in, y, ld, false)
			}
		}
		for i := lo; i < hi; i++ {
			j.blocksOfA(s, sec, s.u[(i-lo)*j.plan.big*ld:], ld, first, n, i)
		}
	}
}

// blocksOfA multiplies one token tile of u [tokens, ld] by the blocks of A at
// rows first … first+n-1.
func (j *linearJob) blocksOfA(s *linearScratch, sec *section, u []float32, ld, first, n, tile int) {
	row, rows, mr := j.plan.tile(tile)
	m, f := sec.a, sec.a.form()
	j.c.fill(f, s.panel, n, u, ld, rows, n, mr, s.line)
	whole := m.block%tileRows == 0
	y, ldy, add := s.y, n+tileRows, false
	if whole {
		y, ldy, add = j.dst.data[row*j.dst.ld+sec.first+first:], j.dst.ld, j.adds()
	}
	for k := 0; k < n; k += m.block {
		tiles := m.blockTiles()
		j.c.product(&s.list, m, (first+k)/m.block*tiles, tiles, mr, s.panel[f.at(k, mr):], n, y[k:], ldy, add)
	}
	if !whole {
		j.emit(s.y, ldy, row, rows, sec.first+first, n)
	}
}
