package solve

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/x448/float16"
)

var grids = []Grid{{Core: 8}, {Core: 4}, {Wrappers: 8}, {Core: 8, Wrappers: 8}, {Core: 4, Wrappers: 8}}

// checkCodes requires floats that are scale·code, of codes in range and finite
// scales.
func checkCodes(t *testing.T, name string, x []float32, c *Codes, bits, each int) {
	t.Helper()
	if (c == nil) != (bits == 0 || x == nil) {
		t.Fatalf("%s: codes %v, want %d bits", name, c != nil, bits)
	}
	if c == nil {
		return
	}
	if c.Bits != bits || len(c.Codes) != len(x) || len(c.Scales)*each != len(x) {
		t.Fatalf("%s: %d bits, %d codes, %d scales of %d numbers", name, c.Bits, len(c.Codes), len(c.Scales), len(x))
	}
	least, most := -127, 127
	if bits == 4 {
		least, most = -8, 7
	}
	for i, v := range x {
		scale := float16.Frombits(c.Scales[i/each])
		code := int(c.Codes[i])
		if scale.IsInf(0) || scale.IsNaN() || bits == 8 && scale.Signbit() || code > most || code < least {
			t.Fatalf("%s: %d: scale %v, code %d", name, i, scale, code)
		}
		if v != scale.Float32()*float32(code) {
			t.Fatalf("%s: %d: %v is not %v·%d", name, i, v, scale, code)
		}
	}
}

func checkGrid(t *testing.T, name string, q *Quantized, from *Layer, g Grid) {
	t.Helper()
	l := &q.Layer
	checkCodes(t, name+": core", l.Values, l.Core, g.Core, GroupSize/2)
	checkCodes(t, name+": A", l.A, l.CodesA, g.Wrappers, l.BlockOut)
	checkCodes(t, name+": B", l.B, l.CodesB, g.Wrappers, l.BlockIn)
	if g.Rounding == Plain && !slices.Equal(l.Mask, from.Mask) {
		t.Errorf("%s: other masks", name)
	}
	for _, x := range [][]float32{l.A, l.B, l.Values} {
		for _, v := range x {
			if v-v != 0 {
				t.Fatalf("%s: %v", name, v)
			}
		}
	}
}

// Whatever the layer, what is stored is on its grid, its loss is that which is
// said, and the descent is nowhere worse than a refit or plain rounding.
func TestQuantize(t *testing.T) {
	tried := 0
	for s, shape := range [][4]int{{32, 64, 16, 16}, {12, 192, 4, 48}, {32, 128, 32, 128}, {6, 64, 0, 0}} {
		for _, d := range degenerate {
			for _, blocks := range []bool{false, true} {
				rng := rand.New(rand.NewPCG(uint64(s), 3))
				p := randomProblem(rng, shape[0], shape[1])
				d.change(p, rng)
				if _, bi := DefaultBlocks(p.Out, p.In); blocks {
					if shape[3] > 0 {
						bi = shape[3]
					}
					p.Hessian.Block = bi
					for range p.In / bi {
						p.Hessian.Blocks = append(p.Hessian.Blocks, gramOf(rng, bi)...)
					}
				}
				o := Options{Sweeps: 4, BlockOut: shape[2], BlockIn: shape[3], Math: best, Threads: 2}
				if shape[2] == 0 {
					o.Method = NoWagP
				}
				r, err := Prune(context.Background(), p, o)
				if err != nil {
					t.Fatal(err)
				}
				turns := 2 // of the grids
				if testing.Short() {
					turns = 1
				}
				for n := range turns {
					g := grids[tried%len(grids)]
					tried += 1 + n
					name := fmt.Sprintf("%v/%s/%v/%+v", shape, d.name, blocks, g)
					var losses []float64
					for _, g.Rounding = range []Rounding{Plain, Descent} {
						q, err := Quantize(context.Background(), p, &r.Layer, g, o)
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						checkGrid(t, name, q, &r.Layer, g)
						if want := naiveLoss(p, naiveDense(&q.Layer)); math.Abs(q.Loss-want) > 1e-4*math.Sqrt(want)+1e-9 {
							t.Errorf("%s: says loss %v, is %v", name, q.Loss, want)
						}
						losses = append(losses, q.Loss)
					}
					if !(losses[1] <= losses[0]) {
						t.Errorf("%s: loss %v, plain rounding has %v", name, losses[1], losses[0])
					}
				}
			}
		}
	}
}

