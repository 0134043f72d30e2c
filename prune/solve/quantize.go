package solve

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Rounding is how a layer gets onto a grid.
type Rounding string

const (
	// Descent goes over the codes again and again, each time after A and B have been
	// solved for in closed form: the default.
	Descent Rounding = "descent"
	Refit   Rounding = "refit" // rounds the core, solves for A and B once, and rounds those
	Plain   Rounding = "plain" // rounds each number to the nearest
)

// Roundings are all of them, the default first.
var Roundings = []Rounding{Descent, Refit, Plain}

// GroupSize is the inputs that share a scale of a core.
const GroupSize = 64

// Grid says in what a layer is stored.
type Grid struct {
	Core     int // bits of the core's codes: 8 or 4; 0 for bf16
	Wrappers int // of A's and B's: 8; 0 for bf16
	Rounding Rounding
	Sweeps   int // of the descent, 5 or more; 0 is 7
}

// Fits says whether a core of so many inputs can have codes.
func (g Grid) Fits(in int) bool { return g.Core == 0 || in%GroupSize == 0 }

// Quantized is a layer on a grid and how it came about.
type Quantized struct {
	Layer   Layer
	Before  float64   // relative loss of the layer as it was
	Loss    float64   // of Layer
	Curve   []float64 // of the descent, after each of its sweeps
	Seconds float64
}

// Quantize stores a pruned layer l of p in codes. The masks stay; everything else
// follows the rounding of the core: p.W is what the layer is to come near, so p.W
// may be the layer's own product. The result is nowhere worse than Plain's.
func Quantize(ctx context.Context, p *Problem, l *Layer, g Grid, o Options) (_ *Quantized, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("internal error: %v", e)
		}
	}()
	began := time.Now()
	if g.Rounding == "" {
		g.Rounding = Descent
	}
	orDefault(&g.Sweeps, 7)
	o.Method = Armor
	if l.A != nil {
		o.BlockOut, o.BlockIn = l.BlockOut, l.BlockIn
	}
	if err := o.complete(p); err != nil {
		return nil, err
	}
	if err := p.check(&o); err != nil {
		return nil, err
	}
	if err := g.check(p, l); err != nil {
		return nil, err
	}
	t, err := newTarget(p, &o)
	if err != nil {
		return nil, err
	}
	w := t.scaled()
	r := &Quantized{Before: t.relative(t.anyLoss(l, w))}
	r.Layer = l.plain(g)
	r.Loss = t.relative(t.anyLoss(&r.Layer, w))
	if g.Rounding != Plain && t.total > 0 {
		q := newQuantizer(t, l, g, w)
		if r.Curve, err = q.run(ctx); err != nil {
			return nil, err
		}
		better := q.layer(l)
		if loss := t.relative(t.anyLoss(&better, w)); loss <= r.Loss { // false for NaN
			r.Layer, r.Loss = better, loss
		}
	}
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

func (g Grid) check(p *Problem, l *Layer) error {
	switch {
	case !slices.Contains(Roundings, g.Rounding):
		return fmt.Errorf("unknown rounding %q, want one of %v", g.Rounding, Roundings)
	case g.Core != 0 && g.Core != 4 && g.Core != 8 || g.Wrappers != 0 && g.Wrappers != 8:
		return fmt.Errorf("codes of %d bits and of %d for wrappers, want 8 or 4, and 8", g.Core, g.Wrappers)
	case g.Sweeps < leastSweeps:
		return fmt.Errorf("%d sweeps, want %d or more", g.Sweeps, leastSweeps)
	case l.Out != p.Out || l.In != p.In || len(l.Values) != p.Out*p.In/2 || len(l.Mask) != p.Out*p.In/4:
		return fmt.Errorf("the layer is %d × %d, the weight %d × %d", l.Out, l.In, p.Out, p.In)
	case !g.Fits(p.In):
		return fmt.Errorf("%d inputs are no multiple of %d, which share a scale", p.In, GroupSize)
	}
	return nil
}

// anyLoss is ‖W′ − A·S·B′‖² of a layer with A and B or without, W′ as tiles.
func (t *target) anyLoss(l *Layer, w []float32) float64 {
	if l.A == nil {
		return t.plainLoss(l)
	}
	return t.productLoss(l, w)
}

// plain rounds each number to the nearest of its type. The largest of those that
// share a scale has the largest code.
func (l *Layer) plain(g Grid) Layer {
	q := *l
	q.Values, q.Core = plainCodes(l.Values, g.Core, GroupSize/2)
	if l.A != nil {
		q.A, q.CodesA = plainCodes(l.A, g.Wrappers, l.BlockOut)
		q.B, q.CodesB = plainCodes(l.B, g.Wrappers, l.BlockIn)
	}
	return q
}

// RoundGroups sets codes and f16 scales to x in groups of each numbers: with search
// a scale is that of several with the least squared error, else the plain one.
func RoundGroups(codes []int8, scales []uint16, x []float32, bits, each int, search bool) {
	levels, ones := levelsOf(bits), make([]float32, each)
	for i := range ones {
		ones[i] = 1
	}
	for g := range scales {
		part := x[g*each : (g+1)*each]
		t := levels.plainScale(part)
		if search {
			t = levels.searchScale(part, ones)
		}
		scales[g], _ = levels.half(t)
		for i, v := range part {
			codes[g*each+i] = 0
			if t != 0 {
				codes[g*each+i] = int8(levels.nearest(v / t))
			}
		}
	}
}

func plainCodes(x []float32, bits, each int) ([]float32, *Codes) {
	y := slices.Clone(x)
	if bits == 0 {
		roundBF16(y)
		return y, nil
	}
	c := newCodes(bits, len(x), each)
	RoundGroups(c.Codes, c.Scales, x, bits, each, false)
	c.Values(y)
	return y, c
}
