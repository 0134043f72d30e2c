package armorfmt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"armor/kernels"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
	"armor/model/checkpoint"

	"github.com/x448/float16"
)

// randomCodes are n codes, every allowed one among them where n is large enough,
// with scales of each, some of them zero as those of zeros are, and of 4 bits some
// negative.
func randomCodes(r *rand.Rand, bits, n, each int) *Codes {
	c := &Codes{Bits: bits, Codes: make([]int8, n), Scales: make([]uint16, n/each)}
	least, most := ref.CodeRange(bits)
	for i := range c.Codes {
		c.Codes[i] = int8(r.IntN(int(most)-int(least)+1) + int(least))
	}
	for i := range c.Scales {
		c.Scales[i] = float16.Fromfloat32(float32(math.Exp(r.NormFloat64()))).Bits()
		if bits == 4 && i%3 == 1 {
			c.Scales[i] |= 0x8000
		}
		if i%7 == 3 {
			c.Scales[i] = 0
			clear(c.Codes[i*each : (i+1)*each])
		}
	}
	return c
}

// values are scale·code, by definition.
func (c *Codes) values() []float32 {
	x := make([]float32, len(c.Codes))
	for i, v := range c.Codes {
		x[i] = float16.Frombits(c.Scales[i*len(c.Scales)/len(x)]).Float32() * float32(v)
	}
	return x
}

const u1 = "model.layers.1.mlp.up_proj" // quantized, not pruned

// codedParts prune tiny-llama at random with cores in int4 and wrappers in int8 for
// most, others for one each.
func codedParts(t testing.TB, ck *checkpoint.Checkpoint) (all []*Parts) {
	r := rand.New(rand.NewPCG(11, 11))
	for _, name := range linears() {
		p := randomParts(t, ck, name, r)
		bits := 4
		switch name {
		case v1, u1:
			continue
		case v0:
			bits = 8
		case o0: // plain, in int4
			p.A, p.B = nil, nil
		}
		if p.In%GroupSize == 0 {
			p.Core, p.Values = randomCodes(r, bits, len(p.Values), GroupSize/2), nil
		}
		if p.A != nil && name != v0 {
			p.CodesA, p.A = randomCodes(r, 8, len(p.A), p.BlockOut), nil
			p.CodesB, p.B = randomCodes(r, 8, len(p.B), p.BlockIn), nil
		}
		if name == k0 {
			p.CodesB, p.SharedB = nil, q0
		}
		all = append(all, p)
	}
	return all
}

// codedMatrix is a Coded of codes in memory.
type codedMatrix struct {
	*Codes
	rows, cols int
}

func (m *codedMatrix) Rows() int                          { return m.rows }
func (m *codedMatrix) Cols() int                          { return m.cols }
func (m *codedMatrix) Release(int, int)                   {}
func (m *codedMatrix) ReadRows([]float32, int, int) error { panic("not asked for") }
func (m *codedMatrix) Fits(q kernels.Quant) bool          { return q == kernels.Quant{Bits: m.Bits, Group: 32} }
func (m *codedMatrix) ReadCodes(codes []int8, scales []uint16, row, n int) error {
	copy(codes, m.Codes.Codes[row*m.cols:(row+n)*m.cols])
	copy(scales, m.Scales[row*m.cols/32:(row+n)*m.cols/32])
	return nil
}

func randomMatrix(ck *checkpoint.Checkpoint, name string, bits int) *codedMatrix {
	w, _ := ck.Tensor(name + ".weight")
	n := w.Rows() * w.Cols()
	return &codedMatrix{randomCodes(rand.New(rand.NewPCG(uint64(bits), 5)), bits, n, 32), w.Rows(), w.Cols()}
}

