package kernels

import (
	"unsafe"

	"armor/kernels/ref"
)

// With tokens in the lanes, 2:4 matrices of floats are multiplied at half a dense
// one's operations: nothing is shuffled. That wants whole vectors of tokens.
// Layouts: ref.Lanes; sums have the bits of the kernels with rows in the lanes.

const lanesTokens = ref.LanesTokens

// lanesRows bounds the rows of a core whose sums wait in L2 for the next piece.
const lanesRows = 512

// lanesVectors are the vectors of tokens that kernels come in, ascending. A piece
// of the largest is 24 KB, which stays in L1: pairs of bf16 have more to keep.
func lanesVectors(t denseTypes) []int {
	if t == bf16bf16 {
		return lanesVectorsAll[:4]
	}
	return lanesVectorsAll[:]
}

var lanesVectorsAll = [...]int{1, 2, 3, 4, lanesMost}

const lanesMost = 6

// lanesLine is the elements of a row tile's sums, turned, or of a vector of a
// piece as pairs, whichever are more.
const lanesLine = max(lanesMost*lanesTokens*tileRows, ref.LanesInputs/2*lanesTokens)

// lanes says whether 2:4 matrices of these types are multiplied with tokens in
// the lanes, where there are so many rows: those that fill a vector, and three
// quarters of all. AVX-512 wants two for f32, or it loads more than it multiplies.
// With fewer, kernels with rows in the lanes were faster.
func (c *CPU) lanes(t denseTypes, rows int) bool {
	least := lanesTokens
	switch {
	case t == bf16bf16:
	case t != f32f32 && t != bf16f32:
		return false
	case c.isa >= AVX512:
		least = 2 * lanesTokens
	}
	p := c.lanesPlan(t, rows)
	return rows >= least && 4*rows >= 3*(p.full*p.big+p.last)
}

// lanesPlan splits rows into tiles of kernels with tokens in the lanes.
func (c *CPU) lanesPlan(t denseTypes, rows int) tokenPlan {
	shapes := lanesVectors(t)
	big := shapes[len(shapes)-1] * lanesTokens
	p := tokenPlan{rows: rows, full: rows / big, big: big}
	if rest := rows % big; rest > 0 {
		i := 0
		for shapes[i]*lanesTokens < rest {
			i++
		}
		p.last = shapes[i] * lanesTokens
	}
	return p
}

// lanesSize is the bytes of a tile of tokens by k inputs.
func lanesSize(t denseTypes, k, tokens int) int {
	return ceil(k, ref.LanesInputs) * tokens / lanesTokens * ref.LanesPiece(t == bf16bf16)
}

// lanesUnits is how many units of a section a task does for one tile of tokens:
// enough tasks that a late worker costs little, but no fewer rows than make
// good for reading the activations.
func (j *linearJob) lanesUnits(sec *section) int {
	tiles := j.regions[sec.x].lanes.tiles()
	rows := j.g.out * tiles / (8 * j.c.pool.workers)
	return max(1, min(max(rows, lanesRows/4), lanesRows)/sec.unit())
}

// fillLanes packs columns from … from+k-1 of one vector of tokens into region i;
// from is whole pieces. src is [rows, ld].
func (j *linearJob) fillLanes(s *linearScratch, i, vector, from int, src []float32, ld, rows, k int) {
	r := &j.regions[i]
	pairs := r.form.types == bf16bf16
	size, most := ref.LanesPiece(pairs), r.lanes.big/lanesTokens
	tile, first := vector/most, vector%most
	_, tokens, mr := r.lanes.tile(tile)
	vectors := mr / lanesTokens
	end := first + 1
	if end*lanesTokens >= tokens { // with it, those that nobody else fills
		end = vectors
	}
	for at := 0; at < k; at += ref.LanesInputs {
		piece := j.tile(i, tile)[(from+at)/ref.LanesInputs*vectors*size:]
		n := min(ref.LanesInputs, k-at)
		for v := first; v < end; v++ {
			to := piece[v*size:][:size]
			if v > first {
				clear(to)
				continue
			}
			if pairs {
				j.c.panel(bf16bf16, s.line, src[at:], ld, rows, n, lanesTokens)
				j.c.lanesPairs(to, s.line, n)
			} else {
				j.c.panel(r.form.types, to, src[at:], ld, rows, n, lanesTokens)
			}
		}
	}
}

