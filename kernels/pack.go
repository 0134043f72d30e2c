package kernels

import (
	"fmt"
	"math"
	"sync"

	"armor/kernels/ref"

	"github.com/x448/float16"
)

const tileRows = ref.TileRows

// bits is the width that a part asks for.
func (p *Part) bits() int {
	if p.Quant.Bits != 0 {
		return p.Quant.Bits
	}
	return 8 * p.Type.Size()
}

// check says whether a part can stand in a group that reads in inputs.
func (p *Part) check(in, bits int) error {
	q := p.Quant
	switch {
	case p.W.Cols() != in:
		return fmt.Errorf("%s: got %d inputs, want the %d of its group", p.Name, p.W.Cols(), in)
	case p.bits() != bits:
		return fmt.Errorf("%s: got weights of %d bits, want the %d of its group", p.Name, p.bits(), bits)
	case p.Bias != nil && len(p.Bias) != p.W.Rows():
		return fmt.Errorf("%s: got %d biases, want %d", p.Name, len(p.Bias), p.W.Rows())
	case in%2 != 0:
		return fmt.Errorf("%s: got %d inputs, want an even number", p.Name, in)
	case q != Quant{} && (q.Bits != 8 && q.Bits != 4 || q.Group != ref.QuantGroup):
		return fmt.Errorf("%s: got %d bits in groups of %d, want 8 or 4 in groups of %d", p.Name, q.Bits, q.Group, ref.QuantGroup)
	case q != Quant{} && in%q.Group != 0:
		return fmt.Errorf("%s: got %d inputs, want a multiple of %d for quantized weights", p.Name, in, q.Group)
	}
	return nil
}

// NewGroup implements Backend.
func (c *CPU) NewGroup(parts ...Part) (Group, error) {
	g := &group{name: parts[0].Name, in: parts[0].W.Cols(), bits: parts[0].bits()}
	biased := false
	for i := range parts {
		if err := parts[i].check(g.in, g.bits); err != nil {
			return nil, err
		}
		biased = biased || parts[i].Bias != nil
		g.out += parts[i].W.Rows()
	}
	g.stride = tileRows * g.in * g.bits / 8
	if g.bits <= 8 {
		scales, codes := ref.QuantTile(g.bits, g.in)
		g.stride = scales + codes
	}
	var err error
	if g.w, err = c.memory.alloc(g.tiles() * g.stride); err != nil {
		return nil, err
	}
	if biased {
		g.bias = make([]float32, g.tiles()*tileRows)
	}
	first := 0
	for i := range parts {
		if parts[i].Bias != nil {
			copy(g.bias[first:], parts[i].Bias)
		}
		if err := c.packPart(g, &parts[i], first); err != nil {
			return nil, err
		}
		first += parts[i].W.Rows()
	}
	return g, nil
}

// packPart packs a part in pieces, so that little of its source is in memory.
func (c *CPU) packPart(g *group, p *Part, first int) error {
	const piece = 16 << 20
	tasks := max(1, piece/(4*packRows*g.in))
	for row := 0; row < p.W.Rows(); row += tasks * packRows {
		n := min(tasks*packRows, p.W.Rows()-row)
		j := &packJob{c: c, g: g, part: p, first: first, row: row, end: row + n}
		c.pool.run(j, (n+packRows-1)/packRows)
		if err := c.pool.err(); err != nil {
			return err
		}
		if j.err != nil {
			return j.err
		}
		p.W.Release(row, n)
	}
	return nil
}

// packJob packs the rows row … end-1 of one part; a task is packRows of them.
// Tasks and parts may share a tile, but never the same bytes of it.
type packJob struct {
	c     *CPU
	g     *group
	part  *Part
	first int // row of the group where the part begins
	row   int
	end   int

	mu  sync.Mutex
	err error
}

const packRows = 4 * tileRows

func (j *packJob) run(_, task int) {
	row := j.row + task*packRows
	if err := j.pack(row, min(packRows, j.end-row)); err != nil {
		j.mu.Lock()
		j.err = err
		j.mu.Unlock()
	}
}