// Of a usual layer int8 costs next to nothing, the descent finds codes in int4 that
// plain rounding is far from, and its loss falls all the way.
func TestQuantizedLosses(t *testing.T) {
	p := randomProblem(rand.New(rand.NewPCG(3, 3)), 128, 256)
	o := Options{Math: best, BlockOut: 64, BlockIn: 64, Sweeps: 20}
	r, err := Prune(context.Background(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	most := map[Grid]float64{{Core: 8}: 1, {Core: 4}: 3, {Wrappers: 8}: 1.15, {Core: 8, Wrappers: 8}: 1.15, {Core: 4, Wrappers: 8}: 3.3}
	for g, most := range most {
		losses := map[Rounding]float64{}
		for _, rounding := range Roundings {
			h := g
			h.Rounding = rounding
			q, err := Quantize(context.Background(), p, &r.Layer, h, o)
			if err != nil {
				t.Fatal(err)
			}
			losses[rounding] = q.Loss
			t.Logf("%+v: %.5f, in bf16 %.5f; %.5f", h, q.Loss, q.Before, q.Curve)
			if n := len(q.Curve); n > leastSweeps {
				for i := leastSweeps - 1; i < n-1; i++ {
					if q.Curve[i] > q.Curve[i-1]*(1+1e-5) {
						t.Errorf("%+v: sweep %d: loss %v after %v", h, i, q.Curve[i], q.Curve[i-1])
					}
				}
				if d := math.Abs(q.Curve[n-1] - q.Loss); d > 1e-4*q.Loss {
					t.Errorf("%+v: the descent ends at %v, stored is %v", h, q.Curve[n-1], q.Loss)
				}
			}
		}
		if d := losses[Descent]; !(d <= most*r.LossRounded) || !(d < losses[Refit]) || !(losses[Refit] < losses[Plain]) {
			t.Errorf("%+v: losses %v, in bf16 %v", g, losses, r.LossRounded)
		}
	}
}

// randomLattice is a lattice of two tiles with scales of 6 numbers. Its first row is
// dead where it is square.
func randomLattice(rng *rand.Rand, sparse, square bool) *lattice {
	const rows, cols = 19, 12
	l := &lattice{rows: rows, cols: cols, kept: cols, each: 6, levels: levelsOf(4), stride: 2 * cols}
	if sparse {
		l.kept, l.stride = cols/2, cols
	}
	l.codes = newCodes(4, rows*l.stride, l.each)
	if square {
		l.ga = gramOf(rng, rows)
		for i := range rows {
			l.ga[i], l.ga[i*rows] = 0, 0
		}
	}
	for range 2 {
		tile := latticeTile{x: make([]float32, rows*cols), g: make([]float32, rows*cols), gb: gramOf(rng, cols)}
		if sparse {
			tile.mask = make([]uint8, rows*cols/4)
		}
		for i := range tile.x {
			tile.x[i], tile.g[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
		}
		for g := range tile.mask {
			tile.mask[g] = uint8(rng.IntN(6))
			for c := range 4 {
				if c != pairs[tile.mask[g]][0] && c != pairs[tile.mask[g]][1] {
					tile.x[4*g+c] = 0
				}
			}
		}
		l.tiles = append(l.tiles, tile)
	}
	return l
}

// change is by how much the loss differs after x has become y, by definition.
func (l *lattice) change(before [][]float32, g [][]float32) (sum float64) {
	for t := range l.tiles {
		d := make([]float64, len(before[t]))
		for i := range d {
			d[i] = float64(l.tiles[t].x[i]) - float64(before[t][i])
		}
		ga := widen(l.ga)
		if l.ga == nil {
			ga = make([]float64, l.rows*l.rows)
			for i := range l.rows {
				ga[i*l.rows+i] = 1
			}
		}
		m := mulNaive(mulNaive(ga, d, l.rows, l.cols, l.rows), widen(l.tiles[t].gb), l.rows, l.cols, l.cols)
		for i := range d {
			sum += d[i] * (m[i] + 2*float64(g[t][i]))
		}
	}
	return sum
}

// A step lowers the loss by what it says, leaves settled rows' loss no higher, and
// numbers that are scales times codes.
func TestLattice(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for try := range 40 {
		sparse, square := try%2 == 0, try%4 < 2
		l := randomLattice(rng, sparse, square)
		if !square {
			l.unit = make([]float32, l.rows)
			for i := range l.unit {
				l.unit[i] = float32(math.Exp(rng.NormFloat64()))
			}
		}
		ws := &latticeSpace{}
		for pass := range 4 {
			at := settled
			switch {
			case pass == 0 && sparse:
				at = free
			case pass <= 1:
				at = enters
			}
			l.level = func(int) level { return at }
			var before, g [][]float32
			for t := range l.tiles {
				tile := &l.tiles[t]
				if pass > 0 { // the gradient where it is now
					for i := range tile.g {
						tile.g[i] = float32(rng.NormFloat64())
					}
				}
				if square { // of a dead row it is zero, too
					clear(tile.g[:l.cols])
				}
				before, g = append(before, slices.Clone(tile.x)), append(g, slices.Clone(tile.g))
			}
			gain := l.descend(best, ws)
			change := l.change(before, g)
			if math.Abs(gain+change) > 1e-5*(1+math.Abs(change)) || at != enters && change > 1e-6 {
				t.Errorf("try %d, pass %d: gain %v, the loss changes by %v", try, pass, gain, change)
			}
			if at != free {
				l.checkOnGrid(t, try)
			}
		}
	}
}

func (l *lattice) checkOnGrid(t *testing.T, try int) {
	t.Helper()
	at := make([]uint16, l.kept)
	for i := range l.rows {
		unit := float32(1)
		if l.unit != nil {
			unit = l.unit[i]
		}
		for k := range l.tiles {
			tile := &l.tiles[k]
			want := make([]float32, l.cols)
			for n, c := range columns(at, tile.mask, i*l.cols/4) {
				number := i*l.stride + k*l.kept + n
				scale := float16.Frombits(l.codes.Scales[number/l.each]).Float32()
				want[c] = unit * scale * float32(l.codes.Codes[number])
			}
			if got := tile.x[i*l.cols:][:l.cols]; !slices.Equal(got, want) {
				t.Fatalf("try %d, row %d, tile %d: %v is not %v", try, i, k, got, want)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	for bits, want := range map[int][2]float64{4: {-8, 7}, 8: {-127, 127}} {
		for x := -130.0; x <= 130; x += 1.0 / 64 {
			want := math.RoundToEven(min(max(x, want[0]), want[1]))
			if got := levelsOf(bits).nearest(float32(x)); float64(got) != want {
				t.Fatalf("%v in %d bits: got %v, want %v", x, bits, got, want)
			}
		}
	}
}

// No scale that the search finds is worse than the one that maps the largest number
// to the largest code.
func TestSearchScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for try := range 200 {
		x, weight := make([]float32, 32), make([]float32, 32)
		size := math.Exp(20 * (rng.Float64() - 0.5))
		for i := range x {
			x[i], weight[i] = float32(size*rng.NormFloat64()), float32(rng.ExpFloat64())
		}
		if try%10 == 0 {
			clear(x)
		}
		for _, bits := range []int{4, 8} {
			levels := levelsOf(bits)
			cost := func(t float32) (sum float64) {
				for i, v := range x {
					q := float32(0)
					if t != 0 {
						q = levels.nearest(v / t)
					}
					sum += float64(weight[i]) * float64(v-t*q) * float64(v-t*q)
				}
				return sum
			}
			plain, found := levels.plainScale(x), levels.searchScale(x, weight)
			if _, h := levels.half(found); h != found || bits == 8 && found < 0 || cost(found) > cost(plain)*(1+1e-5) {
				t.Fatalf("try %d: scale %v costs %v, the plain one %v %v", try, found, cost(found), plain, cost(plain))
			}
		}
	}
}

func TestQuantizeThreadsGiveSameBytes(t *testing.T) {
	p := randomProblem(rand.New(rand.NewPCG(5, 5)), 64, 192)
	for _, blocks := range [][2]int{{32, 64}, {16, 16}, {64, 96}} {
		o := Options{Math: best, BlockOut: blocks[0], BlockIn: blocks[1], Sweeps: 3}
		r, err := Prune(context.Background(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range grids {
			var want *Quantized
			for _, o.Threads = range []int{1, 2, 5} {
				got, err := Quantize(context.Background(), p, &r.Layer, g, o)
				if err != nil {
					t.Fatal(err)
				}
				got.Seconds = 0
				if want == nil {
					want = got
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%v %+v: %d threads give other bytes", blocks, g, o.Threads)
				}
			}
		}
	}
}