// lanesTile computes units first … end-1 of a section for one tile of tokens.
func (j *linearJob) lanesTile(s *linearScratch, sec *section, first, end, tile int) {
	unit, r, m := sec.unit(), &j.regions[sec.x], sec.w
	row, rows, mr := r.lanes.tile(tile)
	from, to := first*unit, min(end*unit, m.rows)
	tiles, x := ceil(to-from, tileRows), j.tile(sec.x, tile)
	size := mr / lanesTokens * ref.LanesPiece(r.form.types == bf16bf16)
	for g := 0; g < m.steps(); g += ref.LanesGroups {
		j.c.lanesPiece(m, from/tileRows, tiles, mr/lanesTokens, x[g/ref.LanesGroups*size:], g, s.sums)
	}
	ld := tiles * tileRows
	for t := range tiles {
		j.c.panel(f32f32, s.line, s.sums[t*tileRows*mr:], mr, tileRows, rows, tileRows)
		turned := asF32(s.line)
		for i := range rows {
			*(*[tileRows]float32)(s.u[i*ld+t*tileRows:]) = *(*[tileRows]float32)(turned[i*tileRows:])
		}
	}
	if j.g.bias != nil {
		j.addBias(sec.first+from, sec.first+to, row, row+rows)
	}
	if sec.a == nil {
		j.emit(s.u, ld, row, rows, sec.first+from, to-from)
		return
	}
	plan := j.c.planTiles(0, rows) // all are full but those at the end of dst
	for u := from; u < to; u += unit {
		for i := range plan.tiles() {
			at, n, mr := plan.tile(i)
			j.blocksOfA(s, sec, s.u[at*ld+u-from:], ld, u, min(unit, to-u), row+at, n, mr)
		}
	}
}

// lanesPiece multiplies row tiles first … first+tiles-1 of m by the piece of
// activations that begins with group g.
func (c *CPU) lanesPiece(m *packed, first, tiles, vectors int, x []byte, g int, sums []float32) {
	positions, _ := ref.SparseTile(m.types.bits(), m.in)
	values := positions + g*m.types.bits()*4 - 8*g // from those of the group's positions on
	k := min(ref.LanesGroups, m.steps()-g)
	_ = sums[tiles*tileRows*vectors*lanesTokens-1]
	c.lanesTiles(m.types, vectors, unsafe.Add(m.tile(first), 8*g), m.stride(), values, unsafe.Pointer(&x[0]), k, tiles, &sums[0], g > 0)
}

// lanesRef runs the plain Go kernels tile by tile.
func lanesRef(t denseTypes, vectors int, w unsafe.Pointer, stride, values int, x unsafe.Pointer, k, tiles int, sums *float32, add bool) {
	n := tileRows * vectors * lanesTokens
	from := unsafe.Slice((*float32)(x), vectors*ref.LanesInputs*lanesTokens)
	for i := range tiles {
		y := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(sums), 4*n*i)), n)
		at := unsafe.Add(w, i*stride)
		positions, kept := unsafe.Slice((*uint64)(at), k), unsafe.Add(at, values)
		if t == f32f32 {
			ref.LanesF32F32(positions, unsafe.Slice((*float32)(kept), 2*k*tileRows), from, k, vectors, y, add)
		} else {
			ref.LanesBF16F32(positions, unsafe.Slice((*uint16)(kept), 2*k*tileRows), from, k, vectors, y, add)
		}
	}
}
