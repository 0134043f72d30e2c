package armorfmt

import (
	"armor/kernels"
	"armor/kernels/sparse24"
	"armor/model/checkpoint"
)

// Quant is how the core is kept, none in bf16. Scales that more inputs share are
// repeated.
func (l Layout) Quant() kernels.Quant {
	if l.CoreDType == BF16 {
		return kernels.Quant{}
	}
	return kernels.Quant{Bits: Bits(l.CoreDType), Group: GroupSize}
}

// WrapperQuant is how A and B can be kept, none where they are no codes.
func (l Layout) WrapperQuant() kernels.Quant {
	if l.WrapperDType != Int8 {
		return kernels.Quant{}
	}
	return l.Int8Wrappers()
}

// Int8Wrappers is how A and B, whatever they are in the file, are kept in int8.
func (l Layout) Int8Wrappers() kernels.Quant {
	for _, group := range []int{GroupSize, HeadGroupSize} {
		if l.BlockOut%group == 0 && l.BlockIn%group == 0 {
			return kernels.Quant{Bits: 8, Group: group}
		}
	}
	return kernels.Quant{} // blocks that kernels of integers have no groups for
}

// DType is the type of the kept values.
func (c *Core) DType() string {
	if c.coded == nil {
		return BF16
	}
	return integers(c.coded.bits)
}

var _ kernels.CodedSparse = (*Core)(nil)

// Fits says whether the kept values are codes of at most that many bits, with
// scales that groups of 64 inputs share.
func (c *Core) Fits(q kernels.Quant) bool {
	return c.coded != nil && q.Group == GroupSize && (q.Bits == 8 || q.Bits == c.coded.bits)
}

// ReadCoded reads n rows from row on: codes [n, in/2], scales, f16, [n, in/64], and
// bits of package sparse24 [n, in/8]. It fails where a code, a scale or a group is not allowed, and
// where Fits holds for nothing.
func (c *Core) ReadCoded(codes []int8, scales []uint16, bits []uint8, row, n int) error {
	if c.coded == nil {
		return c.values.Errorf("codes: got %v, want int8 or int4", c.values.DType)
	}
	per := c.in / GroupSize
	if n > 0 && n <= c.out && n*per > len(scales) {
		return c.coded.scales.Errorf("destination: got %d scales, want %d rows of %d", len(scales), n, per)
	}
	if err := c.coded.read(codes, scales, row, n); err != nil {
		return err
	}
	repeat(scales[:n*per], n*c.coded.scalesPerRow())
	size := sparse24.RowBytes(c.in) // whole bytes: in is a multiple of GroupSize
	if n*size > len(bits) {
		return c.bits.Errorf("destination: got %d bytes of bits, want %d rows of %d", len(bits), n, size)
	}
	if err := c.readBits(bits[:n*size], row); err != nil {
		return err
	}
	if bad := sparse24.CheckBits(bits[:n*size]); bad >= 0 {
		r, group := bad/(2*size), bad%(2*size)
		return c.bits.Errorf("%w", sparse24.BadGroup(bits[r*size:][:size], c.in, row+r, group))
	}
	return nil
}

// repeat makes the first n scales as many as there is room for, each several times.
func repeat(scales []uint16, n int) {
	if n == 0 || len(scales) == n {
		return
	}
	times := len(scales) / n
	for i := len(scales) - 1; i >= 0; i-- {
		scales[i] = scales[i/times]
	}
}

var _ kernels.Coded = (*codedWrapper)(nil)

// codedWrapper is A or B in int8: blocks [n/b, b, b] as a matrix [n, b] with a
// scale for each row. It is comparable.
type codedWrapper struct{ m *integer }

func (w codedWrapper) Rows() int { return w.m.rows }
func (w codedWrapper) Cols() int { return w.m.cols }

// ReadRows implements kernels.Matrix.
func (w codedWrapper) ReadRows(dst []float32, row, n int) error { return w.m.readFloats(dst, row, n) }

// Release implements kernels.Matrix.
func (w codedWrapper) Release(row, n int) { w.m.release(row, n) }

// Bytes is the size of the codes and the scales.
func (w codedWrapper) Bytes() int64 { return w.m.bytes() }

// Fits says yes to 8 bits and groups that divide the block.
func (w codedWrapper) Fits(q kernels.Quant) bool {
	return q.Bits == 8 && q.Group > 0 && w.m.cols%q.Group == 0
}

// ReadCodes reads n rows: codes [n, b] and scales, f16, [n, b/group], of which the
// length says the group: a row's scale as often as there are groups.
func (w codedWrapper) ReadCodes(codes []int8, scales []uint16, row, n int) error {
	if n > 0 && len(scales)%n != 0 {
		return w.m.scales.Errorf("destination: got %d scales, want as many for each of %d rows", len(scales), n)
	}
	if err := w.m.read(codes, scales, row, n); err != nil {
		return err
	}
	repeat(scales, n)
	return nil
}

// openCodedWrapper opens A or B, blocks [n/b, b, b] of name, in int8.
func openCodedWrapper(ck *checkpoint.Checkpoint, name string, n, block int) (kernels.Matrix, error) {
	codes, err := ck.NeedType(name, checkpoint.I8, n/block, block, block)
	if err != nil {
		return nil, err
	}
	scales, err := ck.NeedType(name+"_scales", checkpoint.F16, n)
	if err != nil {
		return nil, err
	}
	return codedWrapper{&integer{codes: codes, scales: scales, rows: n, cols: block, bits: 8, each: block}}, nil
}
