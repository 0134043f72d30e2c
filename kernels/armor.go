package kernels

// chunkTiles is how many token tiles of a core's output wait for A: they stay
// in L2, and the core's weights are read from there for the next ones.
const chunkTiles = 8

// blocksPerTask joins small blocks of B.
func blocksPerTask(block int) int { return max(1, 64/block) }

// blocksOfB computes blocks first … end-1 of z = B·x for token tiles lo … hi-1.
func (j *linearJob) blocksOfB(s *linearScratch, b, first, end, lo, hi int) {
	m, size := j.g.bs[b], j.types.activationSize()
	n := m.blockTiles()
	ld := (end-first)*m.block + tileRows
	for i := lo; i < hi; i++ {
		_, rows, mr := j.plan.tile(i)
		for k := first; k < end; k++ {
			// A block's last tile may reach into the next one's columns, which
			// come after it.
			x := j.panel(i)[k*m.block*mr*size:]
			j.product(m, k*n, n, mr, x, s.y[(k-first)*m.block:], ld, false)
		}
		j.c.quads(j.types, j.quad(b, i)[first*m.block*mr*size:], s.y, ld, rows, (end-first)*m.block, mr, s.line)
	}
}

// unitOfA computes rows first … first+n-1 of a section: u = Core·z, then A·u.
func (j *linearJob) unitOfA(s *linearScratch, sec *section, first, n int) {
	step, ld := j.rowTiles(), roundUp(n, tileRows)
	for lo := 0; lo < j.plan.tiles(); lo += chunkTiles {
		hi := min(lo+chunkTiles, j.plan.tiles())
		for t := 0; t < ld/tileRows; t += step {
			for i := lo; i < hi; i++ {
				_, _, mr := j.plan.tile(i)
				y := s.u[(i-lo)*j.plan.big*ld+t*tileRows:]
				j.product(sec.w, first/tileRows+t, min(step, ld/tileRows-t), mr, j.quad(sec.b, i), y, ld, false)
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
	m, size := sec.a, j.types.activationSize()
	j.c.panel(j.types, s.panel, u, ld, rows, n, mr)
	whole := m.block%tileRows == 0
	y, ldy, add := s.y, n+tileRows, false
	if whole {
		y, ldy, add = j.dst.data[row*j.dst.ld+sec.first+first:], j.dst.ld, j.adds()
	}
	for k := 0; k < n; k += m.block {
		tiles := m.blockTiles()
		j.product(m, (first+k)/m.block*tiles, tiles, mr, s.panel[k*mr*size:], y[k:], ldy, add)
	}
	if !whole {
		j.emit(s.y, ldy, row, rows, sec.first+first, n)
	}
}
