package kernels

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

// group is a Group of the CPU.
type group struct {
	c        *CPU // whose kernels run
	name     string
	in, out  int
	sections []section // in the order of their columns
	bs       []*packed // the B's of the sections, each once
	sets     []set     // of them
	forms    []form    // those of x that sections read
	after    []form    // of what each B gives
	most     int       // tokens that all kernels take any number up to, or 0
	bias     []float32 // [out] or nil
	mem      []byte    // all weights
}

// section is neighbouring columns of a group's output: the rows of dense parts
// stacked, or one ARMOR part.
type section struct {
	first int     // column of the group
	w     *packed // W or Core, [columns, in]
	a     *packed // or nil
	b     int     // which of the group's B's is before it, or -1
	x     int     // what it reads: a form of x, or after those a B's
}

// set is B's that read x in one form and in blocks of one size: what is packed of
// x is for all of them.
type set struct {
	form  form
	block int
	bs    []int // which of the group's
}

func (g *group) Name() string { return g.name }
func (g *group) In() int      { return g.in }
func (g *group) Out() int     { return g.out }
func (g *group) Bytes() int64 { return int64(len(g.mem)) + int64(4*len(g.bias)) }

// unit is the rows of a section that are computed together: a tile, or as many
// as are whole tiles of the core and whole blocks of A.
func (s *section) unit() int {
	if s.a == nil {
		return tileRows
	}
	unit := s.a.block
	for unit%tileRows != 0 {
		unit += s.a.block
	}
	return unit
}

func (s *section) units() int { return roundUp(s.w.rows, s.unit()) / s.unit() }

// table is what an embedding reads its rows from.
func (g *group) table() (*packed, error) {
	if len(g.sections) > 1 || g.sections[0].w.sparse {
		return nil, fmt.Errorf("%s: an ARMOR layer cannot be an embedding", g.name)
	}
	return g.sections[0].w, nil
}

// kind says in words what a group is made of.
func (g *group) kind() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d inputs", g.in)
	for _, s := range g.sections {
		kind := "dense"
		if s.w.sparse {
			kind = "2:4"
		}
		fmt.Fprintf(&b, ", %d %s rows of %v", s.w.rows, kind, s.w.types)
		if s.a != nil {
			fmt.Fprintf(&b, ", A of %d, %v", s.a.block, s.a.types)
		}
		if s.b >= 0 {
			fmt.Fprintf(&b, ", B %d of %d, %v", s.b, g.bs[s.b].block, g.bs[s.b].types)
		}
	}
	if g.bias != nil {
		b.WriteString(", biased")
	}
	return b.String()
}

func (p *Part) rows() int {
	if p.Core != nil {
		return p.Core.Rows()
	}
	return p.W.Rows()
}

func (p *Part) cols() int {
	if p.Core != nil {
		return p.Core.Cols()
	}
	return p.W.Cols()
}

// check says whether a part can stand in a group that reads in inputs.
func (p *Part) check(c *CPU, in int) error {
	switch {
	case p.cols() != in:
		return fmt.Errorf("%s: got %d inputs, want the %d of its group", p.Name, p.cols(), in)
	case p.Bias != nil && len(p.Bias) != p.rows():
		return fmt.Errorf("%s: got %d biases, want %d", p.Name, len(p.Bias), p.rows())
	case in%2 != 0:
		return fmt.Errorf("%s: got %d inputs, want an even number", p.Name, in)
	case p.Core == nil && (p.A != nil || p.B != nil):
		return fmt.Errorf("%s: got A or B, want none beside dense weights", p.Name)
	case p.Core == nil:
		return p.Quant.check(p.Name, in, c.groups()...)
	case c.compute == F32 && (p.Quant != Quant{} || p.Wrappers != Quant{}):
		return fmt.Errorf("%s: got a 2:4 core or wrappers of integers, want floats where activations are f32", p.Name)
	case in%sparse24.Group != 0:
		return fmt.Errorf("%s: got %d inputs, want a multiple of %d for a 2:4 core", p.Name, in, sparse24.Group)
	}
	if err := p.Quant.check(p.Name, in, ref.SparseBlock); err != nil {
		return err
	}
	if err := checkBlocks(p.Name+": A", p.A, p.rows(), p.Wrappers); err != nil {
		return err
	}
	return checkBlocks(p.Name+": B", p.B, in, p.Wrappers)
}

