//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// tileKind is a kernel of AMX with what a test of it differs in.
type tileKind struct {
	name  string
	multi int // inputs that k counts
	least int // tokens
	most  int
	run   func(o *tileCase, w []unsafe.Pointer, x unsafe.Pointer, y *float32, add int)
	ref   func(o *tileCase, y []float32, add bool)
}

var tileKinds = []tileKind{
	{"dense", 2, 1, 32,
		func(o *tileCase, w []unsafe.Pointer, x unsafe.Pointer, y *float32, add int) {
			DenseBF16BF16AMX(&w[0], o.tiles, o.tokens, x, 2*o.ldx, o.in/2, y, o.ldy, add)
		},
		denseTiles},
	{"sparse", 4, 1, 32,
		func(o *tileCase, w []unsafe.Pointer, x unsafe.Pointer, y *float32, add int) {
			SparseBF16BF16AMX(&w[0], o.tiles, o.tokens, x, 2*o.ldx, o.in/4, y, o.ldy, add)
		},
		sparseTiles},
	{"densePanel", 32, 1, 100,
		func(o *tileCase, w []unsafe.Pointer, x unsafe.Pointer, y *float32, add int) {
			sums, ld := o.sums(y, add)
			DensePanelBF16BF16AMX(&w[0], o.tiles, o.tokens, x, 2*o.ldx, o.in/32, sums, ld, y, o.ldy, add)
		},
		denseTiles},
	{"sparsePanel", 32, 1, 100,
		func(o *tileCase, w []unsafe.Pointer, x unsafe.Pointer, y *float32, add int) {
			sums, ld := o.sums(y, add)
			SparsePanelBF16BF16AMX(&w[0], o.tiles, o.tokens, x, 2*o.ldx, o.in/32, sums, ld, y, o.ldy, add)
		},
		sparseTiles},
	// Each piece of 16 inputs is a tile of w, and holds all row tiles.
	{"sum", 2, 1, 32,
		func(o *tileCase, w []unsafe.Pointer, x unsafe.Pointer, y *float32, add int) {
			SumBF16BF16AMX(&w[0], len(w), o.last(), o.tiles, o.tokens, x, 2*o.ldx, y, o.ldy, add)
		},
		func(o *tileCase, y []float32, add bool) {
			for t := range o.tiles {
				pieces := o.words()
				for i := range pieces {
					pieces[i] = pieces[i][256*t:]
				}
				ref.SumBF16BF16(pieces, o.last(), o.x, o.ldx, o.tokens, y[16*t:], o.ldy, add)
			}
		}},
}

func denseTiles(o *tileCase, y []float32, add bool) {
	for t, w := range o.words() {
		ref.DenseBF16BF16(w, o.x, o.ldx, o.in/2, o.tokens, y[16*t:], o.ldy, add)
	}
}

func sparseTiles(o *tileCase, y []float32, add bool) {
	positions, _ := ref.SparseTile(16, o.in)
	for t, w := range o.words() {
		dense := make([]uint16, 16*o.in)
		if o.in > 0 {
			ref.ExpandBF16(dense, unsafe.Slice((*uint64)(unsafe.Pointer(&w[0])), o.in/4), w[positions/2:], o.in/4)
		}
		ref.DenseBF16BF16(dense, o.x, o.ldx, o.in/2, o.tokens, y[16*t:], o.ldy, add)
	}
}

// sums is room for what panels have summed up so far, y itself where that may be.
func (o *tileCase) sums(y *float32, add int) (*float32, int) {
	if add == 0 && o.tokens%2 == 0 {
		return y, o.ldy
	}
	if o.room == nil {
		o.room = make([]float32, o.roomSize())
	}
	return &o.room[0], o.roomPitch()
}

func (o *tileCase) roomPitch() int { return 16*o.tiles + o.tokens%3 }
func (o *tileCase) roomSize() int  { return (o.tokens-1)*o.roomPitch() + 16*o.tiles }

// tileCase is one product. Its weight tiles are apart by a few bytes.
type tileCase struct {
	tiles, tokens, in int
	ldx, ldy          int
	w                 []byte
	at                []int    // of each tile in w
	x                 []uint16 // [tokens, ldx]
	y                 []float32
	room              []float32 // [tokens, roomPitch]: for sums
}

func (o *tileCase) last() int { return (o.in-1)%16/2 + 1 }

func (o *tileCase) words() (tiles [][]uint16) {
	all := unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(o.w))), len(o.w)/2)
	for _, at := range o.at {
		tiles = append(tiles, all[at/2:])
	}
	return tiles
}

