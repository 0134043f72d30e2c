package block

import "armor/kernels/ref"

// Pairs is what the descent needs of a Gram matrix gb [cols, cols] again for
// every row.
type Pairs struct {
	cols int
	diag []float32 // [4, cols]: gb[c, c^j] at [j, c], the 4×4 diagonal blocks
	inv  []float32 // [cols/4, 3, 8]: elements pp, pq, qq of gb_pq⁻¹ for the six masks, the last thrice
}

// NewPairs prepares the symmetric positive semidefinite gb [cols, cols]; cols is
// a multiple of 4. Pairs of columns that nearly depend on each other are
// solved as one column, so that no gain is predicted that does not come.
func (m Math) NewPairs(gb []float32, ldgb, cols int) *Pairs {
	p := new(Pairs)
	p.Reset(gb, ldgb, cols)
	return p
}

// Reset prepares p for another gb.
func (p *Pairs) Reset(gb []float32, ldgb, cols int) {
	if cols%4 != 0 {
		panic("block: a 2:4 row wants a multiple of 4 columns")
	}
	p.cols = cols
	p.diag, p.inv = sized(p.diag, 4*cols), sized(p.inv, 6*cols)
	for c := range cols {
		for j := range 4 {
			p.diag[j*cols+c] = gb[c*ldgb+(c^j)]
		}
	}
	for k := range cols / 4 {
		inv := p.inv[24*k:][:24]
		for i := range 8 {
			pq := ref.Masks[min(i, 5)]
			a, b := 4*k+pq[0], 4*k+pq[1]
			inv[i], inv[8+i], inv[16+i] = ref.PairInverse(float64(gb[a*ldgb+a]), float64(gb[a*ldgb+b]), float64(gb[b*ldgb+b]))
		}
	}
}

// Core is a 2:4 core on its descent.
type Core struct {
	S    []float32 // [rows, cols], zeros where not kept
	LDS  int
	Mask []uint8   // [rows, cols/4]: kept pairs {0,1}, {0,2}, {0,3}, {1,2}, {1,3}, {2,3} from 0
	G    []float32 // [rows, cols], half the gradient: ga·S·gb - C
	LDG  int
	GA   []float32 // [rows, rows], symmetric positive semidefinite
	LDGA int

	Gain    float64 // by how much the loss fell
	Changed int     // groups whose mask changed
}

const (
	panel = 16 // rows whose changes are carried to the others together
	batch = 4  // cores that go through one kernel together
)

// Descend is DescendBatch of one core.
func (m Math) Descend(p *Pairs, s []float32, lds int, mask []uint8, g []float32, ldg int, ga []float32, ldga int, gb []float32, ldgb int, rows, cols int, scratch *Scratch) (gain float64, changed int) {
	c := [1]Core{{S: s, LDS: lds, Mask: mask, G: g, LDG: ldg, GA: ga, LDGA: ldga}}
	m.DescendBatch(p, c[:], gb, ldgb, rows, cols, scratch)
	return c[0].Gain, c[0].Changed
}

// DescendBatch makes one sweep over all groups of cores that share gb [cols,
// cols], symmetric positive semidefinite, of which p is. It minimises, for each
// by itself,
//
//	tr(Sᵀ·ga·S·gb) - 2·tr(Sᵀ·C)
//
// and sets its Gain and Changed. G is used up: it is not the gradient
// afterwards. Four cores together take less time than each alone, with the
// same results.
//
// Rows go in order, and the groups of a row in order: each gets the mask and
// values that are best given all else, the lowest mask at a tie, or keeps its
// own where nothing gains more. A row whose curvature ga[i, i] is not positive,
// or whose step is not finite in f32, stays.
func (m Math) DescendBatch(p *Pairs, cores []Core, gb []float32, ldgb, rows, cols int, scratch *Scratch) {
	if p.cols != cols {
		panic("block: pairs of another width")
	}
	for i := range cores {
		c := &cores[i]
		c.Gain, c.Changed = 0, 0
		if rows > 0 && cols > 0 {
			_, _, _ = c.S[(rows-1)*c.LDS+cols-1], c.G[(rows-1)*c.LDG+cols-1], c.Mask[rows*cols/4-1]
			_, _ = c.GA[(rows-1)*c.LDGA+rows-1], gb[(cols-1)*ldgb+cols-1]
		}
	}
	if rows <= 0 || cols <= 0 {
		return
	}
	scratch.reset(m, cols)
	for ; len(cores) > 0; cores = cores[min(batch, len(cores)):] {
		now := cores[:min(batch, len(cores))]
		for first := 0; first < rows; first += panel {
			last := min(first+panel, rows)
			for i := first; i < last; i++ {
				m.descendRows(p, now, gb, ldgb, cols, first, i, scratch)
			}
			if last == rows {
				break
			}
			for k := range now { // rows above are done; those below need the panel's changes
				c := &now[k]
				m.Mul(c.G[last*c.LDG:], c.LDG, Add, c.GA[last*c.LDGA+first:], c.LDGA, 1, scratch.d[k], scratch.stride, rows-last, cols, last-first)
			}
		}
	}
}

// add takes the results of row i, whose gain is in units of its curvature.
func (c *Core) add(i int, gain float64, changed int) {
	c.Gain += gain * float64(c.GA[i*c.LDGA+i])
	c.Changed += changed
}

// refScratch is the plain descent's memory.
type refScratch struct {
	g, s   []float32        // [cols] of one row: its gradient over its curvature, its values before
	mask   []uint8          // [cols/4] before
	d      [batch][]float32 // [panel, cols], rows stride apart: changes of the panel's rows, times gb
	stride int
}

func (s *refScratch) reset(cols int) {
	s.g, s.s, s.mask, s.stride = sized(s.g, cols), sized(s.s, cols), sized(s.mask, cols/4), cols
	for k := range s.d {
		s.d[k] = sized(s.d[k], panel*cols)
	}
}

// descendRowsRef steps row i of each core, the panel's first row being first.
func descendRowsRef(p *Pairs, cores []Core, gb []float32, ldgb, cols, first, i int, scratch *refScratch) {
	for k := range cores {
		c, d := &cores[k], scratch.d[k]
		row, masks, own := c.S[i*c.LDS:][:cols], c.Mask[i*cols/4:][:cols/4], d[(i-first)*cols:][:cols]
		clear(own)
		curve := c.GA[i*c.LDGA+i]
		if !(curve > 0) {
			continue
		}
		grad := scratch.g
		copy(grad, c.G[i*c.LDG:])
		ref.BlockMul(grad, cols, ref.BlockAdd, c.GA[i*c.LDGA+first:], i-first, 1, d, cols, 1, cols, i-first)
		ref.Scale(grad, 1/curve)
		copy(scratch.s, row)
		copy(scratch.mask, masks)
		gain, changed := ref.DescendRow(row, masks, grad, own, gb, ldgb, p.diag, p.inv)
		if gain-gain != 0 {
			copy(row, scratch.s)
			copy(masks, scratch.mask)
			clear(own)
			continue
		}
		c.add(i, float64(gain), changed)
	}
}

// sized is a slice of n elements in x's memory if it is large enough.
func sized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}
