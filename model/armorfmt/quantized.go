package armorfmt

import (
	"errors"
	"fmt"
	"io"

	"armor/kernels"
	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// Quantized is a dense module of a checkpoint whose weight is kept as codes:
// .q and .scales in place of .weight. Its methods are safe for concurrent use.
type Quantized struct {
	m *integer
}

var _ kernels.Coded = (*Quantized)(nil)

// quantized is the codes of a dense module.
func quantized(ck *checkpoint.Checkpoint, module string) (*checkpoint.Tensor, error) {
	t, ok := ck.Tensor(module + ".q")
	if !ok {
		return nil, fmt.Errorf("%s: tensor %s.q: missing", ck.Path, strictjson.Name(module))
	}
	return t, nil
}

// storedBits is the width of codes by the type of their tensor.
func storedBits(q *checkpoint.Tensor) int {
	if q.DType == checkpoint.U8 {
		return 4
	}
	return 8
}

// QuantizedShape reads the shape of a quantized dense module.
func QuantizedShape(ck *checkpoint.Checkpoint, module string) (out, in int, err error) {
	t, err := quantized(ck, module)
	if err != nil {
		return 0, 0, err
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
	t, err := quantized(ck, module)
	if err != nil {
		return nil, err
	}
	bits := Bits(c.HeadDType)
	if !isHead(module) || bits == 0 {
		bits = storedBits(t)
	}
	m := &integer{rows: out, cols: in, bits: bits, each: c.HeadGroup}
	if in%m.each != 0 {
		return nil, t.Errorf("key armor.head_group_size: got %d, want a divisor of %d inputs", m.each, in)
	}
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
	if err := w.note(name, q); err != nil {
		return err
	}
	w.total.BytesDense += dense
	w.total.BytesPacked += int64(out*in*q.Bits/8 + 2*len(scales))
	return nil
}

// note records a dense module that is written as codes.
func (w *Writer) note(name string, q kernels.Quant) error {
	if w.headGroup != 0 && w.headGroup != q.Group {
		return fmt.Errorf("head_group_size: got %d, want %d as others have", q.Group, w.headGroup)
	}
	w.headGroup, w.quantized[name] = q.Group, integers(q.Bits)
	if name != embedding {
		w.total.Dense = append(w.total.Dense, name)
	}
	return nil
}

// copied notes a dense module that the source has as codes.
func (w *Writer) copied(name string) error {
	_, in, err := QuantizedShape(w.source, name)
	if err != nil {
		return err
	}
	q, _ := w.source.Tensor(name + ".q")
	scales, ok := w.source.Tensor(name + ".scales")
	if !ok || scales.Cols() < 1 || in%scales.Cols() != 0 {
		return fmt.Errorf("%s: tensor %s.scales: got none that fits %s.q", w.source.Path, strictjson.Name(name), strictjson.Name(name))
	}
	return w.note(name, kernels.Quant{Bits: storedBits(q), Group: in / scales.Cols()})
}
