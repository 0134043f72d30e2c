package armorfmt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"armor/kernels"
	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"

	"github.com/x448/float16"
)

// The types of numbers that a folder can hold.
const (
	BF16 = "bf16"
	Int8 = "int8"
	Int4 = "int4"
	None = "none" // of wrappers: there are none
)

// Bits is the width of a type's codes, 0 where it has none.
func Bits(dtype string) int {
	switch dtype {
	case Int8:
		return 8
	case Int4:
		return 4
	}
	return 0
}

func integers(bits int) string {
	if bits == 4 {
		return Int4
	}
	return Int8
}

const (
	// GroupSize is the least number of inputs that share a scale of a core: a
	// file's group_size is a multiple of it.
	GroupSize = 64
	// HeadGroupSize is the inputs that share a scale of a quantized dense module.
	HeadGroupSize = 32
)

// Codes are numbers that are kept as integers: each is its scale times its code,
// of which -limit … limit occur, with limit 127 or 7.
type Codes struct {
	Bits   int      // 8 or 4
	Codes  []int8   // as many as there are numbers
	Scales []uint16 // f16, finite and not negative; each of as many numbers as lie between
}

// check requires n numbers with scales of so many each.
func (c *Codes) check(n, each int) error {
	if c.Bits != 8 && c.Bits != 4 {
		return fmt.Errorf("got codes of %d bits, want 8 or 4", c.Bits)
	}
	if len(c.Codes) != n || len(c.Scales) != n/each {
		return fmt.Errorf("got %d codes and %d scales, want %d and %d", len(c.Codes), len(c.Scales), n, n/each)
	}
	if at := badCode(c.Codes, c.Bits); at >= 0 {
		return fmt.Errorf("code %d: got %d, want -%d to %d", at, c.Codes[at], limit(c.Bits), limit(c.Bits))
	}
	if at := badScale(c.Scales); at >= 0 {
		return fmt.Errorf("scale %d: got %v, want a finite number from 0 on", at, float16.Frombits(c.Scales[at]))
	}
	return nil
}

// limit is the largest code; its negative is the least: the most negative number
// of two's complement does not occur.
func limit(bits int) int8 { return int8(1<<(bits-1) - 1) }

// badCode is the first code out of range, or -1.
func badCode(codes []int8, bits int) int {
	most := limit(bits)
	for i, c := range codes {
		if c > most || c < -most {
			return i
		}
	}
	return -1
}

// badScale is the first scale that is negative, infinite or NaN, or -1.
func badScale(scales []uint16) int {
	for i, s := range scales {
		if s >= 0x7c00 {
			return i
		}
	}
	return -1
}

// integer is a tensor of codes in a file with its scales, as a matrix: row-major
// codes, one after another in I8, or two in a U8, the low nibble first.
type integer struct {
	codes, scales *checkpoint.Tensor
	rows, cols    int // of codes
	bits          int
	offset        int8 // of a nibble; 0 is two's complement
	each          int  // codes of a row that share a scale
}

func (m *integer) scalesPerRow() int { return m.cols / m.each }

// read reads n rows: codes [n, cols] and scales [n, cols/each].
func (m *integer) read(codes []int8, scales []uint16, row, n int) error {
	per := m.scalesPerRow()
	switch {
	case row < 0 || n < 0 || row > m.rows || n > m.rows-row:
		return m.codes.Errorf("rows: got %d from %d on, want within %d", n, row, m.rows)
	case n*m.cols > len(codes) || n*per > len(scales):
		return m.codes.Errorf("destination: got %d codes and %d scales, want %d rows of %d and %d", len(codes), len(scales), n, m.cols, per)
	}
	codes, scales = codes[:n*m.cols], scales[:n*per]
	raw := make([]byte, max(len(codes)*m.bits/8, 2*len(scales)))
	packed := raw[:len(codes)*m.bits/8]
	if err := m.codes.ReadBytes(packed, int64(row)*int64(m.cols*m.bits/8)); err != nil {
		return err
	}
	if m.bits == 8 {
		for i, b := range packed {
			codes[i] = int8(b)
		}
	} else {
		for i, b := range packed {
			codes[2*i], codes[2*i+1] = nibble(b&15, m.offset), nibble(b>>4, m.offset)
		}
	}
	if at := badCode(codes, m.bits); at >= 0 {
		return m.codes.Errorf("row %d, code %d: got %d, want -%d to %d", row+at/m.cols, at%m.cols, codes[at], limit(m.bits), limit(m.bits))
	}
	half := raw[:2*len(scales)]
	if err := m.scales.ReadBytes(half, 2*int64(row)*int64(per)); err != nil {
		return err
	}
	for i := range scales {
		scales[i] = binary.LittleEndian.Uint16(half[2*i:])
	}
	if at := badScale(scales); at >= 0 {
		return m.scales.Errorf("row %d, column %d: got %v, want a finite number from 0 on", row+at/per, at%per, float16.Frombits(scales[at]))
	}
	return nil
}