// groups are those of a W's scales.
func (c *CPU) groups() []int {
	if c.compute == F32 {
		return []int{ref.QuantGroup}
	}
	return []int{ref.QuantGroup, ref.SparseBlock}
}

// check says whether kernels take integers of inputs, in one of the groups.
func (q Quant) check(name string, inputs int, groups ...int) error {
	switch {
	case q == Quant{}:
		return nil
	case q.Bits != 8 && q.Bits != 4 || !slices.Contains(groups, q.Group):
		return fmt.Errorf("%s: got %d bits in groups of %d, want 8 or 4 in groups of %v", name, q.Bits, q.Group, groups)
	case inputs%q.Group != 0:
		return fmt.Errorf("%s: got %d inputs, want a multiple of %d for quantized weights", name, inputs, q.Group)
	}
	return nil
}

func checkBlocks(name string, m Matrix, rows int, q Quant) error {
	switch {
	case m == nil:
		return nil
	case m.Rows() != rows:
		return fmt.Errorf("%s: got blocks for %d rows, want %d", name, m.Rows(), rows)
	case m.Cols() <= 0 || m.Cols()%sparse24.Group != 0:
		return fmt.Errorf("%s: got blocks of %d, want a multiple of %d", name, m.Cols(), sparse24.Group)
	case rows%m.Cols() != 0:
		return fmt.Errorf("%s: got blocks of %d, want a divisor of %d rows", name, m.Cols(), rows)
	}
	return q.check(name, m.Cols(), 32, 64)
}

// source is what one packed matrix, or a piece of it, is read from.
type source struct {
	name  string
	to    *packed
	first int // row of to
	w     Matrix
	core  Sparse
}

// packed is a matrix of that type without memory.
func (c *CPU) packed(rows, in, block int, sparse bool, t DType, q Quant) *packed {
	bits := 8 * t.Size()
	if q != (Quant{}) {
		bits = q.Bits
	}
	return &packed{rows: rows, in: in, block: block, sparse: sparse, types: c.denseTypes(bits), quant: q.Group, spread: c.isa == AVX2}
}

// stacks says whether rows of n can follow those of m, both dense.
func (m *packed) stacks(n *packed) bool {
	return !m.sparse && m.types == n.types && m.quant == n.quant
}

// newGroup lays out a group and lists its sources. It has no memory yet.
func (c *CPU) newGroup(parts []Part) (*group, []source, error) {
	for i := range parts {
		if (parts[i].W == nil) == (parts[i].Core == nil) {
			return nil, nil, fmt.Errorf("%s: got dense weights and a 2:4 core or neither, want one of them", parts[i].Name)
		}
		if parts[i].Quant != (Quant{}) || parts[i].Wrappers != (Quant{}) {
			c = c.forIntegers()
		}
	}
	g := &group{c: c, name: parts[0].Name, in: parts[0].cols()}
	var sources []source
	var shared []Matrix // what g.bs are read from
	for i := range parts {
		p := &parts[i]
		if err := p.check(c, g.in); err != nil {
			return nil, nil, err
		}
		w := c.packed(0, g.in, 0, p.Core != nil, p.Type, p.Quant)
		last := len(g.sections) - 1
		if p.Core != nil || last < 0 || !g.sections[last].w.stacks(w) {
			g.sections = append(g.sections, section{first: g.out, w: w, b: -1})
			last++
		}
		s := &g.sections[last]
		sources = append(sources, source{p.Name, s.w, s.w.rows, p.W, p.Core})
		s.w.rows += p.rows()
		s.w.block = s.w.rows
		g.out += p.rows()
		if p.A != nil {
			s.a = c.packed(p.rows(), p.A.Cols(), p.A.Cols(), false, p.Type, p.Wrappers)
			sources = append(sources, source{name: p.Name + ": A", to: s.a, w: p.A})
		}
		if p.B == nil {
			continue
		}
		if s.b = slices.IndexFunc(shared, func(b Matrix) bool { return same(b, p.B) }); s.b < 0 {
			s.b = len(g.bs)
			b := c.packed(g.in, p.B.Cols(), p.B.Cols(), false, p.Type, p.Wrappers)
			g.bs, g.after, shared = append(g.bs, b), append(g.after, s.w.form()), append(shared, p.B)
			sources = append(sources, source{name: p.Name + ": B", to: b, w: p.B})
		} else if g.after[s.b] != s.w.form() {
			return nil, nil, fmt.Errorf("%s: got a core of another type than one that shares its B", p.Name)
		}
	}
	g.connect()
	first := 0
	for i := range parts {
		if b := parts[i].Bias; b != nil {
			if g.bias == nil {
				g.bias = make([]float32, g.out)
			}
			copy(g.bias[first:], b)
		}
		first += parts[i].rows()
	}
	return g, sources, nil
}

