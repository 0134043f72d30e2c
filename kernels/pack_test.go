package kernels

import (
	"fmt"
	"strings"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

// TestPackCodes: tiles hold what package ref puts into their lanes row after row, of
// parts that begin and end within a tile, of blocks, and of 2:4 cores.
func TestPackCodes(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		for _, q := range []Quant{{8, 32}, {4, 32}, {8, 64}, {4, 64}} {
			if c.compute == F32 && q.Group == 64 {
				continue
			}
			name := fmt.Sprintf("%+v", q)
			for _, in := range []int{64, 320} {
				var parts []Part
				var all []*coded
				for i, rows := range []int{20, 1, 75, 64, 16, 7, 131} {
					m := newCoded(uint64(i), rows, in, q)
					all = append(all, m)
					parts = append(parts, Part{W: m, Quant: q})
				}
				g, err := c.NewGroup(parts...)
				if err != nil {
					t.Fatal(err)
				}
				checkPacked(t, fmt.Sprintf("%s, %d inputs", name, in), g.(*group).sections[0].w, all, nil)
			}
			if c.compute == F32 || q.Bits == 4 {
				continue
			}
			for _, block := range []int{32, 64, 96, 160} {
				if block%q.Group != 0 {
					continue
				}
				rows := 960
				a, b := newCoded(8, rows, block, q), newCoded(9, rows, block, q)
				core := newCodedCore(3, rows, rows, Quant{8, 64})
				g, err := c.NewGroup(Part{Core: core, A: a, B: b, Quant: Quant{8, 64}, Wrappers: q})
				if err != nil {
					t.Fatal(err)
				}
				s := &g.(*group).sections[0]
				checkPacked(t, fmt.Sprintf("A of %d, %s", block, name), s.a, []*coded{a}, nil)
				checkPacked(t, fmt.Sprintf("B of %d, %s", block, name), g.(*group).bs[0], []*coded{b}, nil)
			}
		}
		if c.compute == F32 {
			return
		}
		for _, q := range []Quant{{8, 64}, {4, 64}} {
			for _, shape := range [][2]int{{1, 64}, {16, 128}, {77, 192}, {200, 1024}} {
				name := fmt.Sprintf("2:4, %+v, %v", q, shape)
				m := newCodedCore(4, shape[0], shape[1], q)
				g, err := c.NewGroup(Part{Core: m, Quant: q})
				if err != nil {
					t.Fatal(err)
				}
				w := g.(*group).sections[0].w
				checkPacked(t, name, w, []*coded{&m.coded}, m)

				// From floats, which the same masks keep.
				f := &core{shape[0], shape[1], make([]float32, len(m.data)/2), m.masks}
				sparse24.Pack(f.values, m.data, m.masks)
				if err := c.Repack(g, Part{Core: f, Quant: q}); err != nil {
					t.Fatal(err)
				}
				rounded := &codedCore{coded{plain{shape[0], shape[1], nil}, q, make([]int8, len(f.values)), make([]uint16, len(f.values)/32)}, m.masks}
				if done := ref.QuantizeWeights(rounded.codes, rounded.scales, f.values, 32, q.Bits); done < len(rounded.scales) {
					t.Fatal(done)
				}
				checkPacked(t, name+" from floats", w, []*coded{&rounded.coded}, rounded)
			}
		}
	})
}

// checkPacked compares a matrix with its parts below each other, which are core's
// codes if there is one.
func checkPacked(t *testing.T, name string, m *packed, parts []*coded, core *codedCore) {
	t.Helper()
	want := *m
	want.w = make([]byte, len(m.w))
	row := 0
	for _, p := range parts {
		per := m.in / p.quant.Group
		for r := range p.rows {
			tile, lane := m.at(row)
			mem, bits, scales := want.tileBytes(tile), m.types.bits(), p.scales[r*per:][:per]
			switch {
			case core != nil:
				masks := core.masks[r*m.in/4:][:m.in/4]
				var codes []int8
				if len(p.codes) == p.rows*m.in/2 {
					codes = p.codes[r*m.in/2:][:m.in/2]
				} else {
					core.kept(r, 1, func(i int) { codes = append(codes, p.codes[i]) })
				}
				positions := make([]uint8, len(masks))
				sparse24.ToPositions(positions, masks)
				put := ref.PackIntSparse
				if m.spread {
					put = ref.PackIntSparseSpread
				}
				put(mem, bits, lane, codes, positions, scales)
			case m.types.integers():
				ref.PackInt(mem, bits, m.quant, lane, p.row(r), scales)
			default:
				ref.PackQuant(mem, bits, lane, p.row(r), scales)
			}
			row++
		}
	}
	kerneltest.Equal(t, name, m.w, want.w)
}

// badBits is a core with a group of three.
type badBits struct{ *codedCore }

func (m badBits) ReadCoded(codes []int8, scales []uint16, bits []uint8, row, n int) error {
	err := m.codedCore.ReadCoded(codes, scales, bits, row, n)
	if at := 67 - row; at >= 0 && at < n {
		bits[at*m.cols/8+19] = 0xe3
	}
	return err
}

func TestPackRefusesBits(t *testing.T) {
	c := newTestCPU(t)
	_, err := c.NewGroup(Part{Name: "core", Core: badBits{newCodedCore(1, 90, 192, Quant{8, 64})}, Quant: Quant{8, 64}})
	if want := "core: row 67, group 39: got 3 bits, want 2 of 4"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q", err, want)
	}
}
