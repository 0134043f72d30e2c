//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
	"armor/kernels/sparse24"

	"github.com/x448/float16"
)

// vnniKernel is a row of the generated table.
type vnniKernel struct {
	name   string
	isa    kerneltest.ISA
	bits   int // of a weight
	sparse bool
	run    func(tiles, tokens int, w unsafe.Pointer, wstride int, x unsafe.Pointer, k, block int, y *float32, ldy, add int)
}

// flip is how the kernel takes activations.
func (d *vnniKernel) flip() byte {
	if d.sparse {
		return 0x80
	}
	return 0
}

func (d *vnniKernel) blocks() []int {
	if d.sparse {
		return []int{ref.SparseBlock}
	}
	return []int{32, 64}
}

// intShapes are tiles by tokens.
var intShapes = [][2]int{{1, 1}, {4, 1}, {1, 4}, {4, 4}, {1, 12}, {2, 12}}

// intNumbers says what operands are like.
type intNumbers struct {
	extreme bool // the largest codes only
	special bool // scales of weights and activations are NaN and infinite, too
}

// intWeights makes tiles of random codes, pad bytes apart.
func intWeights(rng *rand.Rand, d *vnniKernel, tiles, k, block, pad int, numbers intNumbers) (w []byte, stride int) {
	inputs := k * block
	if k > 0 {
		s, c := ref.IntTile(d.bits, inputs, block, d.sparse)
		stride = s + c
	}
	stride += pad
	w = make([]byte, tiles*stride)
	kept := inputs
	if d.sparse {
		kept /= 2
	}
	least, most := -127, 127
	if d.bits == 4 {
		least, most = -8, 7
	}
	codes, scales, positions := make([]int8, kept), make([]uint16, k), make([]uint8, inputs/4)
	for r := range 16 * tiles {
		for i := range codes {
			codes[i] = int8(rng.IntN(most-least+1) + least)
			if numbers.extreme {
				codes[i] = int8(most)
				if r%3 == 1 || r%3 == 2 && rng.IntN(2) == 0 {
					codes[i] = int8(least)
				}
			}
		}
		for i := range scales {
			scales[i] = intScale(rng, numbers)
		}
		tile := w[r/16*stride:]
		if k == 0 {
			continue
		}
		if !d.sparse {
			ref.PackInt(tile, d.bits, block, r%16, codes, scales)
			continue
		}
		for i := range positions {
			positions[i] = uint8(rng.IntN(sparse24.Masks))
		}
		sparse24.ToPositions(positions, positions)
		for i := range positions { // a row that is not there
			if r%16 == 13 || rng.IntN(9) == 0 {
				positions[i], codes[2*i], codes[2*i+1] = 0, 0, 0
			}
		}
		ref.PackIntSparse(tile, d.bits, r%16, codes, positions, scales)
	}
	return w[:max(0, len(w)-pad)], stride
}

func intScale(rng *rand.Rand, numbers intNumbers) uint16 {
	switch n := rng.IntN(16); {
	case n == 0:
		return 0
	case n < 3:
		return uint16(rng.IntN(0x400)) // subnormal
	case n < 5 && numbers.special:
		return []uint16{0x7c00, 0xfc00, 0x7e00}[rng.IntN(3)]
	}
	return float16.Fromfloat32(float32(rng.NormFloat64() / 64)).Bits()
}

// intRows makes activations, [tokens, inputs].
func intRows(rng *rand.Rand, tokens, inputs, block int, numbers intNumbers) []float32 {
	x := make([]float32, tokens*inputs)
	for at := 0; at < len(x); at += block {
		scale := math.Exp2(float64(rng.IntN(40) - 20))
		kind := rng.IntN(12)
		for i := range block {
			v := rng.NormFloat64() * scale
			if numbers.extreme {
				v = math.Copysign(scale, v+scale*float64(kind%3-1)*9)
			}
			switch kind {
			case 0:
				v = 0
			case 1:
				v *= 0x1p-110
			}
			x[at+i] = float32(v)
		}
		if numbers.special && kind < 5 {
			x[at+rng.IntN(block)] = float32([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}[kind%3])
		}
	}
	return x
}

