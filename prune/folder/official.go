package folder

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"armor/kernels/ref"
	"armor/kernels/sparse24"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// The names of the ARMOR authors' checkpoints: a config.json with compress_config,
// and for each pruned module
//
//	.A.diag_blocks [d_out/b, b, b], .B.diag_blocks [d_in/b, b, b]   or neither
//	.naive_compression_module.X [d_out·d_in/2]                      kept values, row by row
//	.naive_compression_module.sparse_mask BOOL [d_out, d_in]        what is kept
//	.normalizer.norms.0 (d_in) and .norms.1 (d_out)                 of columns and rows, or absent
const (
	official = ".naive_compression_module"
	maskName = official + ".sparse_mask"
	compress = "compress_config"
)

// ExportOfficial writes an ARMOR folder under the authors' names. All numbers stay
// as they are, codes times scales in f32; a B that modules share is written for each.
func ExportOfficial(src, dst string, o Options) (err error) {
	ck, c, config, err := openArmor(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	blocks := map[string][]int{}
	for _, name := range c.Modules {
		if l, _ := c.Layout(name); l.BlockOut > 0 {
			blocks[name] = []int{l.BlockOut, l.BlockIn}
		}
	}
	if config, err = armorfmt.SetKeys(config, map[string]any{compress: map[string]any{"pattern": "2:4", "block_size": blocks}}); err != nil {
		return err
	}
	return plain(ck, dst, o, config, c.Tensors(), func(w *checkpoint.Writer) error {
		for i, name := range c.Modules {
			m, err := openModule(ck, c, name)
			if err != nil {
				return err
			}
			if err := writeOfficial(w, ck, m); err != nil {
				return err
			}
			o.tell(i+1, len(c.Modules), name)
		}
		return writeCoded(w, ck, c, checkpoint.F32)
	})
}

func writeOfficial(w *checkpoint.Writer, ck *checkpoint.Checkpoint, m *armorfmt.Module) error {
	copyAs := func(suffix, from string, shape ...int) error {
		t, _ := ck.Tensor(from)
		if shape == nil {
			shape = t.Shape
		}
		return w.Add(m.Name+suffix, t.DType, shape, t.CopyBytes)
	}
	if high, wide := m.Layout.BlockOut, m.Layout.BlockIn; m.Layout.WrapperDType == armorfmt.Int8 {
		if err := writeMatrix(w, m.Name+".A.diag_blocks", checkpoint.F32, []int{m.Out / high, high, high}, m.A); err != nil {
			return err
		}
		if err := writeMatrix(w, m.Name+".B.diag_blocks", checkpoint.F32, []int{m.In / wide, wide, wide}, m.B); err != nil {
			return err
		}
	} else if m.A != nil {
		if err := copyAs(".A.diag_blocks", m.Name+".A"); err != nil {
			return err
		}
		owner := m.Name
		if m.SharedB != "" {
			owner = m.SharedB
		}
		if err := copyAs(".B.diag_blocks", owner+".B"); err != nil {
			return err
		}
	}
	if m.Layout.CoreDType == armorfmt.BF16 {
		if err := copyAs(official+".X", m.Name+".compressed", m.Out*m.In/2); err != nil {
			return err
		}
	} else if err := w.Add(m.Name+official+".X", checkpoint.F32, []int{m.Out * m.In / 2}, func(dst io.Writer) error { return writeCore(dst, m) }); err != nil {
		return err
	}
	if err := w.Add(m.Name+maskName, checkpoint.Bool, []int{m.Out, m.In}, func(dst io.Writer) error { return writeMask(dst, m) }); err != nil {
		return err
	}
	for i, n := range []int{m.In, m.Out} { // folded into A and B
		ones := make([]uint16, n)
		for j := range ones {
			ones[j] = ref.BF16Bits(1)
		}
		if err := w.Add(fmt.Sprintf("%s.normalizer.norms.%d", m.Name, i), checkpoint.BF16, []int{n}, halves(ones)); err != nil {
			return err
		}
	}
	return nil
}

// writeCore writes the kept values of a core in f32.
func writeCore(dst io.Writer, m *armorfmt.Module) error {
	values, masks := make([]float32, m.In/2), make([]uint8, m.In/4)
	for r := range m.Out {
		if err := m.Core.ReadCore(values, masks, r, 1); err != nil {
			return err
		}
		if err := writeFloats(dst, checkpoint.F32, values); err != nil {
			return err
		}
	}
	return nil
}

// writeMask writes a byte for each input, 1 where it is kept.
func writeMask(dst io.Writer, m *armorfmt.Module) error {
	values, masks, row := make([]float32, m.In/2), make([]uint8, m.In/4), make([]byte, m.In)
	for r := range m.Out {
		if err := m.Core.ReadCore(values, masks, r, 1); err != nil {
			return err
		}
		clear(row)
		for g, mask := range masks {
			first, second := sparse24.Places(mask)
			row[4*g+first], row[4*g+second] = 1, 1
		}
		if _, err := dst.Write(row); err != nil {
			return err
		}
	}
	return nil
}

// Import makes an ARMOR folder from one with the authors' names. Norms are folded
// into A and B, into the values where there are none; what bf16 does not hold is
// rounded.
func Import(src, dst string, o Options) (_ *Result, err error) {
	ck, err := open(src)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	keys, err := strictjson.Parse(ck.Config())
	if err == nil {
		_, err = keys.Object(compress)
	}
	var config []byte
	if err == nil {
		config, err = armorfmt.SetKeys(ck.Config(), map[string]any{compress: nil})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(ck.Path, "config.json"), err)
	}
	modules := modulesWith(ck, maskName)
	if err := onlyOfficial(ck, modules); err != nil {
		return nil, err
	}
	return toArmor(ck, dst, o, config, modules, func(module string) (*armorfmt.Parts, bool, string, error) {
		p, rounded, err := imported(ck, module)
		return p, rounded, "", err
	})
}

