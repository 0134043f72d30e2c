package armorfmt

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"

	"armor/kernels"
	"armor/kernels/sparse24"
	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// Module is one pruned module of a checkpoint: y = A·(S·(B·x)), its bias apart.
type Module struct {
	Name    string
	Out, In int
	Layout  Layout
	Core    *Core
	// A [d_out, b_out] and B [d_in, b_in] are blocks on top of one another, nil
	// where there are no wrappers. Modules that share one have equal B.
	A, B    kernels.Matrix
	SharedB string // the module that B is of, or ""
}

// Bytes are the sizes of a module, or of several.
type Bytes struct {
	Dense                           int64 // of the weights before
	Values, Index, Wrappers, Scales int64
}

// Packed is the size of all that is stored.
func (b Bytes) Packed() int64 { return b.Values + b.Index + b.Wrappers + b.Scales }

// Add adds another's sizes.
func (b *Bytes) Add(o Bytes) {
	b.Dense += o.Dense
	b.Values += o.Values
	b.Index += o.Index
	b.Wrappers += o.Wrappers
	b.Scales += o.Scales
}

// Shape reads the dense shape of a pruned module.
func Shape(ck *checkpoint.Checkpoint, module string) (out, in int, err error) {
	t, err := ck.NeedType(module+".shape", checkpoint.I64, 2, 1)
	if err != nil {
		return 0, 0, err
	}
	var shape [2]int64
	if err := t.ReadInts(shape[:], 0); err != nil {
		return 0, 0, err
	}
	for _, n := range shape {
		if n < 1 || n > math.MaxInt32 {
			return 0, 0, fmt.Errorf("%s: tensor %s: got %v, want two numbers from 1 to %d",
				ck.Path, strictjson.Name(t.Name), shape, math.MaxInt32)
		}
	}
	return int(shape[0]), int(shape[1]), nil
}

// Open finds the tensors of a pruned module and requires their types and shapes
// to be those of a matrix [out, in]. Values and bits are checked as they are read.
func Open(ck *checkpoint.Checkpoint, c *Config, module string, out, in int) (*Module, error) {
	layout, ok := c.Layout(module)
	if !ok {
		return nil, fmt.Errorf("%s: module %s: not one of key armor.modules", ck.Path, strictjson.Name(module))
	}
	gotOut, gotIn, err := Shape(ck, module)
	switch {
	case err != nil:
		return nil, err
	case gotOut != out || gotIn != in:
		return nil, fmt.Errorf("%s: tensor %s.shape: got [%d, %d], want [%d, %d]", ck.Path, module, gotOut, gotIn, out, in)
	case in%sparse24.Group != 0:
		return nil, fmt.Errorf("%s: module %s: got %d inputs, want a multiple of %d", ck.Path, module, in, sparse24.Group)
	}
	m := &Module{Name: module, Out: out, In: in, Layout: layout, Core: &Core{out: out, in: in}, SharedB: c.SharedB[module]}
	if err := m.Core.openValues(ck, module, layout); err != nil {
		return nil, err
	}
	if m.Core.bits, err = ck.NeedType(module+".bitmask", checkpoint.U8, out, sparse24.RowBytes(in)); err != nil {
		return nil, err
	}
	if layout.WrapperDType == None {
		return m, nil
	}
	if out%layout.BlockOut != 0 || in%layout.BlockIn != 0 {
		return nil, fmt.Errorf("%s: key armor.block_size: module %s: got [%d, %d], want divisors of its shape [%d, %d]",
			filepath.Join(ck.Path, "config.json"), module, layout.BlockOut, layout.BlockIn, out, in)
	}
	open := openWrapper
	if layout.WrapperDType == Int8 {
		open = openCodedWrapper
	}
	if m.A, err = open(ck, module+".A", out, layout.BlockOut); err != nil {
		return nil, err
	}
	owner := module
	if m.SharedB != "" {
		owner = m.SharedB
	}
	if m.B, err = open(ck, owner+".B", in, layout.BlockIn); err != nil {
		return nil, err
	}
	return m, nil
}

// Bytes gives the module's sizes; a shared B counts where it is stored.
func (m *Module) Bytes() Bytes {
	b := Bytes{
		Dense:  2 * int64(m.Out) * int64(m.In),
		Values: m.Core.values.Bytes(),
		Index:  m.Core.bits.Bytes() + shapeBytes,
	}
	if m.Core.coded != nil {
		b.Scales = m.Core.coded.scales.Bytes()
	}
	for _, x := range []kernels.Matrix{m.A, m.B} {
		if x == nil || x == m.B && m.SharedB != "" {
			continue
		}
		if coded, ok := x.(codedWrapper); ok {
			b.Wrappers += coded.m.codes.Bytes()
			b.Scales += coded.m.scales.Bytes()
		} else {
			b.Wrappers += x.(wrapper).Bytes()
		}
	}
	return b
}

