package solve

import (
	"math"

	"armor/kernels/block"
	"armor/kernels/ref"

	"github.com/x448/float16"
)

// lattice is a block of numbers that are scales times codes, on their descent: it
// minimises tr(Xᵀ·ga·X·gb) − 2·tr(Xᵀ·C), for tiles of columns side by side.
type lattice struct {
	rows, cols int // of a tile
	tiles      []latticeTile
	ga         []float32 // [rows, rows], or nil for the identity: rows apart from each other
	unit       []float32 // [rows], what a scale is multiplied by, or nil for 1

	codes  *Codes
	first  int // the block's first number in codes
	stride int // numbers of a row there
	kept   int // numbers of a row of a tile
	each   int // numbers that share a scale, of one tile or of several
	levels levels
	level  func(row int) level
}

// level is how far a row of a lattice is on its way to the grid.
type level uint8

const (
	free    level = iota // its numbers are floats; it must have masks
	enters               // they were until now
	settled              // they are codes times scales
)

// latticeTile is a tile of a lattice.
type latticeTile struct {
	x    []float32 // [rows, cols], zero where nothing is kept
	g    []float32 // [rows, cols], half the gradient; used up
	gb   []float32 // [cols, cols]
	mask []uint8   // [rows, cols/4], or nil: all is kept and stays so
}

// latticeSpace is a worker's memory for lattices.
type latticeSpace struct {
	at      []uint16  // [tiles, kept], columns that are kept
	grad, v []float32 // [tiles, cols]
	q       []float32 // [cols]
	x       []float32 // [each]
	weight  []float32 // [each]
	d       []float32 // [tiles, panelRows, cols], changes of a panel's rows, times gb
	inverse []float32 // [tiles, cols], 1/gb[c, c], or 0
	pairs   []float32 // [tiles, cols/4, 6, 3], gb_pq⁻¹ of the masks: pp, pq, qq
}

// panelRows is how many rows' changes are carried to those below together.
const panelRows = 16

// descend visits each number once: it gets the best code given all others, which
// is the nearest to where its parabola has its vertex. Where there are masks, the
// two of a group get the best mask and codes together that are near the minimum.
// A row that enters gets scales that fit it, its numbers come onto the grid one
// after another, and each makes up for those before. Of a settled one scales follow,
// too: each is the f16 nearest to the best for its codes. Rows whose curvature is
// not positive are rounded to the nearest.
//
// It returns by how much the loss fell; without rows that enter it never rises.
func (l *lattice) descend(m block.Math, ws *latticeSpace) (gain float64) {
	n := len(l.tiles)
	ws.at, ws.grad, ws.v = sized(ws.at, n*l.kept), sized(ws.grad, n*l.cols), sized(ws.v, n*l.cols)
	ws.q, ws.d, ws.inverse = sized(ws.q, l.cols), sized(ws.d, n*panelRows*l.cols), sized(ws.inverse, n*l.cols)
	for t := range l.tiles {
		for c := range l.cols {
			ws.inverse[t*l.cols+c] = 0
			if v := l.tiles[t].gb[c*l.cols+c]; v > 0 {
				ws.inverse[t*l.cols+c] = 1 / v
			}
		}
		if l.tiles[t].mask != nil {
			ws.pairs = sized(ws.pairs, n*l.cols/4*18)
			l.invertPairs(ws.pairs[t*l.cols/4*18:], l.tiles[t].gb)
		}
	}
	for first := 0; first < l.rows; first += panelRows {
		last := min(first+panelRows, l.rows)
		for i := first; i < last; i++ {
			gain += l.row(m, ws, first, i, l.level(i))
		}
		if l.ga == nil || last == l.rows {
			continue
		}
		for t := range l.tiles {
			m.Mul(l.tiles[t].g[last*l.cols:], l.cols, block.Add, l.ga[last*l.rows+first:], l.rows, 1,
				ws.d[t*panelRows*l.cols:], l.cols, l.rows-last, l.cols, last-first)
		}
	}
	return gain
}

