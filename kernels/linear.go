package kernels

import "unsafe"

// tokenPlan splits T rows into the token tiles of an instruction set: as many
// of the largest as fit, and one for the rest.
type tokenPlan struct {
	rows      int
	full, big int // full tiles of big tokens each
	last      int // tokens of the tile for the rest, 0 where nothing is left
}

func (c *CPU) plan(t denseTypes, rows int) tokenPlan { return c.planTiles(c.anyTokens(t), rows) }

// planTiles is a plan of kernels that take any number of tokens up to most, or, where
// that is 0, do not.
func (c *CPU) planTiles(most, rows int) tokenPlan {
	if most > 0 {
		return tokenPlan{rows: rows, full: rows / most, big: most, last: rows % most}
	}
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

// linearJob is one Linear, in two stages: x is normalized (or multiplied by its gate)
// and packed, by token tiles for sections that read it, by some columns at a time for
// B's, which multiply them at once; tasks of output rows run over all token tiles,
// with A at their end. Tasks of a stage do not need each other.
type linearJob struct {
	c        *CPU // the group's
	g        *group
	in       fused
	dst      *buf
	residual bool
	plan     tokenPlan
	scratch  []linearScratch // per worker

	stage   stage
	calls   int    // of Linear
	spans   []span // of the stage
	acts    []byte // token tiles of x in each of the group's forms, then of each B·x
	regions []region
}

// region is where the token tiles of one form of x, or of a B·x, lie in acts.
type region struct {
	form     form
	at, size int       // where the first tile begins, bytes of a full one
	lanes    tokenPlan // of tiles with tokens in the lanes
}

// linearScratch is one worker's.
type linearScratch struct {
	x     []float32 // [tokens of a tile, columnsPacked]: normalized
	u     []float32 // [chunkTiles·tokens, unit], or sums turned: a core's output
	sums  []float32 // [rows, tokens]: a core's output with tokens in the lanes; or see panels
	y     []float32 // [tokens, columns]: what dst cannot take in whole tiles
	panel []byte    // a tile of u for A's kernels, or pieces of x for B's
	line  []byte    // [columns]: a row on its way into quads, or see lanesLine

	scale   []float32 // [rows]: of norms
	scaleOf scaled

	list [maxList]unsafe.Pointer
}

type stage uint8

const (
	before stage = iota // cores and dense weights
	multiply
)

// span is tasks alike: each does per of the units of one form, set or section, for
// chunk of the token tiles.
type span struct {
	of           int // which form, after those which set of B's; or which section
	units, per   int
	tiles, chunk int
}

func (s *span) tasks() int { return ceil(s.units, s.per) * ceil(s.tiles, s.chunk) }

func (p *pass) Linear(dst Buf, g Group, x Buf, f Fuse) {
	j := &p.linear
	j.g, j.dst, j.residual = g.(*group), dst.(*buf), f.Residual
	in := j.in.set(x, f)
	if in != j.g.in || j.dst.cols != j.g.out || j.in.x.rows != j.dst.rows {
		want(false, j.g.name, "[%d, %d] by [%d, %d] into [%d, %d]", j.in.x.rows, in, j.g.in, j.g.out, j.dst.rows, j.dst.cols)
	}
	if j.dst.rows == 0 {
		return
	}
	j.c = j.g.c
	j.calls++
	j.plan = j.c.planTiles(j.g.most, j.dst.rows)
	j.prepare()
	for j.stage = before; j.stage <= multiply; j.stage++ {
		j.divide()
		tasks := 0
		for i := range j.spans {
			tasks += j.spans[i].tasks()
		}
		if tasks > 0 {
			p.run(j, tasks)
		}
	}
}

// divide makes the tasks of the stage.
func (j *linearJob) divide() {
	j.spans = j.spans[:0]
	tiles, workers := j.plan.tiles(), j.c.pool.workers
	switch j.stage {
	case before:
		tiled := false
		for i := range j.g.forms {
			n := tiles
			switch {
			case j.regions[i].form.lanes:
				n = ceil(j.plan.rows, lanesTokens)
			case tiled: // packed with the first
				continue
			default:
				tiled = true
			}
			j.spans = append(j.spans, j.packSpan(i, n))
		}
		for i := range j.g.sets {
			s := j.spanOf(&j.g.sets[i])
			s.of = len(j.g.forms) + i
			j.spans = append(j.spans, s)
		}
	case multiply:
		// Enough tasks that a late worker costs little, of a prefill half as many rather
		// than of few rows; whole groups of four tiles.
		chunk := ceil(ceil(j.g.out, tileRows), 8*workers)
		if tiles > 1 {
			chunk = max(chunk, min(2*chunk, 8))
		}
		chunk = max(4, roundUp(chunk, 4))
		for i := range j.g.sections {
			s := &j.g.sections[i]
			if r := &j.regions[s.x]; r.form.lanes {
				j.spans = append(j.spans, span{of: i, units: s.units(), per: j.lanesUnits(s), tiles: r.lanes.tiles(), chunk: 1})
				continue
			}
			j.spans = append(j.spans, span{of: i, units: s.units(), per: max(1, chunk*tileRows/s.unit()), tiles: tiles, chunk: tiles})
		}
	}
}

// prepare makes room.
func (j *linearJob) prepare() {
	in, tiles, big := j.g.in, j.plan.tiles(), j.plan.big
	j.regions = j.regions[:0]
	bytes := 0
	place := func(f form) {
		r := region{form: f, at: bytes}
		if r.form.lanes = f.quads && j.c.lanes(f.types, j.plan.rows); r.form.lanes {
			r.lanes = j.c.lanesPlan(f.types, j.plan.rows)
			r.size = lanesSize(f.types, in, r.lanes.big)
			bytes += r.lanes.tiles() * r.size
		} else {
			r.size = roundUp(f.size(in, big), cacheLine)
			bytes += tiles * r.size
		}
		j.regions = append(j.regions, r)
	}
	for _, f := range j.g.forms {
		place(f)
	}
	line, columns, panel, unit, scales := max(in, lanesLine), tileRows, 0, 0, 0
	xs, y, u, sums := 0, big, 0, 0 // rows of y, the sizes of the others
	for i := range j.g.after {
		place(j.g.after[i])
	}
	if len(j.g.forms) > 0 {
		scales = max(big, lanesTokens)
		xs = scales * min(in, columnsPacked)
	}
	for i := range j.g.sets {
		s := &j.g.sets[i]
		n, tokens := j.blocksPacked(s)*s.block, big*j.fills(s)
		columns, line = max(columns, j.blocksAtOnce(s)*s.block+tileRows), max(line, n)
		y, xs = max(y, tokens), max(xs, big*n)
		if j.diagonalsB(s) {
			xs = max(xs, big*columnsPacked)
		}
		panel = max(panel, j.fills(s)*roundUp(s.form.size(n, big), cacheLine))
		scales = max(scales, j.spanOf(s).chunk*big)
	}
	for i := range j.g.sections {
		s := &j.g.sections[i]
		if s.a != nil {
			n := j.unitsAtOnce(s) * s.unit()
			unit = max(unit, n+tileRows)
			panel = max(panel, s.a.form().size(n, big))
		}
		if r := &j.regions[s.x]; r.form.lanes {
			sums = max(sums, roundUp(j.lanesUnits(s)*s.unit(), tileRows)*r.lanes.big)
			u = max(u, sums)
		}
		if s.a == nil && j.joins(s.w) {
			sums = max(sums, min(j.plan.rows, chunkTiles*big)*panelSums)
		}
	}
	u = max(u, chunkTiles*big*unit)
	grow(&j.acts, bytes)
	for w := range j.scratch {
		s := &j.scratch[w]
		if !j.in.plain() {
			grow(&s.x, xs)
		}
		grow(&s.scale, scales)
		grow(&s.u, u)
		grow(&s.sums, sums)
		grow(&s.y, y*max(columns, unit+tileRows))
		grow(&s.panel, panel)
		grow(&s.line, line*4)
	}
}

func grow[T any](s *[]T, n int) {
	if n > len(*s) {
		*s = make([]T, n)
	}
}

func (j *linearJob) run(worker, task int) {
	i := 0
	for ; task >= j.spans[i].tasks(); i++ {
		task -= j.spans[i].tasks()
	}
	s := &j.spans[i]
	chunks := ceil(s.tiles, s.chunk)
	first, lo := task/chunks*s.per, task%chunks*s.chunk
	end, hi := min(first+s.per, s.units), min(lo+s.chunk, s.tiles)
	scratch := &j.scratch[worker]
	switch j.stage {
	case before:
		if b := s.of - len(j.g.forms); b >= 0 {
			j.blocksOfB(scratch, &j.g.sets[b], first, end, lo, hi)
		} else {
			j.pack(scratch, s.of, first, end, lo)
		}
	case multiply:
		sec := &j.g.sections[s.of]
		if j.regions[sec.x].form.lanes {
			j.lanesTile(scratch, sec, first, end, lo)
		} else {
			j.units(scratch, sec, first, end)
		}
	}
}

// tile is a token tile of x in the group's form i, or, from there on, of B·x.
func (j *linearJob) tile(i, tile int) []byte {
	r := &j.regions[i]
	return j.acts[r.at+tile*r.size:]
}

// units computes units first … end-1 of a section for all tokens.
func (j *linearJob) units(s *linearScratch, sec *section, first, end int) {
	unit := sec.unit()
	if j.g.bias != nil {
		j.addBias(sec.first+first*unit, sec.first+min(end*unit, sec.w.rows), 0, j.dst.rows)
	}
	if sec.a != nil {
		n := j.unitsAtOnce(sec)
		for u := first; u < end; u += n {
			j.unitsOfA(s, sec, u*unit, min(min(n, end-u)*unit, sec.w.rows-u*unit))
		}
		return
	}
	// Columns of a last, partial tile are there only where dst ends with them.
	whole := sec.w.rows / tileRows
	if sec.first%tileRows == 0 && sec.first+sec.w.rows == j.g.out {
		whole = end
	}
	step := j.rowTiles(sec.w)
	for lo := 0; lo < j.plan.tiles(); lo += chunkTiles {
		hi, row := min(lo+chunkTiles, j.plan.tiles()), lo*j.plan.big
		for t := first; t < min(end, whole); t += step {
			n, y := min(step, min(end, whole)-t), j.dst.data[row*j.dst.ld+sec.first+t*tileRows:]
			j.products(s, sec, t, n, lo, hi, s.sums, panelSums, y, j.dst.ld, j.adds())
		}
	}
	for t := max(first, whole); t < end; t++ {
		for i := range j.plan.tiles() {
			row, rows, mr := j.plan.tile(i)
			j.c.product(&s.list, sec.w, t, 1, mr, j.tile(sec.x, i), j.g.in, s.y, tileRows, false)
			j.emit(s.y, tileRows, row, rows, sec.first+t*tileRows, sec.w.rows-t*tileRows)
		}
	}
}

// adds says whether products are added to what is in dst.
func (j *linearJob) adds() bool { return j.residual || j.g.bias != nil }

// rowTiles is how many row tiles of m go over all token tiles together, so that
// the weights are read from memory once.
func (j *linearJob) rowTiles(m *packed) int {
	switch {
	case j.joins(m): // sums of many tokens stay in L2
		return maxList / 2
	case j.c.listed(m.types, j.plan.big): // a megabyte, which stays in L2
		return max(4, min(maxList, (1<<20)/m.stride()&^3))
	case j.plan.full == 0:
		return j.c.rowTiles(j.plan.last)
	default:
		return j.c.rowTiles(j.plan.big)
	}
}

// products multiplies row tiles t … t+n-1 of a section by token tiles lo … hi-1, into
// y or, with add, onto it. sums is room for panels.
func (j *linearJob) products(s *linearScratch, sec *section, t, n, lo, hi int, sums []float32, ldsums int, y []float32, ldy int, add bool) {
	m := sec.w
	if j.joins(m) {
		w := s.list[:n]
		for i := range w {
			w[i] = m.tile(t + i)
		}
		tokens := min(hi*j.plan.big, j.plan.rows) - lo*j.plan.big
		x := unsafe.Pointer(unsafe.SliceData(j.tile(sec.x, lo)))
		j.c.panels(m.sparse, w, tokens, x, m.types.pitch(j.g.in), m.in/tileLine, unsafe.SliceData(sums), ldsums, &y[0], ldy, add)
		return
	}
	for i := lo; i < hi; i++ {
		_, _, mr := j.plan.tile(i)
		j.c.product(&s.list, m, t, n, mr, j.tile(sec.x, i), j.g.in, y[(i-lo)*j.plan.big*ldy:], ldy, add)
	}
}

// panelSums is from one token's sums to the next's: a power of two would put them
// into few places of a cache.
const panelSums = (maxList + 1) * tileRows

// joins says whether token tiles of what m multiplies go together as one, on AMX:
// their rows follow one another.
func (j *linearJob) joins(m *packed) bool {
	return m.types == bf16amx && m.in%tileLine == 0 && j.plan.rows > tileRows
}

// emit puts columns of y [rows, ld] into dst.
func (j *linearJob) emit(y []float32, ld, row, rows, column, columns int) {
	for r := range rows {
		to := j.dst.data[(row+r)*j.dst.ld+column:][:columns]
		if j.adds() {
			j.c.add(to, y[r*ld:][:columns])
		} else {
			copy(to, y[r*ld:])
		}
	}
}

// addBias puts the bias where the products will be added: columns from … to-1 of
// rows lo … hi-1.
func (j *linearJob) addBias(from, to, lo, hi int) {
	for r := lo; r < hi; r++ {
		row := j.dst.data[r*j.dst.ld:][from:to]
		if j.residual {
			j.c.add(row, j.g.bias[from:to])
		} else {
			copy(row, j.g.bias[from:to])
		}
	}
}
