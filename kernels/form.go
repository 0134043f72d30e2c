package kernels

import (
	"unsafe"

	"armor/kernels/ref"
)

// form is how kernels want a token tile of activations. Matrices of one form
// read the same bytes.
type form struct {
	types denseTypes // int8int8 for weights of 4 bits, too
	quads bool       // for 2:4 kernels of floats
	lanes bool       // for those of them with tokens in the lanes, see lanes.go
	block int        // of integers: inputs that share a scale
	u8    bool       // of integers: where kernels of 2:4 weights take u8
}

// form is that of what m multiplies.
func (m *packed) form() form {
	switch {
	case m.types.integers():
		return form{types: int8int8, block: m.quant, u8: m.sparse}
	case m.types == bf16amx: // rows, for both kinds of weights
		return form{types: m.types}
	default:
		return form{types: m.types, quads: m.sparse}
	}
}

// size is the bytes of a tile of mr tokens by k inputs.
func (f form) size(k, mr int) int {
	if f.types.integers() {
		return k / f.block * ref.BlockRecord(f.block, mr)
	}
	return mr * f.types.pitch(k) * f.types.activationSize()
}

// at is the byte where input k begins.
func (f form) at(k, mr int) int {
	if f.types.integers() {
		return k / f.block * ref.BlockRecord(f.block, mr)
	}
	return f.types.at(k, mr)
}

// fill packs rows of k inputs, src [rows, ld], to dst, where a tile of mr tokens
// by pitched inputs has them. line has room for one row.
func (c *CPU) fill(f form, dst []byte, pitched int, src []float32, ld, rows, k, mr int, line []byte) {
	if f.types.integers() {
		flip := 0
		switch {
		case c.listed(int8int8, mr):
			flip = noSums
		case f.u8 && c.takesU8(mr):
			flip = 0x80
		}
		c.quantizeRows(dst, src, ld, rows, k, f.block, mr, flip)
		return
	}
	c.activations(f.types, f.quads, dst, f.types.pitch(pitched), src, ld, rows, k, mr, line)
}

// noSums is for kernels that read no sums of codes: those on AMX.
const noSums = -1

// maxList bounds the row tiles that a kernel on AMX takes at once.
const maxList = 16

// product multiplies row tiles t … t+n-1 of m by a tile of mr tokens, x, which is
// of pitched inputs, into y or, with add, onto it. list is room for a call.
func (c *CPU) product(list *[maxList]unsafe.Pointer, m *packed, t, n, mr int, x []byte, pitched int, y []float32, ldy int, add bool) {
	from := unsafe.Pointer(unsafe.SliceData(x))
	if c.listed(m.types, mr) {
		for r := 0; r < n; r += len(list) {
			w := list[:min(len(list), n-r)]
			for i := range w {
				w[i] = m.tile(t + r + i)
			}
			if m.types.integers() {
				c.intTiles(m.types, m.sparse, w, mr, from, m.steps(), m.quant, &y[r*tileRows], ldy, add, len(w), 0)
			} else {
				c.tiles(m.sparse, w, mr, from, m.types.pitch(pitched), m.steps(), &y[r*tileRows], ldy, add)
			}
		}
		return
	}
	most := c.rowTiles(mr)
	for r := 0; r < n; {
		rows := 1
		if n-r >= most {
			rows = most
		}
		w, to := m.tile(t+r), &y[r*tileRows]
		switch {
		case m.types.integers():
			c.ints(m.types, m.sparse, rows, mr, w, m.stride(), from, m.steps(), m.quant, to, ldy, add)
		case m.sparse:
			c.sparse(m.types, rows, mr, w, m.stride(), from, m.steps(), to, ldy, add)
		default:
			c.dense(m.types, rows, mr, w, m.stride(), from, m.steps(), to, ldy, add)
		}
		r += rows
	}
}

// blocks multiplies blocks first … first+n-1 of a block-diagonal matrix, m, by a
// tile of mr tokens, x, where the first of these blocks' inputs begins. Rows of
// blocks that are not whole tiles overlap in y: the next one's are written later.
func (c *CPU) blocks(list *[maxList]unsafe.Pointer, m *packed, first, n, mr int, x []byte, pitched int, y []float32, ldy int, add bool) {
	tiles, f := m.blockTiles(), m.form()
	if c.diagonalCodes(m, mr) {
		c.diagonalInts(m, first, n, mr, x, y, ldy, add)
		return
	}
	if c.joinsBlocks(m, tiles, mr) {
		from := unsafe.Pointer(unsafe.SliceData(x))
		for each := maxList / tiles; n > 0; n -= each {
			w := list[:min(n, each)*tiles]
			for i := range w {
				w[i] = m.tile(first*tiles + i)
			}
			c.intTiles(m.types, false, w, mr, from, m.steps(), m.quant, &y[0], ldy, add, tiles, f.at(m.block, mr))
			first += each
			if n > each {
				from, y = unsafe.Add(from, f.at(each*m.block, mr)), y[each*m.block:]
			}
		}
		return
	}
	for k := range n {
		c.product(list, m, (first+k)*tiles, tiles, mr, x[f.at(k*m.block, mr):], pitched, y[k*m.block:], ldy, add)
	}
}

// joinsBlocks says whether the kernel of a block-diagonal matrix takes several blocks at once.
func (c *CPU) joinsBlocks(m *packed, tiles, mr int) bool {
	return c.listed(m.types, mr) && m.types.integers() && m.block%tileRows == 0 && tiles <= maxList/2
}

// listed says whether the kernel takes any number of tokens and a list of tiles.
func (c *CPU) listed(t denseTypes, mr int) bool {
	return t == bf16amx || t.integers() && c.isa == AMX && mr > 1
}

// takesU8 says whether 2:4 kernels of integers take activations as u8.
func (c *CPU) takesU8(mr int) bool {
	return c.isa >= AVX512 && !c.listed(int8int8, mr)
}
