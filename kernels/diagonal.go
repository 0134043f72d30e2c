package kernels

// Blocks of A and B on AMX whose kernels take f32, which they round themselves, and any
// number of tokens.

// diagonalTiles is how many token tiles of B·x go together: a block's weights are read
// once for them.
const diagonalTiles = 2

// smallBlocks says whether there are kernels for blocks of m's size.
func (m *packed) smallBlocks() bool { return m.block == 64 || m.block == 128 }

// diagonals says whether these kernels take m.
func (c *CPU) diagonals(m *packed) bool { return m.types == bf16amx && m.smallBlocks() }

// diagonalsB says whether they take the B's of a set.
func (j *linearJob) diagonalsB(t *set) bool { return j.c.diagonals(j.g.bs[t.bs[0]]) }

// diagonalsOfB is blocksOfB. The scales of rows begin with those of tile lo.
func (j *linearJob) diagonalsOfB(s *linearScratch, t *set, first, end, lo, hi int) {
	n := columnsPacked / (diagonalTiles * t.block) // both at once stay in L2
	for ; first < end; first += n {
		n = min(n, end-first)
		from, columns := first*t.block, n*t.block
		for i := lo; i < hi; i += diagonalTiles {
			row := i * j.plan.big
			rows := min(min(hi, i+diagonalTiles)*j.plan.big, j.plan.rows) - row
			src, ld := j.in.columns(s.x, s.scale[row-lo*j.plan.big:], row, rows, from, columns)
			for _, b := range t.bs {
				m, r := j.g.bs[b], &j.regions[len(j.g.forms)+b]
				if r.form.types != bf16amx {
					j.diagonalPieces(s, t, b, first, n, i, rows, src, ld)
					continue
				}
				z := asU16(j.acts[r.at+i*r.size+r.form.at(from, 0):])
				j.c.diagonalRound(m, first, n, rows, src, ld, z, r.form.types.pitch(j.g.in))
			}
		}
	}
}

// diagonalPieces does blocks first … first+n-1 of B b for rows of src [rows, ld], from
// token tile i on, and packs what a core of integers reads.
func (j *linearJob) diagonalPieces(s *linearScratch, t *set, b, first, n, i, rows int, src []float32, ld int) {
	once := j.blocksAtOnce(t)
	ldy := once*t.block + tileRows
	for k := 0; k < n; k += once {
		columns := min(once, n-k) * t.block
		for row := 0; row < rows; row += j.plan.big {
			tokens := min(j.plan.big, rows-row)
			j.c.diagonalSums(j.g.bs[b], first+k, columns/t.block, tokens, src[row*ld+k*t.block:], ld, s.y, ldy, false)
			j.fillZ(s, len(j.g.forms)+b, i+row/j.plan.big, (first+k)*t.block, ldy, tokens, columns)
		}
	}
}

// diagonalsOfA multiplies token tiles lo … hi-1 of u [tokens, ld] by the blocks of A at
// rows first … first+n-1 of a section.
func (j *linearJob) diagonalsOfA(s *linearScratch, sec *section, ld, first, n, lo, hi int) {
	row := lo * j.plan.big
	rows := min(hi*j.plan.big, j.plan.rows) - row
	y := j.dst.data[row*j.dst.ld+sec.first+first:]
	j.c.diagonalSums(sec.a, first/sec.a.block, n/sec.a.block, rows, s.u, ld, y, j.dst.ld, j.adds())
}

// diagonalCodes says whether the kernel of small blocks of integers on AMX takes m and so
// many tokens.
func (c *CPU) diagonalCodes(m *packed, mr int) bool {
	return m.types == int8int8 && c.listed(m.types, mr) && m.smallBlocks() && m.quant == 64 && mr > tileRows
}
