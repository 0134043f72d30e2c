package kernels

import "armor/kernels/ref"

// chunkTiles is how many token tiles of a core's output wait for A: they stay
// in L2, and the core's weights are read from there for the next ones.
const chunkTiles = 16

// wholes is the least number of pieces that are whole units together.
func wholes(piece, unit int) int {
	n := 1
	for n*piece%unit != 0 {
		n++
	}
	return n
}

// blocksPerTask joins blocks of B to whole scales of what is packed after it, 64
// inputs.
func blocksPerTask(block int) int { return wholes(block, ref.SparseBlock) }

// rowsAtOnce bounds the rows of B or of units of A that go together: calls cost
// little beside them, and a tile of tokens is read less often.
const rowsAtOnce = 256

// blocksOfTask is how many blocks of a B are a task: a quarter of a worker's.
func (j *linearJob) blocksOfTask(b *packed) int {
	n := blocksPerTask(b.block)
	return n * max(1, min(rowsAtOnce/(n*b.block), b.rows/b.block/(4*n*j.c.pool.workers)))
}

// unitsAtOnce is how many units of a section are computed together. Kernels that take
// lists of tiles want no more rows than rowTiles.
func (j *linearJob) unitsAtOnce(s *section) int {
	rows := rowsAtOnce
	if j.c.listed(s.w.types, j.plan.big) {
		rows = min(rows, j.rowTiles(s.w)*tileRows)
	}
	return max(1, rows/s.unit())
}

// fills is how many token tiles of what region i holds are packed at once: with
// tokens in the lanes, as many as are whole vectors.
func (j *linearJob) fills(i int) int {
	if j.regions[i].form.lanes {
		return wholes(j.plan.big, lanesTokens)
	}
	return 1
}

// blocksOfB computes blocks first … end-1 of z = B·x for token tiles lo … hi-1.
func (j *linearJob) blocksOfB(s *linearScratch, b, first, end, lo, hi int) {
	m := j.g.bs[b]
	to := len(j.g.forms) + b
	ld, step := (end-first)*m.block+tileRows, j.fills(to)
	for i := lo; i < hi; i += step {
		tokens := 0
		for tile := i; tile < min(i+step, hi); tile++ {
			_, rows, mr := j.plan.tile(tile)
			y, x := s.y[tokens*ld:], j.tile(m.x, tile)
			j.c.blocks(&s.list, m, first, end-first, mr, x[m.form().at(first*m.block, mr):], j.g.in, y, ld, false)
			tokens += rows
		}
		j.fillZ(s, to, i, first*m.block, ld, tokens, (end-first)*m.block)
	}
}

// fillZ packs columns from on of token tile i, and of those that are packed with
// it, from y [tokens, ld].
func (j *linearJob) fillZ(s *linearScratch, to, i, from, ld, tokens, columns int) {
	f := j.regions[to].form
	if !f.lanes {
		_, _, mr := j.plan.tile(i)
		j.c.fill(f, j.tile(to, i)[f.at(from, mr):], j.g.in, s.y, ld, tokens, columns, mr, s.line)
		return
	}
	v := i * j.plan.big / lanesTokens
	for t := 0; t < tokens; t += lanesTokens {
		j.fillLanes(s, to, v, from, s.y[t*ld:], ld, min(lanesTokens, tokens-t), columns)
		v++
	}
}

// unitsOfA computes rows first … first+n-1 of a section: u = Core·z, then A·u.
func (j *linearJob) unitsOfA(s *linearScratch, sec *section, first, n int) {
	step, ld := j.rowTiles(sec.w), roundUp(n, tileRows)
	if tiles := ld / tileRows; tiles <= step && j.c.listed(sec.w.types, j.plan.big) {
		// The weights stay in L2, so that u need not.
		ld += tileRows // rows of 1 KB would share sets of L1
		w, at := j.expanded(s, sec.w, first/tileRows, tiles)
		for i := range j.plan.tiles() {
			row, rows, mr := j.plan.tile(i)
			j.c.product(&s.list, w, at, tiles, mr, j.tile(sec.x, i), j.g.in, s.u, ld, false)
			j.blocksOfA(s, sec, s.u, ld, first, n, row, rows, mr)
		}
		return
	}
	for lo := 0; lo < j.plan.tiles(); lo += chunkTiles {
		hi := min(lo+chunkTiles, j.plan.tiles())
		for t := 0; t < ld/tileRows; t += step {
			tiles := min(step, ld/tileRows-t)
			w, at := j.expanded(s, sec.w, first/tileRows+t, tiles)
			for i := lo; i < hi; i++ {
				_, _, mr := j.plan.tile(i)
				y := s.u[(i-lo)*j.plan.big*ld+t*tileRows:]
				j.c.product(&s.list, w, at, tiles, mr, j.tile(sec.x, i), j.g.in, y, ld, false)
			}
		}
		for i := lo; i < hi; i++ {
			row, rows, mr := j.plan.tile(i)
			j.blocksOfA(s, sec, s.u[(i-lo)*j.plan.big*ld:], ld, first, n, row, rows, mr)
		}
	}
}

// blocksOfA multiplies a tile of mr tokens, row … row+rows-1, of u [rows, ld] by
// the blocks of A at rows first … first+n-1.
func (j *linearJob) blocksOfA(s *linearScratch, sec *section, u []float32, ld, first, n, row, rows, mr int) {
	m, f := sec.a, sec.a.form()
	j.c.fill(f, s.panel, n, u, ld, rows, n, mr, s.line)
	whole := m.block%tileRows == 0
	y, ldy, add := s.y, n+tileRows, false
	if whole {
		y, ldy, add = j.dst.data[row*j.dst.ld+sec.first+first:], j.dst.ld, j.adds()
	}
	j.c.blocks(&s.list, m, first/m.block, n/m.block, mr, s.panel, n, y, ldy, add)
	if !whole {
		j.emit(s.y, ldy, row, rows, sec.first+first, n)
	}
}
