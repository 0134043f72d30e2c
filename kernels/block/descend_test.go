package block

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"armor/kernels"
	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// problem is a core with its Gram matrices, all without gaps between rows.
type problem struct {
	rows, cols int
	s, c       []float32 // [rows, cols]
	mask       []uint8   // [rows, cols/4]
	ga         []float32 // [rows, rows]
	gb         []float32 // [cols, cols]
}

// gram is XᵀX of a random X [rank, n].
func gram(rng *rand.Rand, n, rank int) []float32 {
	x, g := kerneltest.Normal(rng, rank*n), make([]float32, n*n)
	ref.BlockMul(g, n, ref.BlockSet, x, 1, n, x, n, n, n, rank)
	return g
}

// newProblem has Gram matrices of ranks ra and rb, and C in their range.
func newProblem(rng *rand.Rand, rows, cols, ra, rb int) *problem {
	p := &problem{
		rows: rows, cols: cols, ga: gram(rng, rows, ra), gb: gram(rng, cols, rb),
		s: make([]float32, rows*cols), mask: make([]uint8, rows*cols/4),
	}
	p.c = p.product(kerneltest.Normal(rng, rows*cols))
	for i := range p.mask {
		p.mask[i] = uint8(rng.IntN(6))
		for _, at := range ref.Masks[p.mask[i]] {
			p.s[4*i+at] = float32(rng.NormFloat64())
		}
	}
	return p
}

// product is ga·x·gb, summed in f64.
func (p *problem) product(x []float32) []float32 {
	full := make([]float32, p.rows*p.cols)
	for i := range p.rows {
		half, row := make([]float64, p.cols), make([]float64, p.cols)
		for k, a := range p.ga[i*p.rows:][:p.rows] {
			for j, v := range x[k*p.cols:][:p.cols] {
				half[j] += float64(a) * float64(v)
			}
		}
		for k, a := range half {
			for j, v := range p.gb[k*p.cols:][:p.cols] {
				row[j] += a * float64(v)
			}
		}
		for j, v := range row {
			full[i*p.cols+j] = float32(v)
		}
	}
	return full
}

// state is the half gradient ga·S·gb - C, the loss tr(Sᵀ·ga·S·gb) - 2·tr(Sᵀ·C)
// and the size of the loss's terms.
func (p *problem) state() (g []float32, loss, size float64) {
	g = p.product(p.s)
	for i, v := range g {
		a, b := float64(p.s[i])*float64(v), 2*float64(p.s[i])*float64(p.c[i])
		loss += a - b
		size += math.Abs(a) + math.Abs(b)
		g[i] -= p.c[i]
	}
	return g, loss, size
}

func (p *problem) sweep(m Math, g []float32, t *Scratch) (gain float64, changed int) {
	return m.Descend(m.NewPairs(p.gb, p.cols, p.cols), p.s, p.cols, p.mask, g, p.cols, p.ga, p.rows, p.gb, p.cols, p.rows, p.cols, t)
}

func (p *problem) clone() *problem {
	q := *p
	q.s, q.mask = slices.Clone(p.s), slices.Clone(p.mask)
	return &q
}

// valid fails the test unless s is finite, and zero where the mask keeps none.
func (p *problem) valid(t *testing.T) {
	t.Helper()
	for k, m := range p.mask {
		if m > 5 {
			t.Fatalf("group %d: mask %d", k, m)
		}
		for c, v := range p.s[4*k : 4*k+4] {
			if v-v != 0 || v != 0 && !slices.Contains(ref.Masks[m][:], c) {
				t.Fatalf("group %d, mask %d: %v", k, m, p.s[4*k:4*k+4])
			}
		}
	}
}

