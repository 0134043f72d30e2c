package kernels

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"armor/kernels/fourbit"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

// packCodes takes the codes of a source that has them, and else rounds. A row's
// words are made as its lane has them, and 16 rows of them become a tile as those of
// floats do, or one goes to its lane.
func (j *packJob) packCodes(s *packScratch, row, n int) error {
	m := j.to
	kept, group := m.in, m.quant // of a row, and those that share a scale
	if m.sparse {
		kept, group = kept/2, group/2
	}
	codes, scales := sized(&s.codes, n*kept), sized(&s.scales, n*kept/group)
	var positions []uint64
	perRow := 0 // of them
	if m.sparse {
		perRow = m.in / ref.SparseBlock
		positions = sized(&s.positions, n*perRow)
	}
	if err := j.readCodes(s, codes, scales, positions, row, n, group); err != nil {
		return err
	}
	blocks := kept / group
	first, size := m.codeTile()
	per := size / (4 * tileRows)
	for r := 0; r < n; {
		at := j.first + row + r
		tile, lane := m.at(at)
		rows := 1
		if lane == 0 && n-r >= tileRows && at%m.block+tileRows <= m.block {
			rows = tileRows
		}
		mem := m.tileBytes(tile)
		packScales(asU16(mem[:first])[lane:], scales[r*blocks:][:rows*blocks], rows)
		words := m.words(s, codes[r*kept:][:rows*kept], positions[r*perRow:][:rows*perRow], rows*per)
		if rows == tileRows {
			j.c.panel(f32f32, mem[first:], floats(words), per, rows, per, tileRows)
		} else {
			lanes := asU32(mem[first:])[lane:]
			for i, w := range words {
				lanes[i*tileRows] = w
			}
		}
		r += rows
	}
	return nil
}

// codeTile is the bytes of a tile's scales, and of its codes with positions.
func (m *packed) codeTile() (scales, codes int) {
	if m.types.integers() {
		return ref.IntTile(m.types.bits(), m.in, m.quant, m.sparse)
	}
	return ref.QuantTile(m.types.bits(), m.in)
}

// packScales puts scales [rows, blocks] into lanes [blocks][16].
func packScales(lanes, scales []uint16, rows int) {
	blocks := len(scales) / rows
	for r := range rows {
		to := lanes[r:]
		for b, s := range scales[r*blocks:][:blocks] {
			to[b*tileRows] = s
		}
	}
}

// words are those of whole rows, n in all: of a 2:4 matrix two of positions before
// each block's codes; see ref.PackInt, PackIntSparse and PackQuant.
func (m *packed) words(s *packScratch, codes []int8, positions []uint64, n int) []uint32 {
	src := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(codes))), len(codes))
	bits := m.types.bits()
	if bits == 8 && !m.sparse {
		return asU32(src)
	}
	const kept = ref.SparseBlock / 2 // of a block
	words := sized(&s.words, n)
	switch dst := words; {
	case m.sparse && bits == 8:
		for i, p := range positions {
			to, from := dst[10*i:][:10], src[kept*i:][:kept]
			to[0], to[1] = uint32(p), uint32(p>>32)
			*(*[kept / 4]uint32)(to[2:]) = [kept / 4]uint32(asU32(from))
		}
	case m.sparse:
		for i, p := range positions {
			to := dst[6*i:][:2]
			to[0], to[1] = uint32(p), uint32(p>>32)
		}
		fourbit.Fold(dst[2:], 6, src)
	case m.types.integers():
		fourbit.Fold(dst, 4, src)
	default:
		for i := range dst {
			dst[i] = fourbit.Join(fourbit.Low(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}
	return words
}

// floats are words as a panel takes them: it moves them as they are.
func floats(words []uint32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(words))), len(words))
}

// readCodes fills codes, scales of group codes each, and of a core the positions.
func (j *packJob) readCodes(s *packScratch, codes []int8, scales []uint16, positions []uint64, row, n, group int) error {
	m := j.to
	quant := Quant{m.types.bits(), m.quant}
	if coded, ok := j.core.(CodedSparse); ok && coded.Fits(quant) {
		bits := sized(&s.masks, 8*len(positions))
		if err := coded.ReadCoded(codes, scales, bits, row, n); err != nil {
			return err
		}
		if g := sparse24.BitsToPositions(positions, bits); g >= 0 {
			groups := m.in / sparse24.Group
			r, size := g/groups, sparse24.RowBytes(m.in)
			return fmt.Errorf("%s: %w", j.name, sparse24.BadGroup(bits[r*size:], m.in, row+r, g%groups))
		}
		m.spreadPositions(positions)
		return nil
	}
	if coded, ok := j.w.(Coded); ok && coded.Fits(quant) {
		return coded.ReadCodes(codes, scales, row, n)
	}
	values := sized(&s.values, len(codes))
	if m.sparse {
		masks := sized(&s.masks, 16*len(positions))
		if err := j.core.ReadCore(values, masks, row, n); err != nil {
			return err
		}
		if err := j.positions(masks, row); err != nil {
			return err
		}
		sparse24.JoinPositions(positions, masks)
		m.spreadPositions(positions)
	} else if err := j.w.ReadRows(values, row, n); err != nil {
		return err
	}
	if done := j.c.quantizeWeights(codes, scales, values, group, m.types.bits()); done < len(scales) {
		return fmt.Errorf("%s: row %d holds values that cannot be quantized", j.name, row+done*n/len(scales))
	}
	return nil
}

func (m *packed) spreadPositions(positions []uint64) {
	if m.spread {
		for i, p := range positions {
			positions[i] = ref.TransposePositions(p)
		}
	}
}
