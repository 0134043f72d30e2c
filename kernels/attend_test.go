package kernels

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// attendTest holds one sequence's q, k and v in plain form.
type attendTest struct {
	heads, kvHeads, hd, n int
	qkv                   []float32 // [n, (heads+2·kvHeads)·hd]
}

func (a *attendTest) width() int { return (a.heads + 2*a.kvHeads) * a.hd }

func (a *attendTest) head(r, i int) []float32 {
	return a.qkv[r*a.width()+i*a.hd:][:a.hd]
}

// want is attention for query head h of row r in f64, and Σ p·|v| for bounds.
func (a *attendTest) want(r, h int) (out, abs []float64) {
	out, abs = make([]float64, a.hd), make([]float64, a.hd)
	kv := h / (a.heads / a.kvHeads)
	scores, most := make([]float64, r+1), math.Inf(-1)
	for k := range scores {
		s, _ := kerneltest.Dot(a.head(r, h), a.head(k, a.heads+kv))
		scores[k] = s / math.Sqrt(float64(a.hd))
		most = max(most, scores[k])
	}
	sum := 0.0
	for k := range scores {
		scores[k] = math.Exp(scores[k] - most)
		sum += scores[k]
	}
	for k, p := range scores {
		for d, v := range a.head(k, a.heads+a.kvHeads+kv) {
			out[d] += p / sum * float64(v)
			abs[d] += p / sum * math.Abs(float64(v))
		}
	}
	return out, abs
}

// TestAttend has one sequence longer than a chunk of keys, with rotations that
// do nothing, in steps of random size over shuffled and dirty pages.
func TestAttend(t *testing.T) {
	tests := []attendTest{
		{heads: 4, kvHeads: 4, hd: 16, n: 70},
		{heads: 6, kvHeads: 2, hd: 24, n: 100},
		{heads: 7, kvHeads: 1, hd: 32, n: 45},
		{heads: 9, kvHeads: 3, hd: 64, n: attendChunk + 40},
		{heads: 2, kvHeads: 1, hd: 128, n: 33},
	}
	backends(t, func(t *testing.T, c *CPU) {
		for _, typ := range []DType{F32, BF16, Int8} {
			t.Run(typ.String(), func(t *testing.T) {
				for _, a := range tests {
					if c.isa == Ref && a.n > attendChunk {
						a.heads, a.kvHeads, a.n = 3, 1, attendChunk+3
					}
					a.run(t, c, typ)
				}
			})
		}
	})
}

// quantize makes keys and values what int8 holds, but for roundings to f32: keys
// through the transform, as differences from the first of each page.
func (a *attendTest) quantize() {
	codes, first := make([]int8, a.hd), make([]float32, a.hd)
	round := func(x []float32) {
		scale := ref.QuantizeInt8(codes, x)
		for d, c := range codes {
			x[d] = scale * float32(c)
		}
	}
	for i := range 2 * a.kvHeads {
		for r := range a.n {
			x := a.head(r, a.heads+i)
			if i >= a.kvHeads {
				round(x)
				continue
			}
			ref.Hadamard(x)
			if r%PageTokens == 0 {
				copy(first, x)
			}
			for d := range x {
				x[d] -= first[d]
			}
			round(x)
			for d := range x {
				x[d] += first[d]
			}
			ref.Hadamard(x)
			ref.Scale(x, 1/float32(ref.HadamardBlock(a.hd)))
		}
	}
}

func (a attendTest) run(t *testing.T, c *CPU, typ DType) {
	t.Helper()
	rng := kerneltest.Rand(uint64(a.hd))
	a.qkv = truncated(rng, a.n*a.width())
	if typ == Int8 {
		a.quantize()
	}
	kv, err := c.NewKV(KVShape{Layers: 2, KVHeads: a.kvHeads, HeadDim: a.hd, Type: typ})
	if err != nil {
		t.Fatal(err)
	}
	pages := rng.Perm(PagesFor(a.n))
	if err := kv.Reserve(len(pages)); err != nil {
		t.Fatal(err)
	}
	span := Span{}
	for _, p := range pages {
		span.Pages = append(span.Pages, int32(p))
		mem := kv.(*kvPool).pages[p] // what an earlier user may have left: NaN
		for i := range mem {
			mem[i] = 0xff
		}
	}
	table := make([]float32, a.n*a.hd)
	for pos := range a.n {
		for i := range a.hd / 2 {
			table[pos*a.hd+i] = 1
		}
	}
	rope := upload(t, c, a.n, a.hd, table)
	p, err := c.NewPass()
	if err != nil {
		t.Fatal(err)
	}
	for span.Pos < a.n {
		span.Rows = min(1+rng.IntN(20), a.n-span.Pos)
		if rng.IntN(4) == 0 {
			span.Rows = min(200, a.n-span.Pos)
		}
		a.step(t, c, p, rope, &Batch{Seqs: []Span{span}, KV: kv})
		span.Pos += span.Rows
	}
}

