package kernels

import (
	"unsafe"

	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

// denseTypes is a pair of operand types, weights first.
type denseTypes uint8

const (
	f32f32 denseTypes = iota
	bf16f32
	bf16bf16
	int8f32
	int4f32
	int8int8 // activations are integers in blocks, see package ref
	int4int8
	bf16amx // bf16bf16 by AMX: activations are rows
)

func (t denseTypes) integers() bool { return t == int8int8 || t == int4int8 }

func (t denseTypes) activationSize() int {
	if t == bf16bf16 || t == bf16amx {
		return 2
	}
	return 4
}

// pitch is the inputs from a token to the next where a token tile of k inputs is
// rows: whole cache lines, of an odd number, so that tokens share no set of L1.
func (t denseTypes) pitch(k int) int {
	if t == bf16amx {
		return (ceil(k, tileLine) | 1) * tileLine
	}
	return k
}

const tileLine = 32 // inputs of a row of an AMX tile

// at is the byte of a token tile where input k begins.
func (t denseTypes) at(k, mr int) int {
	if t == bf16amx {
		return k * t.activationSize()
	}
	return k * mr * t.activationSize()
}

// denseTypes is the pair that runs for weights of so many bits: bf16 activations
// only where the processor multiplies them, integer ones where activations may be
// rounded.
func (c *CPU) denseTypes(bits int) denseTypes {
	switch {
	case bits == 32:
		return f32f32
	case bits == 8 && c.compute == F32:
		return int8f32
	case bits == 4 && c.compute == F32:
		return int4f32
	case bits == 8:
		return int8int8
	case bits == 4:
		return int4int8
	case c.compute == BF16 && c.isa == AMX:
		return bf16amx
	case c.compute == BF16 && c.isa >= AVX512BF16:
		return bf16bf16
	default:
		return bf16f32
	}
}

// maxTokens is the largest token tile of floats, and maxIntTokens of integers.
const (
	maxTokens    = 32
	maxIntTokens = 64
)

// anyTokens is how many tokens kernels take any number up to, 0 of others.
func (c *CPU) anyTokens(t denseTypes) int {
	switch {
	case t == bf16amx:
		return maxTokens
	case c.listed(t, maxIntTokens):
		return maxIntTokens
	default:
		return 0
	}
}

// tokenTiles are the token tiles that the dense kernels come in, ascending; but
// those on AMX take any number.
func (c *CPU) tokenTiles() []int {
	switch {
	case c.isa >= AVX512:
		return tokenTiles512[:]
	case c.isa == AVX2:
		return tokenTiles256[:]
	default:
		return tokenTilesRef[:]
	}
}

var (
	tokenTiles512 = [...]int{1, 4, 12}
	tokenTiles256 = [...]int{1, 6}
	tokenTilesRef = [...]int{1, 4}
)

// rowTiles is how many row tiles the kernel of a token tile takes at once.
func (c *CPU) rowTiles(mr int) int {
	switch {
	case c.isa == Ref:
		return 1
	case mr == 1, mr == 4:
		return 4
	case mr == 12:
		return 2
	default:
		return 1
	}
}

// denseRef runs the plain Go kernels tile by tile.
func denseRef(t denseTypes, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k int, y *float32, ldy int, add bool) {
	for i := range tiles {
		out := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(y), 4*tileRows*i)), (mr-1)*ldy+tileRows)
		at := unsafe.Add(w, i*stride)
		switch t {
		case f32f32:
			ref.DenseF32F32(unsafe.Slice((*float32)(at), k*tileRows), unsafe.Slice((*float32)(x), k*mr), k, mr, out, ldy, add)
		case bf16f32:
			ref.DenseBF16F32(unsafe.Slice((*uint16)(at), 2*k*tileRows), unsafe.Slice((*float32)(x), 2*k*mr), k, mr, out, ldy, add)
		case int8f32, int4f32:
			scales, codes := ref.QuantTile(t.bits(), k*ref.QuantGroup)
			ref.DenseQuantF32(unsafe.Slice((*byte)(at), scales+codes), t.bits(), unsafe.Slice((*float32)(x), k*ref.QuantGroup*mr), k, mr, out, ldy, add)
		}
	}
}

// sparseRef is denseRef of 2:4 weights.
func sparseRef(t denseTypes, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k int, y *float32, ldy int, add bool) {
	positions, values := ref.SparseTile(t.bits(), k*sparse24.Group)
	from := unsafe.Slice((*float32)(x), k*sparse24.Group*mr)
	for i := range tiles {
		out := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(y), 4*tileRows*i)), (mr-1)*ldy+tileRows)
		at := unsafe.Slice((*uint64)(unsafe.Add(w, i*stride)), k)
		kept := unsafe.Add(w, i*stride+positions)
		if t == f32f32 {
			ref.SparseF32F32(at, unsafe.Slice((*float32)(kept), values/4), from, k, mr, out, ldy, add)
		} else {
			ref.SparseBF16F32(at, unsafe.Slice((*uint16)(kept), values/2), from, k, mr, out, ldy, add)
		}
	}
}

// intsRef is denseRef of integers; k counts blocks.
func intsRef(t denseTypes, sparse bool, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k, block int, y *float32, ldy int, add bool) {
	bits := t.bits()
	scales, codes := ref.IntTile(bits, k*block, block, sparse)
	from := unsafe.Slice((*byte)(x), k*ref.BlockRecord(block, mr))
	for i := range tiles {
		out := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(y), 4*tileRows*i)), (mr-1)*ldy+tileRows)
		ref.Int(unsafe.Slice((*byte)(unsafe.Add(w, i*stride)), scales+codes), bits, block, sparse, from, k, mr, out, ldy, add, 0)
	}
}

// activations packs rows of floats for the kernels, those of 2:4 weights or not. Tokens
// that are rows are pitch apart, from dst on. line has room for one row.
func (c *CPU) activations(t denseTypes, sparse bool, dst []byte, pitch int, src []float32, ld, rows, k, mr int, line []byte) {
	switch {
	case t == bf16amx:
		c.rows(asU16(dst), pitch, src, ld, rows, k)
	case sparse:
		c.quads(t, dst, src, ld, rows, k, mr, line)
	default:
		c.panel(t, dst, src, ld, rows, k, mr)
	}
}

// quads packs rows of src for the 2:4 kernels, see package ref. line has room
// for one row.
func (c *CPU) quads(t denseTypes, dst []byte, src []float32, ld, rows, k, mr int, line []byte) {
	size := t.activationSize()
	if rows < mr {
		clear(dst[:k*mr*size])
	}
	for i := range rows {
		row := src[i*ld:][:k]
		switch {
		case mr == 1: // a panel of one token is its row
			c.panel(t, dst, row, ld, 1, k, 1)
		case t == bf16bf16:
			c.panel(t, line, row, ld, 1, k, 1)
			ref.Quads(asU16(dst), asU16(line)[:k], i, mr)
		case t == bf16f32 && c.compute == BF16:
			c.panel(t, line, row, ld, 1, k, 1)
			ref.Quads(asF32(dst), asF32(line)[:k], i, mr)
		default:
			ref.Quads(asF32(dst), row, i, mr)
		}
	}
}
