//go:build amd64 && !noasm

package amd64

import (
	"encoding/binary"
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

// intAVX2Kernel is a row of the generated table.
type intAVX2Kernel struct {
	name                 string
	bits                 int
	sparse               bool
	block, tiles, tokens int
	run                  func(tiles, tokens int, w unsafe.Pointer, wstride int, x unsafe.Pointer, k, block int, y *float32, ldy, add int)
}

// intAVX2Case is one product. Its tiles are stride bytes apart.
type intAVX2Case struct {
	k, stride, ldy int
	plain, w, x    []byte // plain has the positions that ref.Int reads
	y              []float32
}

// intAVX2Codes are what codes are drawn from: all, the largest of both signs, or
// the largest of one sign.
type intAVX2Codes int

const (
	allCodes intAVX2Codes = iota
	largestCodes
	equalCodes
	codeKinds
)

func (c intAVX2Codes) draw(rng *rand.Rand, most int) int8 {
	switch {
	case c == allCodes:
		return int8(rng.IntN(2*most+1) - most)
	case c == largestCodes && rng.IntN(2) == 0:
		return int8(-most)
	}
	return int8(most)
}

func newIntAVX2Case(d *intAVX2Kernel, rng *rand.Rand, k, pad int, codes intAVX2Codes) *intAVX2Case {
	inputs := k * d.block
	scales, size := ref.IntTile(d.bits, inputs, d.block, d.sparse)
	o := &intAVX2Case{k: k, stride: scales + size + pad, ldy: 16*d.tiles + denseGap}
	o.plain = make([]byte, d.tiles*o.stride-pad)
	o.w = make([]byte, len(o.plain))
	if k > 0 {
		for row := range 16 * d.tiles {
			o.packRow(d, rng, row, codes)
		}
	}
	o.x = intAVX2Record(rng, k, d.block, d.tokens, codes)
	o.y = kerneltest.Normal(rng, (d.tokens-1)*o.ldy+16*d.tiles)
	return o
}

// packRow makes a row: one in twenty is unused, its positions all 0.
func (o *intAVX2Case) packRow(d *intAVX2Kernel, rng *rand.Rand, row int, kind intAVX2Codes) {
	kept := o.k * d.block
	if d.sparse {
		kept /= 2
	}
	codes, positions, scales := make([]int8, kept), make([]uint8, o.k*d.block/4), make([]uint16, o.k)
	if rng.IntN(20) > 0 {
		sign := int8(1 - 2*rng.IntN(2))
		for i := range codes {
			codes[i] = sign * kind.draw(rng, 1<<(d.bits-1)-1)
		}
		for i := range positions {
			positions[i] = uint8(rng.IntN(sparse24.Masks))
		}
		sparse24.ToPositions(positions, positions)
		for i := range scales {
			switch scale := float16.Fromfloat32(float32(rng.NormFloat64() / 64)).Bits(); rng.IntN(8) {
			case 0: // 0 to the largest subnormal
				scales[i] = scale & 0x83ff
			case 1:
				scales[i] = 0
			default:
				scales[i] = scale
			}
		}
	}
	at := row / 16 * o.stride
	if d.sparse {
		ref.PackIntSparse(o.plain[at:], d.bits, row%16, codes, positions, scales)
		ref.PackIntSparseSpread(o.w[at:], d.bits, row%16, codes, positions, scales)
	} else {
		ref.PackInt(o.plain[at:], d.bits, d.block, row%16, codes, scales)
		copy(o.w[at:], o.plain[at:])
	}
}

// intAVX2Record is random activations; some blocks are zeros, some have a scale
// that is no number.
func intAVX2Record(rng *rand.Rand, k, block, mr int, kind intAVX2Codes) []byte {
	size := ref.BlockRecord(block, mr)
	x := make([]byte, k*size)
	for b := range k {
		record := x[b*size:][:size]
		for i := range mr {
			scale, sum := float32(rng.Float64()), int32(0)
			sign := int8(1 - 2*rng.IntN(2))
			special := rng.IntN(40)
			for j := range block {
				code := sign * kind.draw(rng, 127)
				if special < 4 {
					code = 0
				}
				record[i*block+j] = byte(code)
				sum += int32(code)
			}
			switch special {
			case 0, 1:
				scale = 0
			case 2:
				scale = float32(math.Inf(1))
			case 3:
				scale = float32(math.NaN())
			case 4:
				scale = 0x1p-130
			}
			binary.LittleEndian.PutUint32(record[mr*block+4*i:], math.Float32bits(scale))
			binary.LittleEndian.PutUint32(record[mr*(block+4)+4*i:], uint32(sum))
		}
	}
	return x
}

func (o *intAVX2Case) want(d *intAVX2Kernel, add bool) []float32 {
	y := slices.Clone(o.y)
	for t := range d.tiles {
		if o.k == 0 { // ref.Int takes no tile of no blocks
			for i := range y {
				if !add && i%o.ldy < 16*d.tiles {
					y[i] = 0
				}
			}
			break
		}
		ref.Int(o.plain[t*o.stride:], d.bits, d.block, d.sparse, o.x, o.k, d.tokens, y[16*t:], o.ldy, add, 0)
	}
	return y
}

// oneNaN gives all NaNs the same bits: which of two a sum keeps is not told.
func oneNaN(x []float32) []float32 {
	for i, v := range x {
		if v != v {
			x[i] = float32(math.NaN())
		}
	}
	return x
}

// TestIntAVX2: the bits of the reference for all numbers of blocks and some more,
// with operands that end at pages which must not be touched.
func TestIntAVX2(t *testing.T) {
	for i := range intAVX2Kernels {
		d := &intAVX2Kernels[i]
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, kerneltest.AVX2)
			const most, pad = 65, 8
			rng := kerneltest.Rand(uint64(i))
			scales, size := ref.IntTile(d.bits, most*d.block, d.block, d.sparse)
			gw := kerneltest.NewGuard[uint8](t, d.tiles*(scales+size+pad))
			gx := kerneltest.NewGuard[uint8](t, most*ref.BlockRecord(d.block, d.tokens))
			gy := kerneltest.NewGuard[float32](t, d.tokens*(16*d.tiles+denseGap))
			for _, k := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32, most} {
				for kind := range codeKinds {
					o := newIntAVX2Case(d, rng, k, pad, kind)
					for add := range 2 {
						want := oneNaN(o.want(d, add == 1))
						for _, place := range kerneltest.Places {
							y := gy.Copy(o.y, place)
							w, x := gw.Copy(o.w, place), gx.Copy(o.x, place)
							d.run(d.tiles, d.tokens, unsafe.Pointer(unsafe.SliceData(w)), o.stride, unsafe.Pointer(unsafe.SliceData(x)), k, d.block, &y[0], o.ldy, add)
							gy.Check(t)
							kerneltest.Equal(t, fmt.Sprintf("%d blocks, codes %d, %+v", k, kind, place), oneNaN(y), want)
						}
					}
				}
			}
		})
	}
}