type intHarness struct {
	t    *testing.T
	d    *vnniKernel
	w, x *kerneltest.Guard[uint8]
	y    *kerneltest.Guard[float32]
}

func newIntHarness(t *testing.T, d *vnniKernel, most int) *intHarness {
	s, c := ref.IntTile(d.bits, 64*most, 64, d.sparse)
	return &intHarness{t, d,
		kerneltest.NewGuard[uint8](t, 4*(2*s+c+72)),
		kerneltest.NewGuard[uint8](t, most*ref.BlockRecord(64, 12)),
		kerneltest.NewGuard[float32](t, 12*(64+denseGap)),
	}
}

// check compares all of y, with the gaps between tokens.
func (h *intHarness) check(rng *rand.Rand, tiles, tokens, k, block int, numbers intNumbers, place kerneltest.Place, add bool) {
	h.t.Helper()
	w, stride := intWeights(rng, h.d, tiles, k, block, 72, numbers)
	inputs := k * block
	x := make([]byte, k*ref.BlockRecord(block, tokens))
	rows := max(1, tokens-rng.IntN(3))
	ref.QuantizeRows(x, intRows(rng, tokens, inputs, block, numbers), inputs, rows, inputs, block, tokens, h.d.flip())
	ldy := 16*tiles + denseGap
	start := kerneltest.Normal(rng, (tokens-1)*ldy+16*tiles)
	want, flag := slices.Clone(start), 0
	if add {
		flag = 1
	}
	for i := range want {
		if k == 0 && i%ldy < 16*tiles && !add {
			want[i] = 0 // ref.Int has no tile without blocks
		}
	}
	for t := 0; k > 0 && t < tiles; t++ {
		ref.Int(w[t*stride:], h.d.bits, block, h.d.sparse, x, k, tokens, want[16*t:], ldy, add, h.d.flip())
	}
	y := h.y.Copy(start, place)
	h.d.run(tiles, tokens, unsafe.Pointer(unsafe.SliceData(h.w.Copy(w, place))), stride,
		unsafe.Pointer(unsafe.SliceData(h.x.Copy(x, place))), k, block, &y[0], ldy, flag)
	for i, v := range want { // any NaN is as good as another
		if v != v && y[i] != y[i] {
			y[i] = v
		}
	}
	kerneltest.Equal(h.t, fmt.Sprintf("%s, %d tiles, %d tokens, %d blocks of %d, %+v, %+v", h.d.name, tiles, tokens, k, block, numbers, place), y, want)
	h.y.Check(h.t)
}

// TestVNNI: the bits of ref.Int.
func TestVNNI(t *testing.T) {
	const most = 33
	for i := range vnniKernels {
		d := &vnniKernels[i]
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, d.isa)
			h := newIntHarness(t, d, most)
			rng := kerneltest.Rand(uint64(i))
			n := 0
			for _, shape := range intShapes {
				for _, block := range d.blocks() {
					for k := range 11 {
						if k == 10 {
							k = most
						}
						for _, numbers := range []intNumbers{{}, {extreme: true}, {special: true}} {
							h.check(rng, shape[0], shape[1], k, block, numbers, kerneltest.Places[n%len(kerneltest.Places)], n/2%2 == 1)
							n++
						}
					}
				}
			}
		})
	}
}

// TestVNNIPlaces has all places of operands, and codes that stay within theirs.
func TestVNNIPlaces(t *testing.T) {
	for i := range vnniKernels {
		d := &vnniKernels[i]
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, d.isa)
			h := newIntHarness(t, d, 4)
			rng := kerneltest.Rand(uint64(i) + 100)
			for _, shape := range intShapes {
				for _, block := range d.blocks() {
					for _, place := range kerneltest.Places {
						for _, add := range []bool{false, true} {
							h.check(rng, shape[0], shape[1], 1+rng.IntN(4), block, intNumbers{}, place, add)
						}
					}
				}
			}
		})
	}
}
