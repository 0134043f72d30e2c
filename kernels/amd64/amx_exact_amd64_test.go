//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
)

// exactTileCase is a product of whole numbers, with its result. Weights are laid out
// by what package ref packs with, or by the definition.
func exactTileCase(kind *tileKind, seed uint64, tiles, tokens, in int) (o *tileCase, want []float32) {
	rng := kerneltest.Rand(seed)
	o = newTileCase(kind.name, rng, tiles, tokens, in, func() float32 { return float32(rng.IntN(17) - 8) })
	w := kerneltest.Integers(rng, 16*tiles*in, 8) // [16·tiles, in]
	put := func(at int, words []uint16) {
		copy(unsafe.Slice((*uint16)(unsafe.Pointer(&o.w[at])), len(words)), words)
	}
	switch kind.name {
	case "sparse", "sparsePanel":
		s := newSparse(seed, 16, 16*tiles, in, 0, true)
		w = s.dense
		for t, at := range o.at {
			copy(o.w[at:], s.w[t*len(s.w)/tiles:][:len(s.w)/tiles])
		}
	case "dense", "densePanel":
		for t, at := range o.at {
			tile := make([]uint16, 16*in)
			ref.PanelBF16(tile, w[16*t*in:], in, 16, in, 16)
			put(at, tile)
		}
	default: // of 16 inputs [tiles][pair][row][2]
		for r := range 16 * tiles {
			for i := range in {
				put(o.at[i/16]+2*(r/16*256+i%16/2*32+r%16*2+i%2), []uint16{ref.BF16Bits(w[r*in+i])})
			}
		}
	}
	x := make([]float32, len(o.x))
	ref.FromBF16(x, o.x)
	want = slices.Clone(o.y)
	for i := range tokens {
		for n := range 16 * tiles {
			sum, _ := kerneltest.Dot(x[i*o.ldx:][:in], w[n*in:][:in])
			want[i*o.ldy+n] += float32(sum)
		}
	}
	return o, want
}

// TestAMXExact: the reference is no judge of its own layouts; sums of whole
// numbers are the same in any order.
func TestAMXExact(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	for i := range tileKinds {
		kind := &tileKinds[i]
		g := newTileGuards(t, kind, 5, 608)
		for n, tokens := range []int{1, 2, 15, 16, 17, 31, 32, 33, 64, 77, 100} {
			for tiles := 1 + n%2; tiles <= 5 && tokens <= kind.most; tiles += 3 {
				in := []int{32, 64, 288, 608}[(n+tiles)%4]
				if kind.multi < 32 {
					in = 4 * (1 + (7*n+5*tiles)%70)
				}
				o, want := exactTileCase(kind, uint64(8*n+tiles), tiles, tokens, in)
				got := slices.Clone(o.y)
				kind.ref(o, got, true)
				what := fmt.Sprintf("%s: %d tiles, %d tokens, %d inputs", kind.name, tiles, tokens, in)
				if kerneltest.Equal(t, "ref, "+what, got, want) {
					g.check(t, kind, o, kerneltest.Places[(n+3*tiles)%len(kerneltest.Places)], true)
				}
			}
		}
	}
}

// TestTDPBF16PS sets the instruction beside its reference where their arithmetic
// has edges: subnormals in, between and out, overflow, infinities, NaN, and
// numbers so far apart that a second rounding would show.
func TestTDPBF16PS(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	rng := kerneltest.Rand(5)
	for round := range 400 {
		spread := 1 + rng.IntN(250)
		around := rng.IntN(255)
		number := func() float32 {
			exp := min(max(around+rng.IntN(spread)-spread/2, 0), 255)
			if round%3 != 0 {
				exp = min(exp, 190)
			}
			return math.Float32frombits(rng.Uint32()&0x807f0000 | uint32(exp)<<23)
		}
		o := newTileCase("dense", rng, 1, 16, 2*(1+rng.IntN(40)), number)
		got, want := slices.Clone(o.y), slices.Clone(o.y)
		tileKinds[0].run(o, []unsafe.Pointer{unsafe.Pointer(&o.w[0])}, unsafe.Pointer(&o.x[0]), &got[0], 0)
		tileKinds[0].ref(o, want, false)
		for i := range got {
			same := math.Float32bits(got[i]) == math.Float32bits(want[i]) || got[i] != got[i] && want[i] != want[i]
			if !same {
				t.Fatalf("%d inputs around 2^%d: element %d: got %v (%#x), want %v (%#x)", o.in, around-127, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
			}
		}
	}
}

// TestTDPBF16PSTiny has sums beside the smallest normal number, 2⁻¹²⁶, of even
// inputs, of even and odd ones, and of two instructions.
func TestTDPBF16PSTiny(t *testing.T) {
	kerneltest.Need(t, kerneltest.AMX)
	for _, at := range []int{2, 1, 32} { // of the second product
		for _, less := range []int{-148, -149, -150, -151, -152} {
			for _, sign := range []float64{1, -1} {
				o := newTileCase("dense", kerneltest.Rand(1), 1, 1, 34, func() float32 { return 0 })
				w := unsafe.Slice((*uint16)(unsafe.Pointer(&o.w[0])), 34*16)
				put := func(input int, a, b float64) {
					o.x[input] = ref.BF16Bits(float32(a))
					w[input/2*32+input%2] = ref.BF16Bits(float32(b))
				}
				put(0, math.Ldexp(1, -63), math.Ldexp(sign, -63))
				put(at, math.Ldexp(1, less+70), math.Ldexp(-sign, -70))
				got, want := slices.Clone(o.y), slices.Clone(o.y)
				tileKinds[0].run(o, []unsafe.Pointer{unsafe.Pointer(&o.w[0])}, unsafe.Pointer(&o.x[0]), &got[0], 0)
				tileKinds[0].ref(o, want, false)
				kerneltest.Equal(t, fmt.Sprintf("±(2^-126 - 2^%d), inputs 0 and %d", less, at), got, want)
			}
		}
	}
}
