package kernels

import (
	"fmt"
	"math"
	"sync"
	"unsafe"

	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

const tileRows = ref.TileRows

// packed is a matrix in tiles of 16 rows, see package ref for the layouts.
type packed struct {
	rows, in int
	types    denseTypes
	quant    int    // of quantized weights: inputs that share a scale
	sparse   bool   // 2:4
	spread   bool   // quantized 2:4 weights have positions as AVX2 wants them
	block    int    // rows that begin on a tile of their own: A's and B's blocks, or all
	w        []byte // [tiles, stride]
}

// blockTiles is the tiles of a block.
func (m *packed) blockTiles() int { return roundUp(m.block, tileRows) / tileRows }

func (m *packed) tiles() int {
	if m.rows == 0 {
		return 0
	}
	return m.rows / m.block * m.blockTiles()
}

// stride is the bytes of a tile.
func (m *packed) stride() int {
	switch {
	case m.types.integers():
		scales, codes := ref.IntTile(m.types.bits(), m.in, m.quant, m.sparse)
		return scales + codes
	case m.types.bits() <= 8:
		scales, codes := ref.QuantTile(m.types.bits(), m.in)
		return scales + codes
	case m.sparse:
		positions, values := ref.SparseTile(m.types.bits(), m.in)
		return positions + values
	default:
		return tileRows * m.in * m.types.bits() / 8
	}
}

// steps is what a kernel counts as k: inputs, pairs or groups of them.
func (m *packed) steps() int {
	switch {
	case m.types.bits() <= 8:
		return m.in / m.quant
	case m.sparse:
		return m.in / sparse24.Group
	case m.types.bits() == 32:
		return m.in
	default:
		return m.in / 2
	}
}

func (m *packed) tile(i int) unsafe.Pointer { return unsafe.Pointer(&m.w[i*m.stride()]) }

func (m *packed) tileBytes(i int) []byte {
	stride := m.stride()
	return m.w[i*stride : (i+1)*stride]
}

// at is where a row lies.
func (m *packed) at(row int) (tile, lane int) {
	r := row % m.block
	return row/m.block*m.blockTiles() + r/tileRows, r % tileRows
}

func (s *source) rows() int {
	if s.core != nil {
		return s.core.Rows()
	}
	return s.w.Rows()
}

func (s *source) release(row, n int) {
	if s.core != nil {
		s.core.Release(row, n)
	} else {
		s.w.Release(row, n)
	}
}

// packScratch is one worker's room for the rows of a task.
type packScratch struct {
	values []float32 // [rows, kept]
	codes  []int8    // [rows, kept]
	scales []uint16  // [rows, kept/group]
	masks  []uint8   // [rows, groups]
}

// sized is the first n of s, which grows where it must.
func sized[T any](s *[]T, n int) []T {
	grow(s, n)
	return (*s)[:n]
}

// pack packs a source in pieces, so that little of it is in memory.
func (c *CPU) pack(s *source, scratch []packScratch) error {
	const piece = 16 << 20
	tasks := max(1, piece/(4*packRows*s.to.in))
	for row := 0; row < s.rows(); row += tasks * packRows {
		n := min(tasks*packRows, s.rows()-row)
		j := &packJob{c: c, source: s, scratch: scratch, row: row, end: row + n}
		c.pool.run(j, (n+packRows-1)/packRows)
		if err := c.pool.err(); err != nil {
			return err
		}
		if j.err != nil {
			return j.err
		}
		s.release(row, n)
	}
	return nil
}

// packJob packs the rows row … end-1 of a source; a task is packRows of them.
// Tasks and sources may share a tile, but never the same bytes of it.
type packJob struct {
	c *CPU
	*source
	scratch  []packScratch // per worker
	row, end int

	mu  sync.Mutex
	err error
}

const packRows = 4 * tileRows

func (j *packJob) run(worker, task int) {
	row := j.row + task*packRows
	if err := j.pack(&j.scratch[worker], row, min(packRows, j.end-row)); err != nil {
		j.mu.Lock()
		j.err = err
		j.mu.Unlock()
	}
}

func (j *packJob) pack(s *packScratch, row, n int) error {
	m := j.to
	switch {
	case m.types.bits() <= 8:
		return j.packCodes(s, row, n)
	case m.sparse:
		return j.packCore(s, row, n)
	}
	rows := sized(&s.values, n*m.in)
	if err := j.w.ReadRows(rows, row, n); err != nil {
		return err
	}
	for r := 0; r < n; {
		src := rows[r*m.in:]
		at := j.first + row + r
		if tile, lane := m.at(at); lane == 0 && n-r >= tileRows && at%m.block+tileRows <= m.block {
			j.c.packTile(m.types.bits(), m.tileBytes(tile), src, tileRows, m.in)
			r += tileRows
		} else {
			m.pack(tile, lane, src[:m.in])
			r++
		}
	}
	return nil
}

// packCore packs whole tiles: a core begins with its section, and a task with a
// tile.
func (j *packJob) packCore(s *packScratch, row, n int) error {
	m := j.to
	kept, groups := m.in/2, m.in/sparse24.Group
	values, masks := sized(&s.values, n*kept), sized(&s.masks, n*groups)
	if err := j.core.ReadCore(values, masks, row, n); err != nil {
		return err
	}
	if err := j.positions(masks, row); err != nil {
		return err
	}
	for r := 0; r < n; r += tileRows {
		tile, rows := m.tileBytes((row+r)/tileRows), min(tileRows, n-r)
		positions, _ := ref.SparseTile(m.types.bits(), m.in)
		ref.PackPositions(asU64(tile)[:groups], masks[r*groups:], rows)
		j.c.packTile(m.types.bits(), tile[positions:], values[r*kept:], rows, kept)
	}
	return nil
}

// packTile packs n ≤ 16 rows [n, in]: a weight tile is laid out as a panel of 16
// tokens.
func (c *CPU) packTile(bits int, tile []byte, rows []float32, n, in int) {
	types := f32f32
	if bits == 16 {
		types = bf16bf16
	}
	c.panel(types, tile, rows, in, n, in, tileRows)
}

// positions makes masks of rows from row on positions.
func (j *packJob) positions(masks []uint8, row int) error {
	groups := j.to.in / sparse24.Group
	if bad := sparse24.CheckMasks(masks); bad >= 0 {
		return fmt.Errorf("%s: row %d, group %d: got mask %d, want 0 to %d", j.name, row+bad/groups, bad%groups, masks[bad], sparse24.Masks-1)
	}
	sparse24.ToPositions(masks, masks)
	return nil
}

// packCodes takes the codes of a source that has them, and else rounds.
func (j *packJob) packCodes(s *packScratch, row, n int) error {
	m := j.to
	kept, group := m.in, m.quant // of a row, and those that share a scale
	if m.sparse {
		kept, group = kept/2, group/2
	}
	codes, scales := sized(&s.codes, n*kept), sized(&s.scales, n*kept/group)
	masks := sized(&s.masks, n*m.in/sparse24.Group)
	if err := j.readCodes(s, codes, scales, masks, row, n, group); err != nil {
		return err
	}
	blocks := kept / group
	if m.sparse {
		if err := j.positions(masks, row); err != nil {
			return err
		}
	}
	for r := range n {
		tile, lane := m.at(j.first + row + r)
		to, codes, scales := m.tileBytes(tile), codes[r*kept:][:kept], scales[r*blocks:][:blocks]
		switch {
		case !m.types.integers():
			ref.PackQuant(to, m.types.bits(), lane, codes, scales)
		case !m.sparse:
			ref.PackInt(to, m.types.bits(), m.quant, lane, codes, scales)
		case m.spread:
			ref.PackIntSparseSpread(to, m.types.bits(), lane, codes, masks[r*m.in/sparse24.Group:][:m.in/sparse24.Group], scales)
		default:
			ref.PackIntSparse(to, m.types.bits(), lane, codes, masks[r*m.in/sparse24.Group:][:m.in/sparse24.Group], scales)
		}
	}
	return nil
}

// readCodes fills codes, scales of group codes each, and of a core the masks.
func (j *packJob) readCodes(s *packScratch, codes []int8, scales []uint16, masks []uint8, row, n, group int) error {
	m := j.to
	quant := Quant{m.types.bits(), m.quant}
	if coded, ok := j.core.(CodedSparse); ok && coded.Fits(quant) {
		return coded.ReadCoded(codes, scales, masks, row, n)
	}
	if coded, ok := j.w.(Coded); ok && coded.Fits(quant) {
		return coded.ReadCodes(codes, scales, row, n)
	}
	values := sized(&s.values, len(codes))
	var err error
	if m.sparse {
		err = j.core.ReadCore(values, masks, row, n)
	} else {
		err = j.w.ReadRows(values, row, n)
	}
	if err != nil {
		return err
	}
	if done := j.c.quantizeWeights(codes, scales, values, group, m.types.bits()); done < len(scales) {
		return fmt.Errorf("%s: row %d holds values that cannot be quantized", j.name, row+done*n/len(scales))
	}
	return nil
}

// pack puts one row of floats into its lane.
func (m *packed) pack(tile, lane int, src []float32) {
	mem := m.tileBytes(tile)
	if m.types.bits() == 32 {
		dst := asF32(mem)[lane:]
		for i, v := range src {
			dst[i*tileRows] = v
		}
		return
	}
	dst := asU32(mem)[lane:]
	for i := 0; i+1 < len(src); i += 2 {
		dst[i/2*tileRows] = uint32(ref.BF16Bits(src[i])) | uint32(ref.BF16Bits(src[i+1]))<<16
	}
}

// unpack reads one row back.
func (m *packed) unpack(dst []float32, row int) {
	tile, lane := m.at(row)
	mem := m.tileBytes(tile)
	switch m.types.bits() {
	case 32:
		src := asF32(mem)[lane:]
		for i := range dst {
			dst[i] = src[i*tileRows]
		}
	case 16:
		src := asU32(mem)[lane:]
		for i := 0; i+1 < len(dst); i += 2 {
			pair := src[i/2*tileRows]
			dst[i] = math.Float32frombits(pair << 16)
			dst[i+1] = math.Float32frombits(pair & 0xffff0000)
		}
	default:
		if !m.types.integers() {
			ref.UnpackQuant(dst, mem, m.types.bits(), lane)
			return
		}
		ref.UnpackInt(dst, mem, m.types.bits(), m.quant, lane)
	}
}