func (a *attendTest) step(t *testing.T, c *CPU, p Pass, rope Buf, b *Batch) {
	t.Helper()
	pos, rows := b.Seqs[0].Pos, b.Seqs[0].Rows
	qkv := upload(t, c, rows, a.width(), a.qkv[pos*a.width():(pos+rows)*a.width()])
	dst, err := c.newBuf(rows, a.heads*a.hd)
	if err != nil {
		t.Fatal(err)
	}
	p.RopeStore(qkv, Heads{Rope: rope}, b, 1)
	p.Attend(dst, qkv, b, 1)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	unit := 2e-6
	if c.compute == BF16 { // the probabilities are rounded to bf16
		unit = 1.0 / 200
	}
	if c.compute == BF16 && b.KV.(*kvPool).Type == Int8 { // transformed queries, too, by Σ|q·k|/√hd units
		unit = 1.0 / 64
	}
	var worst kerneltest.Worst
	for r := range rows {
		if r < rows-1 && (pos+r)%9 > 64/(pos+r+1) { // fewer of the costly ones
			continue
		}
		for h := range a.heads {
			want, abs := a.want(pos+r, h)
			for d := range want {
				worst.See((pos+r)*1000+h, float64(dst.row(r)[h*a.hd+d]), want[d], unit*abs[d]+1e-7)
			}
		}
	}
	worst.Check(t, fmt.Sprintf("%d heads of %d, rows %d to %d", a.heads, a.hd, pos, pos+rows))
}

// TestRopeStore: rotation and norms against f64, through the keys in the pages.
func TestRopeStore(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		const heads, kvHeads, hd, n = 2, 1, 20, 21
		rng := kerneltest.Rand(3)
		x := kerneltest.Normal(rng, n*(heads+2*kvHeads)*hd)
		qkv := upload(t, c, n, (heads+2*kvHeads)*hd, x)
		table := kerneltest.Normal(rng, n*hd)
		h := Heads{Rope: upload(t, c, n, hd, table)}
		h.Q = RMSNorm{upload(t, c, 1, hd, kerneltest.Normal(rng, hd)), 1e-6}
		h.K = RMSNorm{upload(t, c, 1, hd, kerneltest.Normal(rng, hd)), 1e-6}
		kv, _ := c.NewKV(KVShape{Layers: 1, KVHeads: kvHeads, HeadDim: hd, Type: F32})
		if err := kv.Reserve(2); err != nil {
			t.Fatal(err)
		}
		p, _ := c.NewPass()
		p.RopeStore(qkv, h, &Batch{Seqs: []Span{{Rows: n, Pages: []int32{1, 0}}}, KV: kv}, 0)
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		var worst kerneltest.Worst
		for r := range n {
			for i := range heads + kvHeads {
				norm := h.Q
				if i == heads {
					norm = h.K
				}
				want := rotated(x[(r*(heads+2*kvHeads)+i)*hd:][:hd], norm.Weight.(*buf).row(0), table[r*hd:][:hd])
				for d := range want {
					worst.See(r*100+d, float64(qkv.row(r)[i*hd+d]), want[d], 2e-6*(1+math.Abs(want[d])))
					if i == heads {
						keys := asF32(kv.(*kvPool).keys([]int32{1, 0}[r/PageTokens], 0, 0))
						worst.See(r*100+d, float64(keys[d*PageTokens+r%PageTokens]), want[d], 2e-6*(1+math.Abs(want[d])))
					}
				}
			}
		}
		worst.Check(t, "rope")
	})
}

func rotated(x, weight, table []float32) []float64 {
	hd := len(x)
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	rms := math.Sqrt(sum/float64(hd) + 1e-6)
	y := make([]float64, hd)
	for i := range hd / 2 {
		a, b := float64(x[i])/rms*float64(weight[i]), float64(x[hd/2+i])/rms*float64(weight[hd/2+i])
		cos, sin := float64(table[i]), float64(table[hd/2+i])
		y[i], y[hd/2+i] = a*cos-b*sin, b*cos+a*sin
	}
	return y
}

