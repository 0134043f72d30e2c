package folder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"armor/internal/parallel"
	"armor/kernels"
	"armor/kernels/block"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

// ExportDense multiplies an ARMOR folder out to an ordinary one: each pruned layer
// becomes A·S·B, summed in f32 and rounded to bf16, as are codes times scales; a
// plain core in bf16 stays exact.
func ExportDense(src, dst string, o Options) (err error) {
	ck, c, config, err := openArmor(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	return plain(ck, dst, o, config, c.Tensors(), func(w *checkpoint.Writer) error {
		for i, name := range c.Modules {
			m, err := openModule(ck, c, name)
			if err != nil {
				return err
			}
			x, err := dense(m, o.Threads)
			if err != nil {
				return fmt.Errorf("%s: module %s: %w", ck.Path, name, err)
			}
			m.Core.Release(0, m.Out)
			if err := w.Add(name+".weight", checkpoint.BF16, []int{m.Out, m.In}, halves(x)); err != nil {
				return err
			}
			o.tell(i+1, len(c.Modules), name)
		}
		return writeCoded(w, ck, c, checkpoint.BF16)
	})
}

// writeCoded writes the dense modules that the source has as codes as weights of
// floats.
func writeCoded(w *checkpoint.Writer, ck *checkpoint.Checkpoint, c *armorfmt.Config, d checkpoint.DType) error {
	for _, name := range c.QuantizedModules() {
		out, in, err := armorfmt.QuantizedShape(ck, name)
		if err != nil {
			return err
		}
		q, err := armorfmt.OpenQuantized(ck, c, name, out, in)
		if err != nil {
			return err
		}
		if err := writeMatrix(w, name+".weight", d, []int{q.Rows(), q.Cols()}, q); err != nil {
			return err
		}
	}
	return nil
}

// writeMatrix writes a matrix as floats, in pieces.
func writeMatrix(w *checkpoint.Writer, name string, d checkpoint.DType, shape []int, m kernels.Matrix) error {
	return w.Add(name, d, shape, func(dst io.Writer) error {
		step := max(1, pieceElements/m.Cols())
		for row := 0; row < m.Rows(); row += step {
			n := min(step, m.Rows()-row)
			x := make([]float32, n*m.Cols())
			if err := m.ReadRows(x, row, n); err != nil {
				return err
			}
			m.Release(row, n)
			if err := writeFloats(dst, d, x); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFloats(dst io.Writer, d checkpoint.DType, x []float32) error {
	if d == checkpoint.F32 {
		return binary.Write(dst, binary.LittleEndian, x)
	}
	half := make([]uint16, len(x))
	ref.ToBF16(half, x)
	return halves(half)(dst)
}

// openArmor opens an ARMOR folder and gives the config of its dense model.
func openArmor(src string) (*checkpoint.Checkpoint, *armorfmt.Config, []byte, error) {
	ck, err := open(src)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := armorfmt.ReadConfig(ck)
	if err == nil && c == nil {
		err = fmt.Errorf("%s: not an ARMOR folder: config.json has no key armor", ck.Path)
	}
	var config []byte
	if err == nil {
		if config, err = armorfmt.BaseConfig(ck.Config()); err != nil {
			err = fmt.Errorf("%s: %w", filepath.Join(ck.Path, "config.json"), err)
		}
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, ck.Close())
	}
	return ck, c, config, nil
}

// openModule opens a module in the shape that it has.
func openModule(ck *checkpoint.Checkpoint, c *armorfmt.Config, name string) (*armorfmt.Module, error) {
	out, in, err := armorfmt.Shape(ck, name)
	if err != nil {
		return nil, err
	}
	return armorfmt.Open(ck, c, name, out, in)
}

// halves writes bf16 numbers.
func halves(x []uint16) func(io.Writer) error {
	return func(w io.Writer) error {
		buf := make([]byte, 0, 64<<10)
		for part := range slices.Chunk(x, cap(buf)/2) {
			buf = buf[:0]
			for _, h := range part {
				buf = binary.LittleEndian.AppendUint16(buf, h)
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	}
}

// dense gives A·S·B [out, in] in bf16.
func dense(m *armorfmt.Module, threads int) ([]uint16, error) {
	out, in, high, wide := m.Out, m.In, m.Layout.BlockOut, m.Layout.BlockIn
	if m.A == nil {
		high = min(16, out)
	}
	var a, b []float32
	if m.A != nil {
		a, b = make([]float32, out*high), make([]float32, in*wide)
		if err := m.A.ReadRows(a, 0, out); err != nil {
			return nil, err
		}
		if err := m.B.ReadRows(b, 0, in); err != nil {
			return nil, err
		}
	}
	x := make([]uint16, out*in)
	math := block.New(kernels.BestISA())
	return x, parallel.Do(threads, (out+high-1)/high, func(_, j int) error {
		row := j * high
		n := min(high, out-row)
		s, err := coreRows(m, row, n)
		if err != nil {
			return err
		}
		if a != nil {
			sb := make([]float32, n*in) // S·B
			for k := 0; k < in; k += wide {
				math.Mul(sb[k:], in, block.Set, s[k:], in, 1, b[k*wide:], wide, n, wide, wide)
			}
			math.Mul(s, in, block.Set, a[row*high:], high, 1, sb, in, n, in, n)
			for i, v := range s {
				if v-v != 0 {
					return fmt.Errorf("row %d, column %d: A·S·B is %v", row+i/in, i%in, v)
				}
			}
		}
		ref.ToBF16(x[row*in:(row+n)*in], s)
		return nil
	})
}

// coreRows gives n rows of the core with its zeros, [n, in].
func coreRows(m *armorfmt.Module, row, n int) ([]float32, error) {
	values, masks := make([]float32, n*m.In/2), make([]uint8, n*m.In/4)
	if err := m.Core.ReadCore(values, masks, row, n); err != nil {
		return nil, err
	}
	s := make([]float32, n*m.In)
	sparse24.Unpack(s, values, masks) // rows are whole groups
	return s, nil
}