// newTileCase has numbers from the generator: whole ones are summed exactly.
func newTileCase(kind string, rng *rand.Rand, tiles, tokens, in int, number func() float32) *tileCase {
	const pad = 72
	o := &tileCase{tiles: tiles, tokens: tokens, in: in, ldx: in + 3, ldy: 16*tiles + denseGap}
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = number()
		}
		return x
	}
	bf16 := func(n int) []uint16 {
		x := make([]uint16, n)
		ref.ToBF16(x, numbers(n))
		return x
	}
	put := func(w []uint16) {
		o.at = append(o.at, len(o.w))
		for _, v := range w {
			o.w = append(o.w, byte(v), byte(v>>8))
		}
		o.w = append(o.w, make([]byte, pad)...)
	}
	switch kind {
	case "dense", "densePanel":
		for range tiles {
			put(bf16(16 * in))
		}
	case "sparse", "sparsePanel":
		s := newSparse(rng.Uint64N(1000), 16, 16*tiles, in, pad, false)
		p, v := ref.SparseTile(16, in)
		for t := range tiles { // its positions, with these values
			values := bf16(v / 2)
			copy(s.w[t*(p+v+pad)+p:], unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), v))
			o.at = append(o.at, t*(p+v+pad))
		}
		o.w = append(s.w, make([]byte, pad)...)
	default:
		for at := 0; at < in; at += 16 {
			all := bf16(256 * tiles)
			if at+16 > in { // of the last tile nothing is behind the last pair
				all = all[:256*(tiles-1)+16*(in-at)]
			}
			put(all)
		}
	}
	o.w = o.w[:len(o.w)-pad]
	columns := in
	if kind == "sum" {
		columns = (in + 15) / 16 * 16
		o.ldx = columns + 3
	}
	o.x = bf16((tokens-1)*o.ldx + columns)
	o.y = numbers((tokens-1)*o.ldy + 16*tiles)
	return o
}

// tileGuards holds operands of one kernel.
type tileGuards struct {
	w *kerneltest.Guard[uint8]
	x *kerneltest.Guard[uint16]
	y *kerneltest.Guard[float32]
	s *kerneltest.Guard[float32] // for sums of panels
}

func newTileGuards(t *testing.T, kind *tileKind, maxTiles, inputs int) *tileGuards {
	return &tileGuards{
		kerneltest.NewGuard[uint8](t, maxTiles*(36*inputs+1024)),
		kerneltest.NewGuard[uint16](t, kind.most*(inputs+32)),
		kerneltest.NewGuard[float32](t, kind.most*(16*maxTiles+denseGap)),
		kerneltest.NewGuard[float32](t, kind.most*(16*maxTiles+denseGap)),
	}
}

func (g *tileGuards) check(t *testing.T, kind *tileKind, o *tileCase, place kerneltest.Place, add bool) {
	t.Helper()
	w, x, y := g.w.Copy(o.w, place), g.x.Copy(o.x, place), g.y.Copy(o.y, place)
	o.room = g.s.Slice(o.roomSize(), place)
	var at []unsafe.Pointer
	for _, i := range o.at {
		at = append(at, unsafe.Add(unsafe.Pointer(unsafe.SliceData(w)), i))
	}
	flag, want := 0, slices.Clone(o.y)
	if add {
		flag = 1
	}
	kind.run(o, at, unsafe.Pointer(unsafe.SliceData(x)), &y[0], flag)
	kind.ref(o, want, add)
	kerneltest.Equal(t, fmt.Sprintf("%s: %d tiles, %d tokens, %d inputs, %+v", kind.name, o.tiles, o.tokens, o.in, place), y, want)
	for i, v := range o.room { // between the sums of two tokens
		if i%o.roomPitch() >= 16*o.tiles && v == v {
			t.Fatalf("%s: %d tiles, %d tokens: beside sums, %d: got %v, want what was there", kind.name, o.tiles, o.tokens, i, v)
		}
	}
	g.y.Check(t)
	g.s.Check(t)
}

// TestAMX: bits of the reference, with whole numbers those of the exact sums,
// for all numbers of tokens and of inputs, and what is beside operands unread.
func TestAMX(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	const maxTiles = 6
	for i := range tileKinds {
		kind := &tileKinds[i]
		t.Run(kind.name, func(t *testing.T) {
			rng := kerneltest.Rand(3)
			most, lengths := 320, 140 // of inputs; up to which all of them
			if kind.multi == 32 {
				most, lengths = 19*32, 19*32 // two panels and some steps
			}
			g := newTileGuards(t, kind, maxTiles, most)
			normal := func() float32 { return float32(rng.NormFloat64()) }
			sizes := 0
			for in := 0; in <= lengths; in += kind.multi {
				if in == 0 && (kind.name == "sum" || kind.multi == 32) {
					continue
				}
				tokens, tiles := kind.least+sizes*5%32, 1+sizes%maxTiles
				sizes++
				o := newTileCase(kind.name, rng, tiles, tokens, in, normal)
				g.check(t, kind, o, kerneltest.Places[sizes%len(kerneltest.Places)], sizes/2%2 == 1)
			}
			for tokens := kind.least; tokens <= kind.most; tokens++ {
				for tiles := 1; tiles <= maxTiles; tiles++ {
					in := 4 * (8 + tokens%9)
					switch {
					case kind.multi < 32 && (tokens+tiles/2)%2 == 0:
						in += 256 // four row tiles at once
					case kind.multi == 32: // the last panel of any number of steps
						in = 32 * (1 + (tokens+5*tiles)%19)
						if tokens > 50 && tiles%3 != tokens%3 {
							continue
						}
					}
					o := newTileCase(kind.name, rng, tiles, tokens, in, normal)
					g.check(t, kind, o, kerneltest.Places[(tokens+tiles)%len(kerneltest.Places)], tiles%2 == 1)
				}
			}
		})
	}
}