// TestAttendChunks: a row of a long sequence gets the same bits whether its chunks
// of keys are tasks of their own, one worker's, or beside many other rows.
func TestAttendChunks(t *testing.T) {
	const heads, kvHeads, hd, n = 6, 2, 32, 3*attendChunk + 5
	for isa := Ref; isa <= BestISA(); isa++ {
		for _, typ := range []DType{F32, BF16, Int8} {
			t.Run(fmt.Sprintf("%v/%v", isa, typ), func(t *testing.T) {
				x := kerneltest.Normal(kerneltest.Rand(1), n*(heads+2*kvHeads)*hd)
				var want []float32
				for _, run := range []struct{ threads, seqs int }{{1, 1}, {4, 1}, {4, 2}, {4, 30}} {
					c, err := NewCPU(Options{ISA: isa, Compute: BF16, Threads: run.threads})
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					kv, _ := c.NewKV(KVShape{Layers: 1, KVHeads: kvHeads, HeadDim: hd, Type: typ})
					if err := kv.Reserve(PagesFor(n)); err != nil {
						t.Fatal(err)
					}
					pages := make([]int32, PagesFor(n))
					for i := range pages {
						pages[i] = int32(len(pages) - 1 - i)
					}
					rope := upload(t, c, n, hd, make([]float32, n*hd))
					for pos := range n {
						for i := range hd / 2 {
							rope.row(pos)[i] = 1
						}
					}
					qkv := upload(t, c, n, (heads+2*kvHeads)*hd, x)
					p, _ := c.NewPass()
					p.RopeStore(qkv, Heads{Rope: rope}, &Batch{Seqs: []Span{{Rows: n, Pages: pages}}, KV: kv}, 0)
					rows, b := upload(t, c, run.seqs, (heads+2*kvHeads)*hd, make([]float32, run.seqs*(heads+2*kvHeads)*hd)), &Batch{KV: kv}
					for i := range run.seqs {
						copy(rows.row(i), qkv.row(n-1))
						b.Seqs = append(b.Seqs, Span{Rows: 1, Pos: n - 1, Pages: pages})
					}
					dst, _ := c.newBuf(run.seqs, heads*hd)
					p.Attend(dst, rows, b, 0)
					if err := p.End(); err != nil {
						t.Fatal(err)
					}
					if want == nil {
						want = slices.Clone(dst.row(0))
					}
					for i := range run.seqs {
						kerneltest.Equal(t, fmt.Sprintf("%d threads, %d sequences", run.threads, run.seqs), dst.row(i), want)
					}
				}
			})
		}
	}
}

// BenchmarkRopeStore is a prefill's, of the heads of SmolLM2-135M.
func BenchmarkRopeStore(b *testing.B) {
	const heads, kvHeads, hd, n = 9, 3, 64, 512
	for _, typ := range []DType{F32, BF16, Int8} {
		b.Run(typ.String(), func(b *testing.B) {
			c, err := NewCPU(Options{ISA: BestISA(), Compute: BF16, Threads: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			kv, _ := c.NewKV(KVShape{Layers: 1, KVHeads: kvHeads, HeadDim: hd, Type: typ})
			batch := &Batch{Seqs: []Span{{Rows: n}}, KV: kv}
			for i := range PagesFor(n) {
				batch.Seqs[0].Pages = append(batch.Seqs[0].Pages, int32(i))
			}
			if err := kv.Reserve(PagesFor(n)); err != nil {
				b.Fatal(err)
			}
			x := kerneltest.Normal(kerneltest.Rand(1), n*(heads+2*kvHeads)*hd)
			qkv, _ := c.Upload(n, (heads+2*kvHeads)*hd, x)
			rope, _ := c.Upload(n, hd, make([]float32, n*hd))
			p, _ := c.NewPass()
			for b.Loop() {
				p.RopeStore(qkv, Heads{Rope: rope}, batch, 0)
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*n), "ns/token")
		})
	}
}

// BenchmarkAttend is a decode's, of heads such as SmolLM2-135M's and Llama-3.2-1B's.
func BenchmarkAttend(b *testing.B) {
	for _, heads := range [][2]int{{9, 3}, {32, 8}} {
		for _, n := range []int{512, 4096, 8192} {
			for _, typ := range []DType{BF16, Int8} {
				b.Run(fmt.Sprintf("heads=%d/keys=%d/%v", heads[0], n, typ), func(b *testing.B) { benchmarkAttend(b, heads[0], heads[1], n, typ) })
			}
		}
	}
}

func benchmarkAttend(b *testing.B, heads, kvHeads, n int, typ DType) {
	const hd = 64
	c, err := NewCPU(Options{ISA: BestISA(), Compute: BF16})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	layers := max(1, (64<<20)/(n*kvHeads*hd*4)) // more than caches hold, as in a model
	kv, _ := c.NewKV(KVShape{Layers: layers, KVHeads: kvHeads, HeadDim: hd, Type: typ})
	s := Span{Rows: 1, Pos: n - 1}
	for i := range PagesFor(n) {
		s.Pages = append(s.Pages, int32(i))
	}
	if err := kv.Reserve(PagesFor(n)); err != nil {
		b.Fatal(err)
	}
	batch := &Batch{Seqs: []Span{s}, KV: kv}
	qkv, _ := c.Upload(1, (heads+2*kvHeads)*hd, kerneltest.Normal(kerneltest.Rand(1), (heads+2*kvHeads)*hd))
	dst, _ := c.NewBuf(1, heads*hd)
	p, _ := c.NewPass()
	layer := 0
	for b.Loop() {
		p.Attend(dst, qkv, batch, layer)
		layer = (layer + 1) % layers
	}
	if err := p.End(); err != nil {
		b.Fatal(err)
	}
}