// row descends row i of a panel that begins at first.
func (l *lattice) row(m block.Math, ws *latticeSpace, first, i int, level level) (gain float64) {
	curve := float32(1)
	if l.ga != nil {
		curve = l.ga[i*l.rows+i]
	}
	alive := curve > 0
	codes := l.codes.Codes[l.first+i*l.stride:][:len(l.tiles)*l.kept]
	halves := l.codes.Scales[(l.first+i*l.stride)/l.each:][:len(codes)/l.each]
	unit := float32(1)
	if l.unit != nil {
		unit = l.unit[i]
	}
	for t := range l.tiles {
		columns(ws.at[t*l.kept:][:l.kept], l.tiles[t].mask, i*l.cols/4)
	}
	if level == enters {
		l.searchScales(ws, i, halves, unit)
	}
	for t := range l.tiles {
		tile, grad := &l.tiles[t], ws.grad[t*l.cols:][:l.cols]
		d := ws.d[t*panelRows*l.cols:][:panelRows*l.cols]
		clear(grad)
		if alive {
			copy(grad, tile.g[i*l.cols:])
			if l.ga != nil {
				m.Mul(grad, l.cols, block.Add, l.ga[i*l.rows+first:], l.rows, 1, d, l.cols, 1, l.cols, i-first)
				scale(grad, 1/curve)
			}
		}
		before := d[(i-first)*l.cols:][:l.cols]
		copy(before, grad)
		at := ws.at[t*l.kept:][:l.kept]
		x, inverse := tile.x[i*l.cols:][:l.cols], ws.inverse[t*l.cols:][:l.cols]
		for n := 0; n < l.kept; {
			g := (t*l.kept + n) / l.each
			end := min(l.kept, (g+1)*l.each-t*l.kept)
			step := unit * float16.Frombits(halves[g]).Float32()
			switch {
			case tile.mask != nil && alive:
				masks := tile.mask[i*l.cols/4:][:l.cols/4]
				gain += l.stepGroups(codes[t*l.kept:], masks, n/2, end/2, x, grad, tile.gb, ws.pairs[t*l.cols/4*18:], step, level) * float64(curve)
			case level != free:
				gain += l.stepCodes(codes[t*l.kept:], at, n, end, x, grad, inverse, tile.gb, step, alive) * float64(curve)
			}
			n = end
		}
		columns(at, tile.mask, i*l.cols/4)
	}
	if level == settled && alive {
		for g := range halves {
			gain += l.stepScale(m, ws, i, g, codes, &halves[g], unit) * float64(curve)
		}
	}
	for t := range l.tiles { // what the row's change adds to the gradient of others
		own, grad := ws.d[t*panelRows*l.cols+(i-first)*l.cols:][:l.cols], ws.grad[t*l.cols:]
		for c, v := range own {
			own[c] = grad[c] - v
		}
	}
	return gain
}

// stepCodes gives the numbers first … end-1 of a row, at columns at, their codes.
// The gain is in units of the row's curvature.
func (l *lattice) stepCodes(codes []int8, at []uint16, first, end int, x, grad, inverse, gb []float32, step float32, alive bool) (gain float64) {
	inverseStep := float32(0)
	if step != 0 {
		inverseStep = 1 / step
	}
	for n := first; n < end; n++ {
		c := int(at[n])
		code := l.levels.nearest((x[c] - grad[c]*inverse[c]) * inverseStep)
		change := step*code - x[c]
		codes[n] = int8(code)
		if change == 0 {
			continue
		}
		x[c] = step * code
		if !alive {
			continue
		}
		row := gb[c*l.cols:][:l.cols]
		gain -= float64(change) * (float64(change)*float64(row[c]) + 2*float64(grad[c]))
		add(grad, row, change)
	}
	return gain
}

// invertPairs sets inv to the inverses of gb for the pairs of each group's masks.
func (l *lattice) invertPairs(inv, gb []float32) {
	for k := range l.cols / 4 {
		for i, pq := range pairs {
			a, b := 4*k+pq[0], 4*k+pq[1]
			to := inv[18*k+3*i:]
			to[0], to[1], to[2] = ref.PairInverse(float64(gb[a*l.cols+a]), float64(gb[a*l.cols+b]), float64(gb[b*l.cols+b]))
		}
	}
}

// stepGroups gives the groups first … end-1 of a row the best mask and codes that
// rounding one of the two and then the other finds.
func (l *lattice) stepGroups(codes []int8, masks []uint8, first, end int, x, grad, gb, inverses []float32, step float32, level level) (gain float64) {
	inverseStep := float32(0)
	if step != 0 {
		inverseStep = 1 / step
	}
	for k := first; k < end; k++ {
		at := 4 * k
		v, g := (*[4]float32)(x[at:]), (*[4]float32)(grad[at:])
		var h [4][4]float32
		for c := range h {
			h[c] = [4]float32(gb[(at+c)*l.cols+at:])
		}
		var r [4]float32 // down from where the group is zero
		present := float32(0)
		for c := range r {
			r[c] = h[c][0]*v[0] + h[c][1]*v[1] + h[c][2]*v[2] + h[c][3]*v[3] - g[c]
			present += (r[c] - g[c]) * v[c]
		}
		best, pick, bestP, bestQ := present, -1, float32(0), float32(0)
		if level == enters {
			best = float32(math.Inf(-1))
		}
		for i, pq := range pairs {
			a, b := pq[0]&3, pq[1]&3
			inv := (*[3]float32)(inverses[18*k+3*i:])
			rp, rq := r[a], r[b]
			p, q := inv[0]*rp+inv[1]*rq, inv[1]*rp+inv[2]*rq
			if !(rp*p+rq*q > best) { // less on the grid
				continue
			}
			if level == free {
				best, pick, bestP, bestQ = rp*p+rq*q, i, p, q
				continue
			}
			hpp, hpq, hqq := h[a][a], h[a][b], h[b][b]
			for range 2 { // p first, then q first
				p0 := l.levels.nearest(p * inverseStep)
				q0 := float32(0)
				if hqq > 0 {
					q0 = l.levels.nearest((rq - hpq*step*p0) / hqq * inverseStep)
				}
				sp, sq := step*p0, step*q0
				if w := sp*(2*rp-hpp*sp) + sq*(2*rq-hqq*sq) - 2*hpq*sp*sq; w > best {
					best, pick, bestP, bestQ = w, i, p0, q0
					if a > b { // in the second round
						bestP, bestQ = q0, p0
					}
				}
				a, b = b, a
				p, rp, rq, hpp, hqq = q, rq, rp, hqq, hpp
			}
		}
		if pick < 0 {
			continue
		}
		p, q := bestP, bestQ
		if level != free {
			p, q = step*p, step*q
		}
		var to, change [4]float32
		to[pairs[pick][0]], to[pairs[pick][1]] = p, q
		fall := 0.0 // best - present, but for what cancels in it
		for c := range to {
			change[c] = to[c] - v[c]
			fall -= 2 * float64(change[c]) * float64(g[c])
		}
		for c, d := range change {
			fall -= float64(d) * (float64(h[c][0])*float64(change[0]) + float64(h[c][1])*float64(change[1]) +
				float64(h[c][2])*float64(change[2]) + float64(h[c][3])*float64(change[3]))
		}
		if level != enters && !(fall > 0) {
			continue
		}
		gain += fall
		masks[k] = uint8(pick)
		if level != free {
			codes[2*k], codes[2*k+1] = int8(bestP), int8(bestQ)
		}
		*v = to
		for c, d := range change {
			if d != 0 {
				add(grad, gb[(at+c)*l.cols:][:l.cols], d)
			}
		}
	}
	return gain
}