// TestRowsBF16 has all lengths, ends of memory and special values.
func TestRowsBF16(t *testing.T) {
	kerneltest.Need(t, kerneltest.AVX512BF16)
	const most, rows = 257, 3
	src, dst := kerneltest.NewGuard[float32](t, rows*(most+5)), kerneltest.NewGuard[uint16](t, rows*(most+3))
	rng := kerneltest.Rand(6)
	for k := 1; k <= most; k++ {
		x := kerneltest.Normal(rng, (rows-1)*(k+5)+k)
		specials := kerneltest.Specials()
		for i := range x {
			if rng.IntN(3) == 0 {
				x[i] = specials[rng.IntN(len(specials))]
			}
		}
		for _, place := range kerneltest.Places {
			got := dst.Slice((rows-1)*(k+3)+k, place)
			want := slices.Clone(got)
			ref.RowsBF16(want, k+3, x, k+5, rows, k)
			RowsBF16AVX512BF16(unsafe.Pointer(&got[0]), k+3, &src.Copy(x, place)[0], k+5, rows, k)
			kerneltest.Equal(t, fmt.Sprintf("%d inputs, %+v", k, place), got, want)
			dst.Check(t)
		}
	}
}

// TestAMXSignals: tiles are kept when signals and the collector interrupt.
func TestAMXSignals(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	stop := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for worker := range 5 {
		wg.Go(func() {
			rng := kerneltest.Rand(uint64(worker))
			kind := &tileKinds[worker%2]
			o := newTileCase(kind.name, rng, 6, 20+worker, 256+4*worker, func() float32 { return float32(rng.NormFloat64()) })
			var at []unsafe.Pointer
			for _, i := range o.at {
				at = append(at, unsafe.Pointer(&o.w[i]))
			}
			got, want := slices.Clone(o.y), slices.Clone(o.y)
			kind.ref(o, want, false)
			for calls := 0; time.Now().Before(stop); calls++ {
				kind.run(o, at, unsafe.Pointer(&o.x[0]), &got[0], 0)
				if !slices.Equal(got, want) {
					t.Errorf("worker %d: call %d is wrong", worker, calls)
					return
				}
				if calls%64 == 0 {
					at = slices.Clone(at) // something to collect
				}
			}
		})
	}
	wg.Go(func() {
		for time.Now().Before(stop) {
			goruntime.GC()
		}
	})
	wg.Wait()
}

// BenchmarkAMX has half a megabyte of weights, as the tokens of a prefill find
// them in L2. GFLOPS are the dense matrix's.
func BenchmarkAMX(b *testing.B) {
	kerneltest.Need(b, kerneltest.AMX)
	for i := range tileKinds {
		kind := &tileKinds[i]
		for _, tokens := range []int{1, 16, 32, 64, 512} {
			if tokens > kind.most && kind.multi != 32 {
				continue
			}
			tiles, in := 8, 2048
			if kind.name == "sum" { // a head's values at 512 positions
				tiles, in = 4, 512
			}
			b.Run(fmt.Sprintf("%s/tokens=%d", kind.name, tokens), func(b *testing.B) {
				o := newTileCase(kind.name, kerneltest.Rand(1), tiles, tokens, in, func() float32 { return 1 })
				o.ldx = (o.in/32 | 1) * 32
				o.x = make([]uint16, tokens*o.ldx)
				var at []unsafe.Pointer
				w := make([]byte, len(o.w)+64*len(o.at))
				for i, from := range o.at { // as a backend has them, in whole lines
					tile := o.w[from:min(len(o.w), from+32*in)]
					if i+1 < len(o.at) {
						tile = o.w[from:o.at[i+1]]
					}
					copy(w, tile)
					at = append(at, unsafe.Pointer(&w[0]))
					w = w[(len(tile)+63)&^63:]
				}
				for b.Loop() {
					kind.run(o, at, unsafe.Pointer(&o.x[0]), &o.y[0], 0)
				}
				flops := 2 * float64(in) * float64(16*tiles) * float64(tokens)
				b.ReportMetric(flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOPS")
			})
		}
	}
}
