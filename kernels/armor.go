package kernels

// chunkTiles is how many token tiles of a core's output wait for A: they stay
// in L2, and the core's weights are read from there for the next ones.
const chunkTiles = 8

// blocksPerTask joins small blocks of B.
func blocksPerTask(block int) int { return max(1, 64/block) }

// blocksOfB computes blocks first … end-1 of z = B·x for token tiles lo … hi-1.
func (j *linearJob) blocksOfB(s *linearScratch, b, first, end, lo, hi int) {
	m, n, pitch := j.g.bs[b], j.g.bs[b].blockTiles(), j.types.pitch(j.g.in)
	ld := (end-first)*m.block + tileRows
	for i := lo; i < hi; i++ {
		_, rows, mr := j.plan.tile(i)
		for k := first; k < end; k++ {
			// A block's last tile may reach into the next one's columns, which
			// come after it.
			x := j.panel(i)[j.types.at(k*m.block, mr):]
			j.product(s, m, k*n, n, mr, x, pitch, s.y[(k-first)*m.block:], ld, false)
		}
		z := j.quad(b, i)[j.types.at(first*m.block, mr):]
		j.c.activations(j.types, true, z, pitch, s.y, ld, rows, (end-first)*m.block, mr, s.line)
	}
}

// unitOfA computes rows first … first+n-1 of a section: u = Core·z, then A·u.
func (j *linearJob) unitOfA(s *linearScratch, sec *section, first, n int) {
	step, ld := j.rowTiles(), roundUp(n, tileRows)
	for lo := 0; lo < j.plan.tiles(); lo += chunkTiles {
		hi := min(lo+chunkTiles, j.plan.tiles())
		for t := 0; t < ld/tileRows; t += step {
			tiles := min(step, ld/tileRows-t)
			for i := lo; i < hi; i++ {
				_, _, mr := j.plan.tile(i)
				y := s.u[(i-lo)*j.plan.big*ld+t*tileRows:]
				j.product(s, sec.w, first/tileRows+t, tiles, mr, j.input(sec, i), j.types.pitch(j.g.in), y, ld, false)
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
	m, pitch := sec.a, j.types.pitch(n)
	j.c.activations(j.types, false, s.panel, pitch, u, ld, rows, n, mr, nil)
	whole := m.block%tileRows == 0
	y, ldy, add := s.y, n+tileRows, false
	if whole {
		y, ldy, add = j.dst.data[row*j.dst.ld+sec.first+first:], j.dst.ld, j.adds()
	}
	for k := 0; k < n; k += m.block {
		tiles := m.blockTiles()
		j.product(s, m, (first+k)/m.block*tiles, tiles, mr, s.panel[j.types.at(k, mr):], pitch, y[k:], ldy, add)
	}
	if !whole {
		j.emit(s.y, ldy, row, rows, sec.first+first, n)
	}
}