// searchScales finds scales for row i as it is.
func (l *lattice) searchScales(ws *latticeSpace, i int, halves []uint16, unit float32) {
	ws.x, ws.weight = sized(ws.x, l.each), sized(ws.weight, l.each)
	for g := range halves {
		for n := range ws.x {
			t, c := (g*l.each+n)/l.kept, int(ws.at[g*l.each+n])
			ws.x[n] = l.tiles[t].x[i*l.cols+c] / unit
			ws.weight[n] = l.tiles[t].gb[c*l.cols+c]
		}
		halves[g], _ = l.levels.half(l.levels.searchScale(ws.x, ws.weight))
	}
}

// stepScale gives the numbers of group g of row i the best scale for their codes.
func (l *lattice) stepScale(m block.Math, ws *latticeSpace, i, g int, codes []int8, to *uint16, unit float32) (gain float64) {
	from, last := g*l.each, (g+1)*l.each-1
	slope, curve := 0.0, 0.0
	for t := from / l.kept; t <= last/l.kept; t++ {
		clear(ws.q)
		for n := max(from, t*l.kept); n <= min(last, (t+1)*l.kept-1); n++ {
			ws.q[ws.at[n]] = float32(codes[n])
		}
		v, grad := ws.v[t*l.cols:][:l.cols], ws.grad[t*l.cols:][:l.cols]
		m.Mul(v, l.cols, block.Set, ws.q, l.cols, 1, l.tiles[t].gb, l.cols, 1, l.cols, l.cols)
		for c, q := range ws.q {
			slope += float64(q) * float64(grad[c])
			curve += float64(q) * float64(v[c])
		}
	}
	if !(curve > 0) {
		return 0
	}
	now := float16.Frombits(*to).Float32()
	bits, next := l.levels.half(now - float32(slope/curve)/unit)
	change := unit*next - unit*now
	gain = -float64(change) * (float64(change)*curve + 2*slope)
	if !(gain > 0) {
		return 0
	}
	*to = bits
	for t := from / l.kept; t <= last/l.kept; t++ {
		x := l.tiles[t].x[i*l.cols:][:l.cols]
		for n := max(from, t*l.kept); n <= min(last, (t+1)*l.kept-1); n++ {
			x[ws.at[n]] = unit * next * float32(codes[n])
		}
		add(ws.grad[t*l.cols:][:l.cols], ws.v[t*l.cols:], change)
	}
	return gain
}

// columns sets at to the columns that a row's masks, from group first on, keep.
func columns(at []uint16, masks []uint8, first int) []uint16 {
	if masks == nil {
		for c := range at {
			at[c] = uint16(c)
		}
		return at
	}
	for g, m := range masks[first:][:len(at)/2] {
		at[2*g], at[2*g+1] = uint16(4*g+pairs[m][0]), uint16(4*g+pairs[m][1])
	}
	return at
}

// add adds f·y to x.
func add(x, y []float32, f float32) {
	y = y[:len(x)]
	for len(x) >= 8 && len(y) >= 8 {
		a, b := (*[8]float32)(x), (*[8]float32)(y)
		a[0] += f * b[0]
		a[1] += f * b[1]
		a[2] += f * b[2]
		a[3] += f * b[3]
		a[4] += f * b[4]
		a[5] += f * b[5]
		a[6] += f * b[6]
		a[7] += f * b[7]
		x, y = x[8:], y[8:]
	}
	for i := range x {
		x[i] += f * y[i]
	}
}

func scale(x []float32, f float32) {
	for i := range x {
		x[i] *= f
	}
}

// sized is a slice of n elements in x's memory if it is large enough.
func sized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}