// brute is a sweep in f64 that computes the gradient anew for every group. It
// stops, and returns false, where two choices gain the same but for share.
func (p *problem) brute(s []float64, mask []uint8, share float64) (gain float64, changed int, ok bool) {
	n := p.cols
	for i := range p.rows {
		curve := float64(p.ga[i*p.rows+i])
		for k := range n / 4 {
			var r [4]float64 // C - ga·S·gb with the group at 0
			own := s[i*n+4*k : i*n+4*k+4]
			old := [4]float64(own)
			clear(own)
			half := make([]float64, n)
			for j := range half {
				for h := range p.rows {
					half[j] += float64(p.ga[i*p.rows+h]) * s[h*n+j]
				}
			}
			for c := range r {
				r[c] = float64(p.c[i*n+4*k+c])
				for j, v := range half {
					r[c] -= v * float64(p.gb[j*n+4*k+c])
				}
			}
			b := func(x, y int) float64 { return curve * float64(p.gb[(4*k+x)*n+4*k+y]) }
			present := 0.0
			for x, v := range old {
				present += 2 * v * r[x]
				for y, w := range old {
					present -= v * w * b(x, y)
				}
			}
			best, second, pick := present, math.Inf(-1), -1
			var to [4]float64
			for m, pq := range ref.Masks {
				x, y := pq[0], pq[1]
				det := b(x, x)*b(y, y) - b(x, y)*b(x, y)
				vx, vy := (b(y, y)*r[x]-b(x, y)*r[y])/det, (b(x, x)*r[y]-b(x, y)*r[x])/det
				w := vx*r[x] + vy*r[y]
				if w > best {
					best, second, pick = w, best, m
					to = [4]float64{}
					to[x], to[y] = vx, vy
				} else {
					second = max(second, w)
				}
			}
			if best-second < share*best {
				return 0, 0, false
			}
			copy(own, old[:])
			if pick >= 0 {
				copy(own, to[:])
				gain += best - present
				if int(mask[i*n/4+k]) != pick {
					mask[i*n/4+k] = uint8(pick)
					changed++
				}
			}
		}
	}
	return gain, changed, true
}

// TestDescendExact compares one sweep with f64. The Gram matrices are well
// conditioned (factors of up to 40 between curvatures), so that an error grows
// by little more than that from group to group.
func TestDescendExact(t *testing.T) {
	const share = 1e-4
	each(t, func(t *testing.T, m Math) {
		var scratch Scratch
		rng := kerneltest.Rand(3)
		compared := 0
		for _, size := range [][2]int{{1, 4}, {3, 8}, {1, 16}, {4, 16}, {18, 16}, {2, 32}, {35, 4}, {3, 48}, {5, 64}, {20, 20}} {
			for range 4 {
				rows, cols := size[0], size[1]
				p := newProblem(rng, rows, cols, 4*rows+4, 4*cols+4)
				q := p.clone()
				want := make([]float64, len(p.s))
				for i, v := range p.s {
					want[i] = float64(v)
				}
				wantGain, wantChanged, ok := p.brute(want, q.mask, share)
				if !ok {
					continue
				}
				compared++
				g, _, _ := p.state()
				gain, changed := p.sweep(m, g, &scratch)
				if changed != wantChanged || !slices.Equal(p.mask, q.mask) {
					t.Fatalf("[%d, %d]: %d masks changed, want %d", rows, cols, changed, wantChanged)
				}
				if math.Abs(gain-wantGain) > 1e-5*wantGain {
					t.Errorf("[%d, %d]: gain %g, want %g", rows, cols, gain, wantGain)
				}
				largest := 0.0
				for _, v := range want {
					largest = max(largest, math.Abs(v))
				}
				var worst kerneltest.Worst
				for i, v := range want {
					worst.See(i, float64(p.s[i]), v, kerneltest.Bound(40*(rows+cols), largest))
				}
				worst.Check(t, fmt.Sprintf("[%d, %d]", rows, cols))
			}
		}
		if compared < 20 {
			t.Errorf("only %d sweeps without near ties", compared)
		}
	})
}