func (j *packJob) pack(row, n int) error {
	g, p := j.g, j.part
	if g.bits <= 8 {
		return j.packCodes(row, n)
	}
	rows := make([]float32, n*g.in)
	if err := p.W.ReadRows(rows, row, n); err != nil {
		return err
	}
	for r := 0; r < n; {
		src := rows[r*g.in:]
		if at := j.first + row + r; at%tileRows == 0 && n-r >= tileRows {
			j.c.packTile(g, at/tileRows, src)
			r += tileRows
		} else {
			g.pack(at, src[:g.in])
			r++
		}
	}
	return nil
}

// packTile packs 16 rows: a weight tile is laid out as a panel of 16 tokens.
func (c *CPU) packTile(g *group, tile int, rows []float32) {
	types := f32f32
	if g.bits == 16 {
		types = bf16bf16
	}
	c.panel(types, g.tileBytes(tile), rows, g.in, tileRows, g.in, tileRows)
}

// packCodes takes the codes of a source that has them, and else rounds.
func (j *packJob) packCodes(row, n int) error {
	g, p := j.g, j.part
	codes, scales := make([]int8, n*g.in), make([]uint16, n*g.in/ref.QuantGroup)
	if coded, ok := p.W.(Coded); ok && coded.Fits(p.Quant) {
		if err := coded.ReadCodes(codes, scales, row, n); err != nil {
			return err
		}
	} else {
		rows := make([]float32, n*g.in)
		if err := p.W.ReadRows(rows, row, n); err != nil {
			return err
		}
		for i := range scales {
			if !quantize(codes[i*ref.QuantGroup:], &scales[i], rows[i*ref.QuantGroup:][:ref.QuantGroup], g.bits) {
				return fmt.Errorf("%s: row %d holds values that cannot be quantized", p.Name, row+i*ref.QuantGroup/g.in)
			}
		}
	}
	for r := range n {
		tile, lane := (j.first+row+r)/tileRows, (j.first+row+r)%tileRows
		ref.PackQuant(g.tileBytes(tile), g.bits, lane, codes[r*g.in:(r+1)*g.in], scales[r*g.in/ref.QuantGroup:(r+1)*g.in/ref.QuantGroup])
	}
	return nil
}

// quantize rounds x to the nearest multiples of a scale that maps the largest
// to the largest code. It reports whether all of x is finite and in range.
func quantize(codes []int8, scale *uint16, x []float32, bits int) bool {
	most := float32(0)
	for _, v := range x {
		if v != v {
			return false
		}
		most = max(most, v, -v)
	}
	limit := float32(int(1)<<(bits-1) - 1)
	half := float16.Fromfloat32(most / limit)
	s := half.Float32()
	if math.IsInf(float64(s), 0) {
		return false
	}
	*scale = half.Bits()
	for i, v := range x {
		codes[i] = 0
		if s > 0 {
			codes[i] = int8(min(limit, max(-limit, float32(math.RoundToEven(float64(v/s))))))
		}
	}
	return true
}

func (g *group) tileBytes(i int) []byte { return g.w[i*g.stride : (i+1)*g.stride] }

// pack puts one row of floats into its lane.
func (g *group) pack(row int, src []float32) {
	mem, lane := g.tileBytes(row/tileRows), row%tileRows
	if g.bits == 32 {
		dst := asF32(mem)[lane:]
		for i, v := range src {
			dst[i*tileRows] = v
		}
		return
	}
	dst := asU32(mem)[lane:]
	for i := 0; i+1 < len(src); i += 2 {
		dst[i/2*tileRows] = uint32(ref.BF16Bits(src[i])) | uint32(ref.BF16Bits(src[i+1]))<<16
	}
}

// unpack reads one row back.
func (g *group) unpack(dst []float32, row int) {
	mem, lane := g.tileBytes(row/tileRows), row%tileRows
	switch g.bits {
	case 32:
		src := asF32(mem)[lane:]
		for i := range dst {
			dst[i] = src[i*tileRows]
		}
	case 16:
		src := asU32(mem)[lane:]
		for i := 0; i+1 < len(dst); i += 2 {
			pair := src[i/2*tileRows]
			dst[i] = math.Float32frombits(pair << 16)
			dst[i+1] = math.Float32frombits(pair & 0xffff0000)
		}
	default:
		ref.UnpackQuant(dst, mem, g.bits, lane)
	}
}