func nibble(b byte, offset int8) int8 {
	if offset == 0 {
		return int8(b<<4) >> 4
	}
	return int8(b) - offset
}

// readFloats reads n rows as numbers [n, cols], which f32 holds exactly.
func (m *integer) readFloats(dst []float32, row, n int) error {
	if n >= 0 && n <= m.rows && n*m.cols > len(dst) {
		return m.codes.Errorf("destination: got %d elements, want %d rows of %d", len(dst), n, m.cols)
	}
	size := max(0, min(n, m.rows)) // read refuses another n
	codes, scales := make([]int8, size*m.cols), make([]uint16, size*m.scalesPerRow())
	if err := m.read(codes, scales, row, n); err != nil {
		return err
	}
	for g, s := range scales {
		scale := float16.Frombits(s).Float32()
		for i, c := range codes[g*m.each : (g+1)*m.each] {
			dst[g*m.each+i] = scale * float32(c)
		}
	}
	return nil
}

func (m *integer) release(row, n int) {
	m.codes.Release(row, n)
	if len(m.scales.Shape) > 1 { // else they are few, and not rows
		m.scales.Release(row, n)
	}
}

func (m *integer) bytes() int64 { return m.codes.Bytes() + m.scales.Bytes() }

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
// masks [n, in/4]. It fails where a code, a scale or a group is not allowed, and
// where Fits holds for nothing.
func (c *Core) ReadCoded(codes []int8, scales []uint16, masks []uint8, row, n int) error {
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
	return c.readMasks(masks, row, n)
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

// Quantized is a dense module of a checkpoint whose weight is kept as codes:
// .q and .scales in place of .weight. Its methods are safe for concurrent use.
type Quantized struct {
	m *integer
}

var _ kernels.Coded = (*Quantized)(nil)

// QuantizedShape reads the shape of a quantized dense module.
func QuantizedShape(ck *checkpoint.Checkpoint, module string) (out, in int, err error) {
	t, ok := ck.Tensor(module + ".q")
	if !ok {
		return 0, 0, fmt.Errorf("%s: tensor %s.q: missing", ck.Path, strictjson.Name(module))
	}
	if len(t.Shape) != 2 || t.Shape[1] < 1 || t.DType != checkpoint.I8 && t.DType != checkpoint.U8 {
		return 0, 0, t.Errorf("got %v of shape %v, want a matrix in I8 or U8", t.DType, t.Shape)
	}
	out, in = t.Shape[0], t.Shape[1]
	if t.DType == checkpoint.U8 {
		in *= 2
	}
	return out, in, nil
}

// OpenQuantized finds the tensors of a dense module [out, in] that Config says is
// quantized.
func OpenQuantized(ck *checkpoint.Checkpoint, c *Config, module string, out, in int) (*Quantized, error) {
	t, ok := ck.Tensor(module + ".q")
	if !ok {
		return nil, fmt.Errorf("%s: tensor %s.q: missing", ck.Path, strictjson.Name(module))
	}
	bits := Bits(c.HeadDType)
	if !isHead(module) || bits == 0 {
		bits = 8
		if t.DType == checkpoint.U8 {
			bits = 4
		}
	}
	m := &integer{rows: out, cols: in, bits: bits, each: c.HeadGroup}
	if in%m.each != 0 {
		return nil, t.Errorf("key armor.head_group_size: got %d, want a divisor of %d inputs", m.each, in)
	}
	var err error
	if bits == 4 {
		m.offset = 8
		m.codes, err = ck.NeedType(t.Name, checkpoint.U8, out, in/2)
	} else {
		m.codes, err = ck.NeedType(t.Name, checkpoint.I8, out, in)
	}
	if err != nil {
		return nil, err
	}
	if m.scales, err = ck.NeedType(module+".scales", checkpoint.F16, out, in/m.each); err != nil {
		return nil, err
	}
	return &Quantized{m}, nil
}

// Rows and Cols give the shape.
func (q *Quantized) Rows() int { return q.m.rows }
func (q *Quantized) Cols() int { return q.m.cols }

// DType is int8 or int4.
func (q *Quantized) DType() string { return integers(q.m.bits) }

// Quant says how the numbers are kept.
func (q *Quantized) Quant() kernels.Quant { return kernels.Quant{Bits: q.m.bits, Group: q.m.each} }

// ReadRows implements kernels.Matrix.
func (q *Quantized) ReadRows(dst []float32, row, n int) error { return q.m.readFloats(dst, row, n) }

// Release implements kernels.Matrix.
func (q *Quantized) Release(row, n int) { q.m.release(row, n) }

// Fits says yes to the codes' own group and at least their bits.
func (q *Quantized) Fits(k kernels.Quant) bool {
	return k.Group == q.m.each && (k.Bits == 8 || k.Bits == q.m.bits)
}

// ReadCodes implements kernels.Coded.
func (q *Quantized) ReadCodes(codes []int8, scales []uint16, row, n int) error {
	return q.m.read(codes, scales, row, n)
}

// nibbles packs codes two to a byte, the low nibble first.
func nibbles(codes []int8, offset int8) []byte {
	b := make([]byte, len(codes)/2)
	for i := range b {
		b[i] = byte(codes[2*i]+offset)&15 | byte(codes[2*i+1]+offset)<<4
	}
	return b
}

// halfBytes are f16 numbers as a file has them.
func halfBytes(scales []uint16) []byte {
	b := make([]byte, 0, 2*len(scales))
	for _, s := range scales {
		b = binary.LittleEndian.AppendUint16(b, s)
	}
	return b
}

// codeBytes are codes as a core has them.
func (c *Codes) codeBytes() []byte {
	if c.Bits == 4 {
		return nibbles(c.Codes, 0)
	}
	b := make([]byte, len(c.Codes))
	for i, v := range c.Codes {
		b[i] = byte(v)
	}
	return b
}

// Dense writes a dense module of the source as codes: name.q and name.scales in
// place of name.weight. q has Group HeadGroupSize, and from fits it.
func (w *Writer) Dense(name string, q kernels.Quant, from kernels.Coded) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: module %s: %w", w.target.Dir, strictjson.Name(name), err)
		}
	}()
	out, in := from.Rows(), from.Cols()
	switch {
	case q.Bits != 8 && q.Bits != 4 || q.Group != HeadGroupSize || !from.Fits(q):
		return fmt.Errorf("got %+v, want codes of 8 or 4 bits in groups of %d", q, HeadGroupSize)
	case in%q.Group != 0:
		return fmt.Errorf("got %d inputs, want a multiple of %d", in, q.Group)
	case w.quantized[name] != "":
		return errors.New("it has been written already")
	}
	replaces, dense := name+".weight", 2*int64(out)*int64(in)
	if w.source.Has(name + ".q") { // of a folder that is quantized already
		replaces = name + ".q"
		w.replaced[name+".scales"] = true
	} else {
		weight, err := w.source.Need(replaces, out, in)
		if err != nil {
			return err
		}
		dense = weight.Bytes()
	}
	scales := make([]uint16, out*in/q.Group)
	d, shape := checkpoint.I8, []int{out, in}
	if q.Bits == 4 {
		d, shape = checkpoint.U8, []int{out, in / 2}
	}
	err = w.weights.Add(name+".q", d, shape, func(dst io.Writer) error {
		step := max(1, (1<<20)/in)
		for row := 0; row < out; row += step {
			n := min(step, out-row)
			c := Codes{Bits: q.Bits, Codes: make([]int8, n*in), Scales: scales[row*in/q.Group : (row+n)*in/q.Group]}
			if err := from.ReadCodes(c.Codes, c.Scales, row, n); err != nil {
				return err
			}
			if err := c.check(n*in, q.Group); err != nil {
				return fmt.Errorf("rows from %d on: %w", row, err)
			}
			packed := c.codeBytes()
			if q.Bits == 4 {
				packed = nibbles(c.Codes, 8)
			}
			if _, err := dst.Write(packed); err != nil {
				return err
			}
			from.Release(row, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.weights.Add(name+".scales", checkpoint.F16, []int{out, in / q.Group}, raw(halfBytes(scales))); err != nil {
		return err
	}
	w.replaced[replaces] = true
	w.quantized[name] = integers(q.Bits)
	w.total.BytesDense += dense
	w.total.BytesPacked += int64(out*in*q.Bits/8 + 2*len(scales))
	if name != embedding {
		w.total.Dense = append(w.total.Dense, name)
	}
	return nil
}