// TestDescendLoss has problems of every kind and requires that the loss falls
// by what was returned, within the rounding of its terms.
func TestDescendLoss(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		var scratch Scratch
		rng := kerneltest.Rand(4)
		for _, c := range []struct{ rows, cols, ra, rb int }{
			{1, 4, 1, 1}, {5, 8, 2, 3}, {17, 12, 30, 5}, {16, 16, 16, 16}, {40, 48, 8, 60}, {64, 64, 70, 9},
			{33, 64, 64, 33}, {80, 128, 90, 150}, {20, 256, 30, 60}, {6, 272, 8, 40},
		} {
			for kind := range 3 {
				p := newProblem(rng, c.rows, c.cols, c.ra, c.rb)
				switch kind {
				case 1: // a row and columns of nothing, and twins
					i, j := rng.IntN(c.rows), rng.IntN(c.cols)
					for k := range c.rows {
						p.ga[i*c.rows+k], p.ga[k*c.rows+i] = 0, 0
					}
					for k := range c.cols {
						p.gb[j*c.cols+k], p.gb[k*c.cols+j] = 0, 0
					}
					a, b := j&^3, j&^3+1
					for k := range c.cols {
						p.gb[a*c.cols+k] = p.gb[b*c.cols+k]
					}
					for k := range c.cols {
						p.gb[k*c.cols+a] = p.gb[k*c.cols+b]
					}
					p.c = p.product(kerneltest.Normal(rng, c.rows*c.cols))
				case 2: // nothing kept yet
					clear(p.s)
				}
				g, before, size := p.state()
				for sweep := range 3 {
					gain, changed := p.sweep(m, g, &scratch)
					next, after, other := p.state()
					p.valid(t)
					what := fmt.Sprintf("%+v, kind %d, sweep %d: %d masks changed, loss %g - %g", c, kind, sweep, changed, before, gain)
					var worst kerneltest.Worst
					worst.See(0, after, before-gain, kerneltest.Bound(c.rows+c.cols, size+other))
					worst.Check(t, what)
					if gain < 0 || sweep == 0 && gain == 0 && c.rows > 1 {
						t.Errorf("%s", what)
					}
					g, before, size = next, after, other
				}
			}
		}
	})
}

// TestDescendFinite has values whose squares are no f32.
func TestDescendFinite(t *testing.T) {
	each(t, func(t *testing.T, m Math) {
		var scratch Scratch
		rng := kerneltest.Rand(5)
		for _, scale := range []float32{1e-44, 1e-38, 1e-25, 1e-15, 1e15, 1e25, 3e36} {
			for what := range 4 {
				p := newProblem(rng, 20, 32, 24, 30)
				g, _, _ := p.state()
				for _, x := range [][]float32{p.s, p.ga, p.gb, g}[what:][:1] {
					for i := range x {
						x[i] *= scale
					}
				}
				gain, _ := m.Descend(m.NewPairs(p.gb, 32, 32), p.s, 32, p.mask, g, 32, p.ga, 20, p.gb, 32, 20, 32, &scratch)
				p.valid(t)
				if !(gain >= 0) || math.IsInf(gain, 0) {
					t.Errorf("operand %d times %g: gain %g", what, scale, gain)
				}
			}
		}
	})
}