// onlyOfficial refuses what would be left over: tensors of pruned modules that
// Import does not read, and parts of ones that it does not know as modules.
func onlyOfficial(ck *checkpoint.Checkpoint, modules []string) error {
	known := map[string]bool{}
	for _, m := range modules {
		for _, suffix := range []string{".A.diag_blocks", ".B.diag_blocks", official + ".X", maskName,
			".normalizer.norms.0", ".normalizer.norms.1", ".bias"} {
			known[m+suffix] = true
		}
	}
	for _, name := range ck.Names() {
		own := slices.ContainsFunc(modules, func(m string) bool { return strings.HasPrefix(name, m+".") })
		if (own || strings.Contains(name, official+".") || strings.Contains(name, ".diag_blocks")) && !known[name] {
			t, _ := ck.Tensor(name)
			return t.Errorf("not expected of a compressed module")
		}
	}
	return nil
}

// imported reads a module under the authors' names.
func imported(ck *checkpoint.Checkpoint, module string) (_ *armorfmt.Parts, rounded bool, err error) {
	mask, _ := ck.Tensor(module + maskName)
	if len(mask.Shape) != 2 || mask.DType != checkpoint.Bool || mask.Shape[1]%sparse24.Group != 0 {
		return nil, false, mask.Errorf("got %v of shape %v, want BOOL [d_out, d_in] with d_in a multiple of 4", mask.DType, mask.Shape)
	}
	p := &armorfmt.Parts{Name: module, Out: mask.Shape[0], In: mask.Shape[1], Replaces: []string{mask.Name}}
	if p.Masks, err = importedMasks(mask, p.Out, p.In); err != nil {
		return nil, false, err
	}
	take := func(suffix string, shape ...int) []float32 {
		t, e := ck.Need(module+suffix, shape...)
		if err == nil {
			err = e
		}
		if err != nil {
			return nil
		}
		p.Replaces = append(p.Replaces, t.Name)
		x := make([]float32, t.Rows()*t.Cols())
		err = t.ReadRows(x, 0, t.Rows())
		return x
	}
	p.Values = take(official+".X", p.Out*p.In/2)
	block := func(suffix string, n int) (size int, x []float32) {
		t, ok := ck.Tensor(module + suffix)
		if !ok || err != nil {
			return 0, nil
		}
		if size = t.Cols(); size < 1 || n%size != 0 {
			err = t.Errorf("shape: got %v, want square blocks that divide %d", t.Shape, n)
			return 0, nil
		}
		return size, take(suffix, n/size, size, size)
	}
	p.BlockOut, p.A = block(".A.diag_blocks", p.Out)
	p.BlockIn, p.B = block(".B.diag_blocks", p.In)
	if err == nil && (p.A == nil) != (p.B == nil) {
		err = fmt.Errorf("%s: module %s: got one of A and B, want both or neither", ck.Path, module)
	}
	norm := func(suffix string, n int) []float32 {
		t, ok := ck.Tensor(module + suffix)
		if !ok || err != nil {
			return nil
		}
		if t.Rows()*t.Cols() != n {
			err = t.Errorf("shape: got %v, want %d elements", t.Shape, n)
			return nil
		}
		return take(suffix, t.Shape...)
	}
	columns, rows := norm(".normalizer.norms.0", p.In), norm(".normalizer.norms.1", p.Out)
	if err != nil {
		return nil, false, err
	}
	fold(p, columns, rows)
	for _, x := range [][]float32{p.Values, p.A, p.B} {
		for i, v := range x {
			if !armorfmt.IsBF16(v) {
				ref.RoundBF16(x[i:i+1], x[i:i+1])
				rounded = true // NaN and infinity stay so, and are refused when written
			}
		}
	}
	return p, rounded, nil
}

// fold multiplies norms of columns [In] and rows [Out], nil for none, into B and A.
func fold(p *armorfmt.Parts, columns, rows []float32) {
	for r, v := range rows {
		x := p.Values[r*p.In/2 : (r+1)*p.In/2]
		if p.A != nil {
			x = p.A[r*p.BlockOut : (r+1)*p.BlockOut]
		}
		for i := range x {
			x[i] *= v
		}
	}
	if columns == nil {
		return
	}
	if p.B != nil { // row c of a block meets the columns of its block
		for c := range p.In {
			at := c / p.BlockIn * p.BlockIn
			for i := range p.BlockIn {
				p.B[c*p.BlockIn+i] *= columns[at+i]
			}
		}
		return
	}
	for g, m := range p.Masks {
		first, second := sparse24.Places(m)
		c := g % (p.In / 4) * 4
		p.Values[2*g] *= columns[c+first]
		p.Values[2*g+1] *= columns[c+second]
	}
}

// importedMasks reads a byte for each input.
func importedMasks(t *checkpoint.Tensor, out, in int) ([]uint8, error) {
	masks := make([]uint8, out*in/4)
	row, bits := make([]byte, in), make([]byte, sparse24.RowBytes(in))
	for r := range out {
		if err := t.ReadBytes(row, int64(r)*int64(in)); err != nil {
			return nil, err
		}
		clear(bits)
		for c, v := range row {
			if v > 1 {
				return nil, t.Errorf("row %d, column %d: got %d, want 0 or 1", r, c, v)
			}
			bits[c/8] |= v << (c % 8)
		}
		if g := sparse24.FromBits(masks[r*in/4:(r+1)*in/4], bits); g >= 0 {
			return nil, t.Errorf("%w", sparse24.BadGroup(bits, in, r, g))
		}
	}
	return masks, nil
}
