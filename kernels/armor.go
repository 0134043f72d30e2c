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

// columnsPacked bounds the columns of x that are packed together: the tile of tokens
// stays in L2, and rows of x are read in long pieces.
const columnsPacked = 2048

// spanOf divides what a set of B's multiplies: token tiles first, and where they are
// few, columns, too.
func (j *linearJob) spanOf(s *set) span {
	tiles, want := j.plan.tiles(), 4*j.c.pool.workers
	fills, least := j.fills(s), blocksPerTask(s.block)
	chunk := fills * max(1, tiles/(fills*want))
	if j.diagonalsB(s) {
		chunk = max(chunk, min(diagonalTiles, tiles))
	}
	units := j.g.in / s.block
	parts := ceil(want, ceil(tiles, chunk))
	return span{units: units, per: least * max(1, units/(least*parts)), tiles: tiles, chunk: chunk}
}

// blocksAtOnce is how many blocks of a set are multiplied together.
func (j *linearJob) blocksAtOnce(s *set) int {
	n := blocksPerTask(s.block)
	return min(n*max(1, rowsAtOnce/(n*s.block)), j.spanOf(s).per)
}

// blocksPacked is how many blocks' columns of x are packed together.
func (j *linearJob) blocksPacked(s *set) int {
	n := j.blocksAtOnce(s)
	return min(n*max(1, columnsPacked/(n*s.block)), j.spanOf(s).per)
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

// fills is how many token tiles of a set's products are packed at once: with tokens
// in the lanes, as many as are whole vectors.
func (j *linearJob) fills(s *set) int {
	for _, b := range s.bs {
		if j.regions[len(j.g.forms)+b].form.lanes {
			return wholes(j.plan.big, lanesTokens)
		}
	}
	return 1
}

// blocksOfB computes blocks first … end-1 of z = B·x for a set's B's and token tiles
// lo … hi-1.
func (j *linearJob) blocksOfB(s *linearScratch, t *set, first, end, lo, hi int) {
	row := lo * j.plan.big
	j.scales(s, row, min(hi*j.plan.big, j.plan.rows)-row)
	if j.diagonalsB(t) {
		j.diagonalsOfB(s, t, first, end, lo, hi)
		return
	}
	step := j.fills(t)
	for n := j.blocksPacked(t); first < end; first += n {
		n = min(n, end-first)
		for i := lo; i < hi; i += step {
			j.piecesOfB(s, t, first, n, lo, i, min(i+step, hi))
		}
	}
}

// piecesOfB does n blocks from first on for token tiles i … hi-1, which are packed
// at once. The scales of rows begin with those of tile lo.
func (j *linearJob) piecesOfB(s *linearScratch, t *set, first, n, lo, i, hi int) {
	from, columns := first*t.block, n*t.block
	size, once := roundUp(t.form.size(columns, j.plan.big), cacheLine), j.blocksAtOnce(t)
	ld := once*t.block + tileRows
	tokens := 0
	for tile := i; tile < hi; tile++ {
		row, rows, mr := j.plan.tile(tile)
		src, ldx := j.in.columns(s.x, s.scale[(tile-lo)*j.plan.big:], row, rows, from, columns)
		j.c.fill(t.form, s.panel[(tile-i)*size:], columns, src, ldx, rows, columns, mr, s.line)
		tokens += rows
	}
	for _, b := range t.bs {
		m := j.g.bs[b]
		for k := 0; k < n; k += once {
			blocks, at := min(once, n-k), 0
			for tile := i; tile < hi; tile++ {
				_, rows, mr := j.plan.tile(tile)
				x := s.panel[(tile-i)*size+t.form.at(k*t.block, mr):]
				j.c.blocks(&s.list, m, first+k, blocks, mr, x, columns, s.y[at*ld:], ld, false)
				at += rows
			}
			j.fillZ(s, len(j.g.forms)+b, i, from+k*t.block, ld, tokens, blocks*t.block)
		}
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
	step, tiles := j.rowTiles(sec.w), ceil(n, tileRows)
	ld := (tiles + 1) * tileRows // a power of two would put rows into few sets of L1
	chunk := chunkTiles
	if tiles <= step && j.c.listed(sec.w.types, j.plan.big) && !j.joins(sec.w) {
		chunk = 1 // the weights stay in L2, so that u need not
	}
	for lo := 0; lo < j.plan.tiles(); lo += chunk {
		hi := min(lo+chunk, j.plan.tiles())
		for t := 0; t < tiles; t += step {
			y := s.u[t*tileRows:]
			j.products(s, sec, first/tileRows+t, min(step, tiles-t), lo, hi, y, ld, y, ld, false)
		}
		if j.c.diagonals(sec.a) {
			j.diagonalsOfA(s, sec, ld, first, n, lo, hi)
			continue
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