// writeCoded writes codedParts with embedding and u1 in the given numbers of bits.
func writeCoded(t testing.TB, dir string, ck *checkpoint.Checkpoint, all []*Parts, bits, other int) *Totals {
	t.Helper()
	w, err := NewWriter(dir, ck, 0, Info{BaseModel: "tiny"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if _, err := w.Module(p); err != nil {
			t.Fatal(err)
		}
	}
	for name, bits := range map[string]int{embedding: bits, u1: other} {
		m := randomMatrix(ck, name, bits)
		if err := w.Dense(name, kernels.Quant{Bits: bits, Group: 32}, m); err != nil {
			t.Fatal(err)
		}
	}
	totals, err := w.FinishWeights()
	if err == nil {
		err = w.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

// readQuantized reads a matrix in pieces, as codes and as floats, which must agree.
func readQuantized(q *Quantized, to *Codes) error {
	per := q.Cols() / q.Quant().Group
	to.Bits = q.Quant().Bits
	for row := 0; row < q.Rows(); row += 7 {
		n := min(7, q.Rows()-row)
		c := Codes{Codes: make([]int8, n*q.Cols()), Scales: make([]uint16, n*per)}
		if err := q.ReadCodes(c.Codes, c.Scales, row, n); err != nil {
			return err
		}
		x := make([]float32, n*q.Cols())
		if err := q.ReadRows(x, row, n); err != nil {
			return err
		}
		if !slices.Equal(x, c.values()) {
			return fmt.Errorf("rows from %d on: floats are not scale·code", row)
		}
		to.Codes, to.Scales = append(to.Codes, c.Codes...), append(to.Scales, c.Scales...)
	}
	q.Release(0, q.Rows())
	return nil
}

// Codes and scales come back as they were, and floats are exactly scale·code.
func TestCodedRoundTrip(t *testing.T) {
	base := openFolder(t, golden+"tiny-llama")
	all := codedParts(t, base)
	for _, bits := range [][2]int{{8, 4}, {4, 8}} {
		dir := filepath.Join(t.TempDir(), "armor")
		totals := writeCoded(t, dir, base, all, bits[0], bits[1])
		ck := openFolder(t, dir)
		c, err := ReadConfig(ck)
		if err != nil {
			t.Fatal(err)
		}
		var sum Bytes
		for _, p := range all {
			m, err := Open(ck, c, p.Name, p.Out, p.In)
			if err != nil {
				t.Fatal(err)
			}
			sum.Add(m.Bytes())
			checkCore(t, m, p)
			b := p.CodesB
			if p.SharedB != "" {
				b = all[0].CodesB
			}
			checkWrapper(t, p.Name+".A", m.A, p.A, p.CodesA, p.BlockOut)
			checkWrapper(t, p.Name+".B", m.B, p.B, b, p.BlockIn)
		}
		if sum != totals.Modules {
			t.Errorf("the sizes read are %+v, those written %+v", sum, totals.Modules)
		}
		if got := c.QuantizedModules(); !slices.Equal(got, []string{embedding, u1}) || c.HeadDType != integers(bits[0]) {
			t.Errorf("quantized %v, head_dtype %s", got, c.HeadDType)
		}
		if got := slices.Sorted(slices.Values(c.Dense)); !slices.Equal(got, []string{u1, v1}) {
			t.Errorf("dense %v", got)
		}
		for i, name := range []string{embedding, u1} {
			want := randomMatrix(base, name, bits[i])
			q, err := OpenQuantized(ck, c, name, want.rows, want.cols)
			if err != nil {
				t.Fatal(err)
			}
			got := &Codes{}
			if err := readQuantized(q, got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want.Codes) {
				t.Errorf("%s comes back otherwise", name)
			}
			for _, k := range []int{4, 8} {
				if fits := q.Fits(kernels.Quant{Bits: k, Group: 32}); fits != (k >= bits[i]) {
					t.Errorf("%s of %d bits fits %d: %v", name, bits[i], k, fits)
				}
			}
			if q.Fits(kernels.Quant{Bits: 8, Group: 64}) {
				t.Errorf("%s fits another group", name)
			}
		}
		var packed int64
		for _, name := range ck.Names() {
			x, _ := ck.Tensor(name)
			packed += x.Bytes()
		}
		if packed != totals.BytesPacked {
			t.Errorf("%d bytes of tensors, %d reported", packed, totals.BytesPacked)
		}
		checkSection(t, ck.Config())
	}
}

// checkSection requires the usual layout to be the section's own.
func checkSection(t *testing.T, config []byte) {
	t.Helper()
	var text struct {
		Armor struct {
			CoreDType string `json:"core_dtype"`
			Group     int    `json:"group_size"`
			Head      int    `json:"head_group_size"`
			Overrides map[string]map[string]any
		}
	}
	if err := json.Unmarshal(config, &text); err != nil {
		t.Fatal(err)
	}
	if a := text.Armor; a.CoreDType != Int4 || a.Group != 64 || a.Head != 32 || a.Overrides[v0]["core_dtype"] != Int8 ||
		a.Overrides[v0]["wrapper_dtype"] != BF16 || a.Overrides[d1]["core_dtype"] != BF16 || a.Overrides[o0]["wrapper_dtype"] != None {
		t.Errorf("got %+v", text.Armor)
	}
}

func checkCore(t *testing.T, m *Module, p *Parts) {
	t.Helper()
	want := p.Values
	if p.Core != nil {
		want = p.Core.values()
	}
	values, masks := make([]float32, len(want)), make([]uint8, len(p.Masks))
	if err := m.Core.ReadCore(values, masks, 0, p.Out); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(values, want) || !slices.Equal(masks, p.Masks) {
		t.Errorf("%s: the core comes back otherwise", p.Name)
	}
	if fits := m.Core.Fits(kernels.Quant{Bits: 8, Group: 64}); fits != (p.Core != nil) {
		t.Errorf("%s: fits int8: %v", p.Name, fits)
	}
	if fits := m.Core.Fits(kernels.Quant{Bits: 4, Group: 64}); fits != (p.Core != nil && p.Core.Bits == 4) {
		t.Errorf("%s: fits int4: %v", p.Name, fits)
	}
	if m.Core.Fits(kernels.Quant{}) || m.Core.Fits(kernels.Quant{Bits: 8, Group: 32}) {
		t.Errorf("%s: fits what it is not", p.Name)
	}
	codes, scales := make([]int8, p.Out*p.In/2), make([]uint16, p.Out*p.In/64)
	bits, wantBits := make([]uint8, len(masks)/2), make([]uint8, len(masks)/2)
	sparse24.ToBits(wantBits, p.Masks)
	err := m.Core.ReadCoded(codes, scales, bits, 0, p.Out)
	if p.Core == nil {
		wantLine(t, p.Name, err, "codes: got BF16, want int8 or int4")
	} else if err != nil || !slices.Equal(codes, p.Core.Codes) || !slices.Equal(scales, p.Core.Scales) || !slices.Equal(bits, wantBits) {
		t.Errorf("%s: the codes come back otherwise, error %v", p.Name, err)
	}
}

func checkWrapper(t *testing.T, name string, m kernels.Matrix, x []float32, c *Codes, block int) {
	t.Helper()
	if m == nil {
		if x != nil || c != nil {
			t.Errorf("%s: missing", name)
		}
		return
	}
	if c != nil {
		x = c.values()
	}
	got := make([]float32, len(x))
	if err := m.ReadRows(got, 0, m.Rows()); err != nil || !slices.Equal(got, x) {
		t.Errorf("%s: comes back otherwise, error %v", name, err)
	}
	coded, ok := m.(kernels.Coded)
	if fits := ok && coded.Fits(kernels.Quant{Bits: 8, Group: 8}); fits != (c != nil) {
		t.Errorf("%s: fits int8: %v", name, fits)
	}
	if c == nil {
		return
	}
	for _, group := range []int{8, 32, 48} {
		if fits := coded.Fits(kernels.Quant{Bits: 8, Group: group}); fits != (block%group == 0) {
			t.Errorf("%s: fits groups of %d: %v", name, group, fits)
		}
	}
	if coded.Fits(kernels.Quant{Bits: 4, Group: 32}) {
		t.Errorf("%s: fits int4", name)
	}
	const first, n, group = 2, 5, 8
	codes, scales := make([]int8, n*block), make([]uint16, n*block/group)
	if err := coded.ReadCodes(codes, scales, first, n); err != nil || !slices.Equal(codes, c.Codes[first*block:(first+n)*block]) {
		t.Errorf("%s: the codes come back otherwise, error %v", name, err)
	}
	for i, s := range scales {
		if want := c.Scales[first+i*group/block]; s != want {
			t.Errorf("%s: scale %d: got %x, want %x", name, i, s, want)
		}
	}
}

// A file's group may be larger than the kernels': the scales are repeated.
func TestLargerGroups(t *testing.T) {
	const out, in = 3, 256
	r := rand.New(rand.NewPCG(2, 2))
	for _, dtype := range []string{Int8, Int4} {
		c := randomCodes(r, Bits(dtype), out*in/2, 64)
		f := &folder{config: map[string]any{"model_type": "armor_llama"}, tensors: map[string]*tensor{}}
		f.config["armor"] = map[string]any{"format_version": 1, "base_model_type": "llama", "pattern": "2:4", "normalizer": "folded",
			"core_dtype": dtype, "group_size": 128, "wrapper_dtype": "none", "modules": []any{"m"}}
		bits := make([]byte, out*in/8)
		for i := range bits {
			bits[i] = 0x33
		}
		put := func(name, dtype string, data []byte, shape ...int) {
			f.tensors["m"+name] = &tensor{dtype, shape, data}
			f.order = append(f.order, "m"+name)
		}
		put(".shape", "I64", []byte{out, 0, 0, 0, 0, 0, 0, 0, 0, in >> 8, 0, 0, 0, 0, 0, 0}, 2, 1)
		if dtype == Int8 {
			put(".compressed", "I8", c.codeBytes(), out, in/2)
		} else {
			put(".compressed", "U8", c.codeBytes(), out, in/4)
		}
		put(".scales", "F16", halfBytes(c.Scales), out, in/128)
		put(".bitmask", "U8", bits, out, in/8)
		ck, err := f.open("model")
		if err != nil {
			t.Fatal(err)
		}
		config, err := ReadConfig(ck)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(ck, config, "m", out, in)
		if err != nil {
			t.Fatal(err)
		}
		codes, scales, masks := make([]int8, 2*in/2), make([]uint16, 2*in/64), make([]uint8, 2*in/4)
		if err := m.Core.ReadCoded(codes, scales, masks[:2*in/8], 1, 2); err != nil {
			t.Fatal(err)
		}
		values := make([]float32, 2*in/2)
		if err := m.Core.ReadCore(values, masks, 1, 2); err != nil {
			t.Fatal(err)
		}
		again := Codes{Codes: codes, Scales: scales}
		if !slices.Equal(codes, c.Codes[in/2:]) || !slices.Equal(again.values(), values) || !slices.Equal(values, c.values()[in/2:]) {
			t.Errorf("%s: groups of 128 come back otherwise", dtype)
		}
	}
}

// Codes of dense modules are copied with a folder, and what it says of them.
func TestCodesAreCopied(t *testing.T) {
	base := openFolder(t, golden+"tiny-llama")
	all := codedParts(t, base)
	first, again := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "again")
	writeCoded(t, first, base, all, 4, 8)
	source := openFolder(t, first)
	c, err := ReadConfig(source)
	if err != nil {
		t.Fatal(err)
	}
	config, err := BaseConfig(source.Config())
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(again, source, 0, Info{BaseModel: "tiny", Config: config})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.Replaces = c.ModuleTensors(p.Name)
		if _, err := w.Module(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = w.FinishWeights(); err == nil {
		err = w.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	copied := openFolder(t, again)
	got, err := ReadConfig(copied)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got.Dense)
	slices.Sort(c.Dense)
	if !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, want %+v", got, c)
	}
	for _, name := range source.Names() {
		a, _ := source.Tensor(name)
		b, ok := copied.Tensor(name)
		var x, y bytes.Buffer
		if !ok || a.CopyBytes(&x) != nil || b.CopyBytes(&y) != nil || !bytes.Equal(x.Bytes(), y.Bytes()) {
			t.Errorf("%s is not a copy", name)
		}
	}
}
