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
	for i, v := range x {
		scale := float16.Frombits(c.Scales[i/each])
		code := int(c.Codes[i])
		if scale.IsInf(0) || scale.IsNaN() || scale.Signbit() || code > 1<<(bits-1)-1 || -code > 1<<(bits-1)-1 {
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
	for s, shape := range [][4]int{{32, 64, 16, 16}, {64, 128, 32, 64}, {12, 192, 4, 48}, {64, 128, 64, 128}, {6, 64, 0, 0}} {
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
				for _, g := range grids {
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

// The losses of a layer of a usual kind.
func TestQuantizedLosses(t *testing.T) {
	p := randomProblem(rand.New(rand.NewPCG(3, 3)), 128, 256)
	o := Options{Math: best, BlockOut: 64, BlockIn: 64, Sweeps: 20}
	r, err := Prune(context.Background(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range grids {
		losses := map[Rounding]float64{}
		for _, g.Rounding = range Roundings {
			q, err := Quantize(context.Background(), p, &r.Layer, g, o)
			if err != nil {
				t.Fatal(err)
			}
			losses[g.Rounding] = q.Loss
			t.Logf("%+v: %.5f, in bf16 %.5f; %.5f", g, q.Loss, q.Before, q.Curve)
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
