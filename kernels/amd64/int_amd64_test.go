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

// intKernel is a kernel of integers, of all its shapes.
type intKernel struct {
	name   string
	isa    kerneltest.ISA
	bits   int // of a weight
	sparse bool
	shapes [][2]int // tiles by tokens; nil where there may be any, to 64 tokens
	run    func(tiles, tokens int, w unsafe.Pointer, wstride int, x unsafe.Pointer, k, block int, y *float32, ldy, add int)
}

var intKernels = slices.Concat(intVNNIKernels, intAVX2Kernels, intAMXKernels)

// flip is how the kernel takes activations.
func (d *intKernel) flip() byte {
	if d.sparse && d.isa == kerneltest.AVX512VNNI {
		return 0x80
	}
	return 0
}

func (d *intKernel) blocks() []int {
	if d.sparse {
		return []int{ref.SparseBlock}
	}
	return []int{32, 64}
}

// intNumbers says what operands are like.
type intNumbers int

const (
	intFinite  intNumbers = iota
	intSpecial            // scales of activations are NaN and infinite, too
	intExact              // scales are 1: sums are whole, and known without package ref
	intKinds
)

const intPad = 72 // bytes between weight tiles

// intCase is one product.
type intCase struct {
	d                       *intKernel
	tiles, tokens, k, block int
	numbers                 intNumbers
	ldy, stride             int
	plain, w                []byte    // [tiles, stride] without the last pad; plain as ref.Int reads it
	rows                    [][]int8  // [16·tiles][k·block]: codes and zeros
	x                       []byte    // [k] records
	y                       []float32 // [tokens, ldy]: before
	sums                    []float32 // [tokens, ldy]
}

func newIntCase(d *intKernel, rng *rand.Rand, tiles, tokens, k, block int, numbers intNumbers) *intCase {
	o := &intCase{d: d, tiles: tiles, tokens: tokens, k: k, block: block, numbers: numbers, ldy: 16*tiles + denseGap, stride: intPad}
	if k > 0 {
		scales, codes := ref.IntTile(d.bits, k*block, block, d.sparse)
		o.stride += scales + codes
	}
	o.plain = make([]byte, tiles*o.stride-intPad)
	o.w = make([]byte, len(o.plain))
	for row := range 16 * tiles {
		o.packRow(rng, row)
	}
	for range k {
		o.x = append(o.x, o.record(rng)...)
	}
	o.y = kerneltest.Normal(rng, (tokens-1)*o.ldy+16*tiles)
	o.sums = make([]float32, len(o.y))
	for t := 0; k > 0 && t < tiles; t++ {
		ref.Int(o.plain[t*o.stride:], d.bits, block, d.sparse, o.x, k, tokens, o.sums[16*t:], o.ldy, false, d.flip())
	}
	return o
}

// packRow makes a row of codes, now and then only of the largest, in groups of all
// masks, and of those that a row of fewer inputs has: none, at 0 and 0.
func (o *intCase) packRow(rng *rand.Rand, row int) {
	if o.k == 0 {
		o.rows = append(o.rows, nil)
		return
	}
	d, n := o.d, o.k*o.block
	if d.sparse {
		n /= 2
	}
	least, most := -1<<(d.bits-1), 1<<(d.bits-1)-1 // in dense ones as GGUF has them
	if d.sparse && d.bits == 8 {
		least = -most
	}
	codes, scales, kind := make([]int8, n), make([]uint16, o.k), rng.IntN(8)
	for i := range codes {
		switch {
		case kind == 0 || kind == 2 && rng.IntN(2) == 0:
			codes[i] = int8(most)
		case kind <= 2:
			codes[i] = int8(least)
		default:
			codes[i] = int8(rng.IntN(most-least+1) + least)
		}
	}
	for i := range scales {
		scales[i] = intScale(rng, o.numbers)
	}
	at := row / 16 * o.stride
	if !d.sparse {
		ref.PackInt(o.plain[at:], d.bits, o.block, row%16, codes, scales)
		ref.PackInt(o.w[at:], d.bits, o.block, row%16, codes, scales)
		o.rows = append(o.rows, codes)
		return
	}
	positions, all := make([]uint8, n/2), make([]int8, 2*n)
	for i := range positions {
		positions[i] = uint8(rng.IntN(sparse24.Masks))
	}
	sparse24.ToPositions(positions, positions)
	for i := range positions {
		if rng.IntN(9) == 0 || row%16 == 13 && kind > 5 {
			positions[i], codes[2*i], codes[2*i+1] = 0, 0, 0
		}
		all[4*i+int(positions[i]&3)] = codes[2*i]
		all[4*i+int(positions[i]>>2)] += codes[2*i+1]
	}
	ref.PackIntSparse(o.plain[at:], d.bits, row%16, codes, positions, scales)
	if d.isa == kerneltest.AVX2 {
		ref.PackIntSparseSpread(o.w[at:], d.bits, row%16, codes, positions, scales)
	} else {
		ref.PackIntSparse(o.w[at:], d.bits, row%16, codes, positions, scales)
	}
	o.rows = append(o.rows, all)
}