// connect lists the forms of x and the sets of B's, and says who reads which.
func (g *group) connect() {
	g.most = maxIntTokens
	takes := func(m *packed) {
		g.most = min(g.most, g.c.anyTokens(m.types))
	}
	for i, b := range g.bs {
		at := slices.IndexFunc(g.sets, func(s set) bool { return s.form == b.form() && s.block == b.block })
		if at < 0 {
			at = len(g.sets)
			g.sets = append(g.sets, set{form: b.form(), block: b.block})
		}
		g.sets[at].bs = append(g.sets[at].bs, i)
		takes(b)
	}
	for i := range g.sections {
		s := &g.sections[i]
		takes(s.w)
		if s.a != nil {
			takes(s.a)
		}
		if s.b >= 0 {
			continue
		}
		f := s.w.form()
		if s.x = slices.Index(g.forms, f); s.x < 0 {
			s.x = len(g.forms)
			g.forms = append(g.forms, f)
		}
	}
	for i := range g.sections {
		if s := &g.sections[i]; s.b >= 0 {
			s.x = len(g.forms) + s.b
		}
	}
}

// same compares two sources; those that Go cannot compare differ.
func same(a, b Matrix) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// place divides mem among a group's matrices, or without mem counts the bytes.
func (g *group) place(mem []byte) (bytes int) {
	g.mem = mem
	put := func(m *packed) {
		if m == nil {
			return
		}
		n := m.tiles() * m.stride()
		if mem != nil {
			m.w = mem[bytes : bytes+n : bytes+n]
		}
		bytes += roundUp(n, cacheLine)
	}
	for _, b := range g.bs {
		put(b)
	}
	for i := range g.sections {
		put(g.sections[i].w)
		put(g.sections[i].a)
	}
	return bytes
}

// NewGroup implements Backend.
func (c *CPU) NewGroup(parts ...Part) (Group, error) {
	g, sources, err := c.newGroup(parts)
	if err != nil {
		return nil, err
	}
	mem, err := c.memory.alloc(g.place(nil))
	if err != nil {
		return nil, err
	}
	g.place(mem)
	if err := c.packAll(sources); err != nil {
		return nil, err
	}
	return g, nil
}

// Repack implements Backend.
func (c *CPU) Repack(old Group, parts ...Part) error {
	g := old.(*group)
	fresh, sources, err := c.newGroup(parts)
	if err != nil {
		return err
	}
	if got, want := fresh.kind(), g.kind(); got != want {
		return fmt.Errorf("%s: got %s, want %s", fresh.name, got, want)
	}
	fresh.place(g.mem)
	if err := c.packAll(sources); err != nil {
		return err
	}
	copy(g.bias, fresh.bias)
	return nil
}

func (c *CPU) packAll(sources []source) error {
	scratch := make([]packScratch, c.pool.workers)
	for i := range sources {
		if err := c.pack(&sources[i], scratch); err != nil {
			return err
		}
	}
	return nil
}