// TestDescendBatch has cores in guarded memory with NaN between their rows, and
// requires of every batch, and of every instruction set, the bits that plain
// memory gives one at a time.
func TestDescendBatch(t *testing.T) {
	type result struct {
		s    []float32
		mask []uint8
	}
	seen := make(map[string]result) // by AVX2
	each(t, func(t *testing.T, m Math) {
		var scratch Scratch
		for n, c := range []struct{ cores, rows, cols int }{{1, 5, 16}, {2, 4, 16}, {3, 4, 16}, {4, 4, 16}, {2, 20, 32}, {3, 17, 64}, {4, 18, 80}, {5, 33, 48}, {7, 3, 12}, {9, 16, 128}} {
			rng := kerneltest.Rand(uint64(9 + n))
			place := kerneltest.Places[n%8]
			guards := make([]*kerneltest.Guard[float32], 3*c.cores+1)
			for i := range guards {
				guards[i] = kerneltest.NewGuard[float32](t, 150*150)
			}
			masks := make([]*kerneltest.Guard[uint8], c.cores)
			ps, cores := make([]*problem, c.cores), make([]Core, c.cores)
			shared := newProblem(rng, c.rows, c.cols, c.rows, c.cols).gb
			lds, ldg, lda, ldb := c.cols+n%3, c.cols+n%2, c.rows+n%4, c.cols+n%5
			for i := range ps {
				p := newProblem(rng, c.rows, c.cols, c.rows+3, c.cols)
				p.gb = shared
				p.c = p.product(kerneltest.Normal(rng, c.rows*c.cols))
				masks[i] = kerneltest.NewGuard[uint8](t, len(p.mask))
				g, _, _ := p.state()
				cores[i] = Core{
					S: matrix(guards[3*i], place, p.s, c.rows, c.cols, lds), LDS: lds, Mask: masks[i].Copy(p.mask, place),
					G: matrix(guards[3*i+1], place, g, c.rows, c.cols, ldg), LDG: ldg,
					GA: matrix(guards[3*i+2], place, p.ga, c.rows, c.rows, lda), LDGA: lda,
				}
				if i == 1 {
					p.ga[0], cores[i].GA[0] = 0, 0
				}
				ps[i] = p
			}
			gb := matrix(guards[3*c.cores], place, shared, c.cols, c.cols, ldb)
			for round := range 2 {
				for i := range cores {
					cores[i].Gain, cores[i].Changed = 0, 0
				}
				m.DescendBatch(m.NewPairs(gb, ldb, c.cols), cores, gb, ldb, c.rows, c.cols, &scratch)
				for i, p := range ps {
					what := fmt.Sprintf("%+v, core %d, round %d", c, i, round)
					g, _, _ := p.state()
					gain, changed := p.sweep(m, g, new(Scratch))
					core := &cores[i]
					if gain != core.Gain || changed != core.Changed || round == 0 && gain == 0 {
						t.Errorf("%s: gain %g, %d masks, alone %g, %d", what, core.Gain, core.Changed, gain, changed)
					}
					kerneltest.Equal(t, what+", mask", core.Mask, p.mask)
					for r := range c.rows {
						if !kerneltest.Equal(t, fmt.Sprintf("%s, row %d", what, r), core.S[r*lds:][:c.cols], p.s[r*c.cols:][:c.cols]) {
							break
						}
					}
					if m.isa >= kernels.AVX2 {
						if other, ok := seen[what]; ok {
							kerneltest.Equal(t, what+", mask of the other instruction set", p.mask, other.mask)
							kerneltest.Equal(t, what+", values of the other instruction set", p.s, other.s)
						}
						seen[what] = result{slices.Clone(p.s), slices.Clone(p.mask)}
					}
					if round > 0 {
						continue
					}
					for range 3 + 6000/(c.rows*c.cols) { // until many groups stay as they are
						g, _, _ = p.state()
						p.sweep(m, g, &scratch)
					}
					g, _, _ = p.state()
					for r := range c.rows {
						copy(core.S[r*lds:][:c.cols], p.s[r*c.cols:])
						copy(core.G[r*ldg:][:c.cols], g[r*c.cols:])
					}
					copy(core.Mask, p.mask)
				}
			}
			for _, g := range guards {
				g.Check(t)
			}
			for _, g := range masks {
				g.Check(t)
			}
		}
	})
}

func BenchmarkDescend(b *testing.B) {
	for _, isa := range []kernels.ISA{kernels.AVX2, kernels.AVX512} {
		if isa > kernels.BestISA() {
			continue
		}
		for _, n := range []int{128, 64} {
			p := newProblem(kerneltest.Rand(1), n, n, 2*n, 2*n)
			g, _, _ := p.state()
			for _, together := range []int{1, 4} {
				b.Run(fmt.Sprintf("%d/%v/batch%d", n, isa, together), func(b *testing.B) {
					m := New(isa)
					pairs, cores := m.NewPairs(p.gb, n, n), make([]Core, together)
					for i := range cores {
						cores[i] = Core{
							S: make([]float32, n*n), LDS: n, Mask: make([]uint8, n*n/4),
							G: make([]float32, n*n), LDG: n, GA: p.ga, LDGA: n,
						}
					}
					var scratch Scratch
					for b.Loop() {
						for i := range cores { // each time from the same state
							copy(cores[i].S, p.s)
							copy(cores[i].Mask, p.mask)
							copy(cores[i].G, g)
						}
						m.DescendBatch(pairs, cores, p.gb, n, n, n, &scratch)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(together*n*n), "ns/weight")
				})
			}
		}
	}
}