// intScale is an f16.
func intScale(rng *rand.Rand, numbers intNumbers) uint16 {
	n := rng.IntN(16)
	switch {
	case numbers == intExact:
		return 0x3c00
	case n == 0:
		return uint16(rng.IntN(2)) << 15 // zeros
	case n == 1:
		return uint16(rng.IntN(2))<<15 | uint16(rng.IntN(0x400)) // subnormal
	case n == 2:
		return 0x7bff // the largest
	}
	return float16.Fromfloat32(float32(rng.NormFloat64() / 64)).Bits()
}

// record is a block of activations as ref.QuantizeRows makes them: codes of which
// now and then all are the largest, or zeros with a scale that says why.
func (o *intCase) record(rng *rand.Rand) []byte {
	record := make([]byte, ref.BlockRecord(o.block, o.tokens))
	for i := range o.tokens {
		kind, scale, sum := rng.IntN(20), float32(math.Abs(rng.NormFloat64())), int32(0)
		zero := kind < 2 || kind < 5 && o.numbers == intSpecial
		for j := range o.block {
			code := rng.IntN(255) - 127
			switch {
			case zero:
				code = 0
			case kind < 6, kind == 7 && code > 0:
				code = 127
			case kind < 8:
				code = -127
			}
			record[i*o.block+j] = byte(code) ^ o.d.flip()
			sum += int32(code)
		}
		switch {
		case o.numbers == intExact:
			scale = 1
		case !zero && kind > 16:
			scale = []float32{0x1p-107, 0x1p-130, 0x1p60}[kind-17]
		case zero:
			scale = []float32{0, 0, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[kind]
		}
		binary.LittleEndian.PutUint32(record[o.tokens*o.block+4*i:], math.Float32bits(scale))
		binary.LittleEndian.PutUint32(record[o.tokens*(o.block+4)+4*i:], uint32(sum))
	}
	return record
}

func (o *intCase) multiply(w, x []byte, y []float32, add int) {
	o.d.run(o.tiles, o.tokens, unsafe.Pointer(unsafe.SliceData(w)), o.stride, unsafe.Pointer(unsafe.SliceData(x)), o.k, o.block, &y[0], o.ldy, add)
}

// want is y afterwards, with the gaps between tokens.
func (o *intCase) want(add int) []float32 {
	y := slices.Clone(o.y)
	for i, sum := range o.sums {
		switch {
		case i%o.ldy >= 16*o.tiles:
		case add == 1:
			y[i] += sum
		default:
			y[i] = sum
		}
	}
	return y
}

func (o *intCase) String() string {
	return fmt.Sprintf("%s: %d tiles, %d tokens, %d blocks of %d, numbers %d", o.d.name, o.tiles, o.tokens, o.k, o.block, o.numbers)
}

// checkExact: package ref is no judge of its own layouts.
func (o *intCase) checkExact(t *testing.T) {
	t.Helper()
	for i := range o.tokens {
		for n, codes := range o.rows {
			want := 0
			for j, c := range codes {
				record := o.x[j/o.block*ref.BlockRecord(o.block, o.tokens):]
				want += int(c) * int(int8(record[i*o.block+j%o.block]^o.d.flip()))
			}
			if got := o.sums[i*o.ldy+n]; got != float32(want) {
				t.Fatalf("%v: token %d, row %d: ref: got %v, want %v", o, i, n, got, want)
			}
		}
	}
}

// sameBits fails the test unless all bits are those wanted; a NaN is any NaN.
func sameBits(tb testing.TB, what string, got, want []float32) {
	tb.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			tb.Fatalf("%s: element %d of %d: got %v (%#x), want %v (%#x)", what, i, len(got), got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// intGuards holds operands of one kernel.
type intGuards struct {
	w, x *kerneltest.Guard[uint8]
	y    *kerneltest.Guard[float32]
}

const intMaxTiles, intMaxTokens = 5, 64

func newIntGuards(t *testing.T, d *intKernel, blocks int) *intGuards {
	scales, codes := ref.IntTile(d.bits, 64*blocks, 64, d.sparse)
	tokens := intMaxTokens
	if d.shapes != nil {
		tokens = 12
	}
	return &intGuards{
		kerneltest.NewGuard[uint8](t, intMaxTiles*(2*scales+codes+intPad)),
		kerneltest.NewGuard[uint8](t, blocks*ref.BlockRecord(64, tokens)),
		kerneltest.NewGuard[float32](t, tokens*(16*intMaxTiles+denseGap)),
	}
}

func (g *intGuards) check(t *testing.T, o *intCase, places []kerneltest.Place) {
	t.Helper()
	if o.numbers == intExact {
		o.checkExact(t)
	}
	for add := range 2 {
		want := o.want(add)
		for _, place := range places {
			y := g.y.Copy(o.y, place)
			o.multiply(g.w.Copy(o.w, place), g.x.Copy(o.x, place), y, add)
			sameBits(t, fmt.Sprintf("%v, %+v, add %d", o, place, add), y, want)
			g.y.Check(t)
		}
	}
}

// TestInt: the bits of ref.Int for all shapes and numbers of blocks, everywhere in
// memory; and those of whole numbers.
func TestInt(t *testing.T) {
	const few = 9 // blocks, up to which all are tested
	for i := range intKernels {
		d := &intKernels[i]
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, d.isa)
			rng, n := kerneltest.Rand(uint64(i)), 0
			for _, long := range []bool{false, true} {
				numbersOfBlocks, guards := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, few}, newIntGuards(t, d, few)
				if long {
					numbersOfBlocks, guards = []int{32, 33, 150}, newIntGuards(t, d, 150)
				}
				for _, k := range numbersOfBlocks {
					for _, block := range d.blocks() {
						for numbers := range intKinds {
							if long && numbers != intFinite {
								continue // the reference is slow, and sums of codes exceed 2²⁴
							}
							d.each(n, long, func(tiles, tokens int, places []kerneltest.Place) {
								guards.check(t, newIntCase(d, rng, tiles, tokens, k, block, numbers), places)
							})
							n++
						}
					}
				}
			}
		})
	}
}

// each calls f with all shapes of the kernel; of those that take any, in turn n,
// with a third of them, which have the places in turn, too.
func (d *intKernel) each(n int, long bool, f func(tiles, tokens int, places []kerneltest.Place)) {
	all := kerneltest.Places[:]
	step := 1
	if long {
		step = 5
		all = []kerneltest.Place{all[n%4], all[4+n%4]}
	}
	for _, shape := range d.shapes {
		f(shape[0], shape[1], all)
	}
	if d.shapes != nil {
		return
	}
	for tokens := 1 + (n+n/3)%3; tokens <= intMaxTokens; tokens += 3 * step {
		if few := tokens % 16; tokens > 32 && few > 1 && few < 15 && (tokens+n)%7 > 0 {
			continue // the reference is slow
		}
		f(1+(n+tokens)*7%intMaxTiles, tokens, []kerneltest.Place{all[n%len(all)], all[(n+tokens)%len(all)]})
	}
}
