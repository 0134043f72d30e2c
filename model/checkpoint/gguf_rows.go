package checkpoint

import (
	"encoding/binary"
	"unsafe"

	"armor/kernels"
	"armor/kernels/fourbit"
)

// llama.cpp rotates neighbouring rows of a head, Hugging Face row i and row
// i + head_dim/2. So the files of llama models, and only they, hold the halves of
// each head of q and k interleaved.

// storedRow is where the file has a row: row half·head_dim/2 + i of a head is
// its row 2·i + half there.
func (t *Tensor) storedRow(row, rows int) int {
	dim := rows / t.heads
	head, r := row/dim, row%dim
	half, i := r/(dim/2), r%(dim/2)
	return head*dim + 2*i + half
}

// storedRows is the range of the file's rows that holds n rows from row on: whole
// heads where they are interleaved.
func (t *Tensor) storedRows(row, n int) (first, end int) {
	if t.heads == 0 || n == 0 || len(t.Shape) == 1 {
		return row, row + n
	}
	dim := t.Rows() / t.heads
	return row / dim * dim, (row + n + dim - 1) / dim * dim
}

// readHeads is ReadRows for interleaved heads. The rows of a bias are its elements.
func (t *Tensor) readHeads(dst []float32, row, n int) error {
	if len(t.Shape) == 1 {
		stored := make([]float32, len(dst))
		if err := t.decodeAt(stored, t.begin); err != nil {
			return err
		}
		for i := range dst {
			dst[i] = stored[t.storedRow(i, len(dst))]
		}
		return nil
	}
	rows, cols := t.Rows(), t.Cols()
	for r := range n {
		if err := t.decodeAt(dst[r*cols:(r+1)*cols], t.offset(t.storedRow(row+r, rows))); err != nil {
			return err
		}
	}
	return nil
}

var _ kernels.Coded = (*Tensor)(nil)

// codeGroup is the elements that share a scale in all types with codes.
const codeGroup = 32

// Fits says whether ReadCodes gives codes of that kind, which hold the tensor's
// values exactly: Q8_0 and Q5_0 fit 8 bits in groups of 32, Q4_0 8 and 4 bits.
func (t *Tensor) Fits(q kernels.Quant) bool {
	switch {
	case q.Group != codeGroup:
		return false
	case t.DType == Q40:
		return q.Bits == 8 || q.Bits == 4
	case t.DType == Q50, t.DType == Q80:
		return q.Bits == 8
	}
	return false
}

// ReadCodes reads n rows from row on as the file has them: codes [n, Cols] and
// scales, f16, [n, Cols/32]. It fails where Fits holds for nothing.
func (t *Tensor) ReadCodes(codes []int8, scales []uint16, row, n int) error {
	rows, cols := t.Rows(), t.Cols()
	switch {
	case !t.Fits(kernels.Quant{Bits: 8, Group: codeGroup}):
		return t.errorf("codes: got %v, want Q4_0, Q5_0 or Q8_0", t.DType)
	case row < 0 || n < 0 || row > rows || n > rows-row:
		return t.errorf("rows: got %d from %d on, want within %d", n, row, rows)
	case n*cols > len(codes) || n*cols/codeGroup > len(scales):
		return t.errorf("destination: got %d codes and %d scales, want %d rows of %d", len(codes), len(scales), n, cols)
	case t.heads == 0 || len(t.Shape) == 1:
		return t.codesAt(codes[:n*cols], scales, t.offset(row))
	}
	for r := range n {
		at := t.offset(t.storedRow(row+r, rows))
		if err := t.codesAt(codes[r*cols:(r+1)*cols], scales[r*cols/codeGroup:], at); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tensor) codesAt(codes []int8, scales []uint16, off int64) error {
	_, bytes := t.DType.Block()
	return t.blocks(len(codes), off, func(src []byte, at, n int) {
		to, scales := bytesOf(codes[at:at+n]), scales[at/codeGroup:(at+n)/codeGroup]
		if t.DType == Q40 {
			fourbit.UnpackBlocks(to, scales, src)
			return
		}
		for i := range scales {
			block := src[i*bytes:][:bytes]
			scales[i] = binary.LittleEndian.Uint16(block)
			unpack((*[codeGroup]byte)(to[i*codeGroup:]), t.DType, block[2:])
		}
	})
}

// bytesOf is the memory of codes.
func bytesOf(codes []int8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(codes))), len(codes))
}