const shapeBytes = 16 // the tensor .shape

// Core is a 2:4 matrix [d_out, d_in] in a checkpoint. Its methods are safe for
// concurrent use.
type Core struct {
	out, in int
	values  *checkpoint.Tensor // [out, in/2], or in/4 in int4
	bits    *checkpoint.Tensor // [out, ceil(in/8)]
	coded   *integer           // values as codes, or nil in bf16
}

// openValues finds .compressed and .scales.
func (c *Core) openValues(ck *checkpoint.Checkpoint, module string, l Layout) (err error) {
	name := module + ".compressed"
	if l.CoreDType == BF16 {
		c.values, err = ck.NeedType(name, checkpoint.BF16, c.out, c.in/2)
		return err
	}
	if c.in%l.Group != 0 {
		return fmt.Errorf("%s: key armor.group_size: module %s: got %d, want a divisor of its %d inputs",
			filepath.Join(ck.Path, "config.json"), module, l.Group, c.in)
	}
	d, cols := checkpoint.I8, c.in/2
	if l.CoreDType == Int4 {
		d, cols = checkpoint.U8, c.in/4
	}
	if c.values, err = ck.NeedType(name, d, c.out, cols); err != nil {
		return err
	}
	scales, err := ck.NeedType(module+".scales", checkpoint.F16, c.out, c.in/l.Group)
	c.coded = &integer{codes: c.values, scales: scales, rows: c.out, cols: c.in / 2, bits: Bits(l.CoreDType), each: l.Group / 2}
	return err
}

// Rows and Cols give the shape of the dense matrix.
func (c *Core) Rows() int { return c.out }
func (c *Core) Cols() int { return c.in }

// ReadCore reads n rows from row on: kept values [n, in/2] and for each group of
// four inputs the number of its mask [n, in/4], see package sparse24. It fails
// where a value is not finite or a group has other than two bits.
func (c *Core) ReadCore(values []float32, masks []uint8, row, n int) error {
	read := c.readValues
	if c.coded != nil {
		read = c.coded.readFloats
	}
	if err := read(values, row, n); err != nil {
		return err // also of rows that are not there, or too few values
	}
	return c.readMasks(masks, row, n)
}

func (c *Core) readValues(dst []float32, row, n int) error { return readFinite(c.values, dst, row, n) }

// readMasks reads the masks of rows that are there.
func (c *Core) readMasks(masks []uint8, row, n int) error {
	groups, size := c.in/sparse24.Group, sparse24.RowBytes(c.in)
	if n*groups > len(masks) {
		return c.bits.Errorf("destination: got %d masks, want %d rows of %d", len(masks), n, groups)
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	*buffer = slices.Grow((*buffer)[:0], n*size)
	bits := (*buffer)[:n*size]
	if err := c.readBits(bits, row); err != nil {
		return err
	}
	for i := range n {
		b := bits[i*size : (i+1)*size]
		if bad := sparse24.FromBits(masks[i*groups:(i+1)*groups], b); bad >= 0 {
			return c.bits.Errorf("%w", sparse24.BadGroup(b, c.in, row+i, bad))
		}
	}
	return nil
}

// buffers are what the bits of some rows are read into: *[]byte.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// readBits reads the bits of whole rows that are there.
func (c *Core) readBits(bits []byte, row int) error {
	return c.bits.ReadBytes(bits, int64(row)*int64(sparse24.RowBytes(c.in)))
}

// Release says that these rows are not needed again.
func (c *Core) Release(row, n int) {
	if c.coded != nil {
		c.coded.release(row, n)
	} else {
		c.values.Release(row, n)
	}
	c.bits.Release(row, n)
}

// wrapper is A or B: blocks [n/b, b, b] as a matrix [n, b]. It is comparable.
type wrapper struct{ *checkpoint.Tensor }

func openWrapper(ck *checkpoint.Checkpoint, name string, n, block int) (kernels.Matrix, error) {
	t, err := ck.NeedType(name, checkpoint.BF16, n/block, block, block)
	if err != nil {
		return nil, err
	}
	return wrapper{t}, nil
}

// ReadRows implements kernels.Matrix. It fails where a value is not finite.
func (w wrapper) ReadRows(dst []float32, row, n int) error { return readFinite(w.Tensor, dst, row, n) }

func readFinite(t *checkpoint.Tensor, dst []float32, row, n int) error {
	if err := t.ReadRows(dst, row, n); err != nil {
		return err
	}
	cols := t.Cols()
	if i := kernels.NotFinite(dst[:n*cols]); i >= 0 {
		return t.Errorf("row %d, column %d: got %v, want a finite number", row+i/cols, i%cols, dst[i])
	}
	return nil
}

func finite(v float32) bool { return math.Float32bits(v)&0x7f800000 != 0x7f800000 }
