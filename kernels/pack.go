package kernels

import (
	"fmt"
	"math"
	"sync"

	"armor/kernels/ref"
)

const tileRows = ref.TileRows

// NewGroup implements Backend.
func (c *CPU) NewGroup(parts ...Part) (Group, error) {
	g := &group{name: parts[0].Name, in: parts[0].W.Cols(), wide: parts[0].Type == BF16}
	biased := false
	for _, p := range parts {
		if p.W.Cols() != g.in {
			return nil, fmt.Errorf("%s: %d inputs, want the %d of %s", p.Name, p.W.Cols(), g.in, g.name)
		}
		if (p.Type == BF16) != g.wide {
			return nil, fmt.Errorf("%s: weights of type %v, want that of %s", p.Name, p.Type, g.name)
		}
		if p.Bias != nil && len(p.Bias) != p.W.Rows() {
			return nil, fmt.Errorf("%s: %d biases, want %d", p.Name, len(p.Bias), p.W.Rows())
		}
		biased = biased || p.Bias != nil
		g.out += p.W.Rows()
	}
	if g.in%2 != 0 {
		return nil, fmt.Errorf("%s: %d inputs, want an even number", g.name, g.in)
	}
	g.stride = tileRows * g.in * parts[0].Type.Size()
	var err error
	if g.w, err = c.memory.alloc(g.tiles() * g.stride); err != nil {
		return nil, err
	}
	if biased {
		g.bias = make([]float32, g.tiles()*tileRows)
	}
	first := 0
	for _, p := range parts {
		if biased && p.Bias != nil {
			copy(g.bias[first:], p.Bias)
		}
		j := &packJob{g: g, w: p.W, first: first}
		c.pool.run(j, (p.W.Rows()+packRows-1)/packRows)
		if err := c.pool.err(); err != nil {
			return nil, err
		}
		if j.err != nil {
			return nil, j.err
		}
		first += p.W.Rows()
	}
	return g, nil
}

// packJob packs one part; a task is packRows of its rows. Tiles at a border of
// tasks or parts are written by two of them, but never the same bytes.
type packJob struct {
	g     *group
	w     Matrix
	first int // row of the group where the part begins

	mu  sync.Mutex
	err error
}

const packRows = 4 * tileRows

func (j *packJob) run(_, task int) {
	r0 := task * packRows
	n := min(packRows, j.w.Rows()-r0)
	rows := make([]float32, n*j.g.in)
	if err := j.w.ReadRows(rows, r0, n); err != nil {
		j.mu.Lock()
		j.err = err
		j.mu.Unlock()
		return
	}
	for r := range n {
		j.g.pack(j.first+r0+r, rows[r*j.g.in:(r+1)*j.g.in])
	}
}

func (g *group) pack(row int, src []float32) {
	tile, lane := row/tileRows, row%tileRows
	mem := g.w[tile*g.stride : (tile+1)*g.stride]
	if !g.wide {
		dst := asF32(mem)[lane:]
		for i, v := range src {
			dst[i*tileRows] = v
		}
		return
	}
	dst := asU32(mem)[lane:]
	for i := 0; i+1 < len(src); i += 2 {
		dst[i/2*tileRows] = uint32(toBF16(src[i])) | uint32(toBF16(src[i+1]))<<16
	}
}

// unpack is the reverse of pack.
func (g *group) unpack(dst []float32, row int) {
	tile, lane := row/tileRows, row%tileRows
	mem := g.w[tile*g.stride : (tile+1)*g.stride]
	if !g.wide {
		src := asF32(mem)[lane:]
		for i := range dst {
			dst[i] = src[i*tileRows]
		}
		return
	}
	src := asU32(mem)[lane:]
	for i := 0; i+1 < len(dst); i += 2 {
		pair := src[i/2*tileRows]
		dst[i] = math.Float32frombits(pair << 16)
		dst[i+1] = math.Float32frombits(pair & 0xffff0000)
	}
}

// toBF16 rounds to nearest even and keeps NaN a NaN.
func toBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
