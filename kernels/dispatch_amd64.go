//go:build amd64 && !noasm

package kernels

import (
	"unsafe"

	"armor/kernels/amd64"
	"armor/kernels/ref"

	"github.com/klauspost/cpuid/v2"
)

// BestISA is the fastest instruction set of this processor.
func BestISA() ISA {
	has := func(f ...cpuid.FeatureID) bool { return cpuid.CPU.Supports(f...) }
	switch {
	case !has(cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.BMI2):
		return Ref
	case !has(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ):
		return AVX2
	case !has(cpuid.AVX512BF16):
		return AVX512
	case !has(cpuid.AMXTILE, cpuid.AMXBF16, cpuid.AMXINT8, cpuid.AVX512VNNI, cpuid.AVX512VBMI) || !amd64.RequestAMX():
		return AVX512BF16
	default:
		return AMX
	}
}

// hasVNNI says whether the processor has what AVX-512 kernels of integers need.
func hasVNNI() bool { return cpuid.CPU.Supports(cpuid.AVX512VNNI, cpuid.AVX512VBMI) }

func pause() { amd64.Pause() }

// flag is a bool as assembly takes it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// dense runs one dense kernel, see package ref: tiles of 16 rows by mr tokens.
func (c *CPU) dense(t denseTypes, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k int, y *float32, ldy int, sum bool) {
	add := flag(sum)
	switch {
	case c.isa >= AVX512BF16 && t == bf16bf16:
		amd64.DenseBF16BF16AVX512BF16(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa >= AVX512 && t == bf16f32:
		amd64.DenseBF16F32AVX512(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa >= AVX512 && t == f32f32:
		amd64.DenseF32F32AVX512(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa == AVX2 && t == bf16f32:
		amd64.DenseBF16F32AVX2(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa == AVX2 && t == f32f32:
		amd64.DenseF32F32AVX2(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa >= AVX512 && t == int8f32:
		amd64.DenseInt8F32AVX512(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa >= AVX512 && t == int4f32:
		amd64.DenseInt4F32AVX512(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa == AVX2 && t == int8f32:
		amd64.DenseInt8F32AVX2(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa == AVX2 && t == int4f32:
		amd64.DenseInt4F32AVX2(tiles, mr, w, stride, x, k, y, ldy, add)
	default:
		denseRef(t, tiles, mr, w, stride, x, k, y, ldy, sum)
	}
}

// ints runs one kernel of integers, see ref.Int: tiles of 16 rows by mr tokens, of
// which 2:4 kernels want them as takesU8 says.
func (c *CPU) ints(t denseTypes, sparse bool, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k, block int, y *float32, ldy int, sum bool) {
	add := flag(sum)
	switch {
	case c.isa >= AVX512 && sparse && t == int8int8:
		amd64.SparseInt8AVX512VNNI(tiles, mr, w, stride, x, k, block, y, ldy, add)
	case c.isa >= AVX512 && sparse:
		amd64.SparseInt4AVX512VNNI(tiles, mr, w, stride, x, k, block, y, ldy, add)
	case c.isa >= AVX512 && t == int8int8:
		amd64.DenseInt8AVX512VNNI(tiles, mr, w, stride, x, k, block, y, ldy, add)
	case c.isa >= AVX512:
		amd64.DenseInt4AVX512VNNI(tiles, mr, w, stride, x, k, block, y, ldy, add)
	case c.isa == AVX2 && sparse && t == int8int8:
		amd64.SparseInt8AVX2(tiles, mr, w, stride, x, k, block, y, ldy, add)
	case c.isa == AVX2 && sparse:
		amd64.SparseInt4AVX2(tiles, mr, w, stride, x, k, block, y, ldy, add)
	case c.isa == AVX2 && t == int8int8:
		amd64.DenseInt8AVX2(tiles, mr, w, stride, x, k, block, y, ldy, add)
	case c.isa == AVX2:
		amd64.DenseInt4AVX2(tiles, mr, w, stride, x, k, block, y, ldy, add)
	default:
		intsRef(t, sparse, tiles, mr, w, stride, x, k, block, y, ldy, sum)
	}
}

// intTiles runs a kernel of integers on AMX: 16 rows for each of w by mr tokens. After
// every so many of dense ones, x is step bytes further on.
func (c *CPU) intTiles(t denseTypes, sparse bool, w []unsafe.Pointer, mr int, x unsafe.Pointer, k, block int, y *float32, ldy int, sum bool, every, step int) {
	add := flag(sum)
	switch {
	case sparse && t == int8int8:
		amd64.SparseInt8AMX(&w[0], len(w), mr, x, k, block, y, ldy, add)
	case sparse:
		amd64.SparseInt4AMX(&w[0], len(w), mr, x, k, block, y, ldy, add)
	case t == int8int8:
		amd64.DenseInt8AMX(&w[0], len(w), mr, x, k, block, y, ldy, add, every, step)
	default:
		amd64.DenseInt4AMX(&w[0], len(w), mr, x, k, block, y, ldy, add, every, step)
	}
}

// quantizeRows makes blocks of integers, see ref.QuantizeRows; flip may be noSums.
func (c *CPU) quantizeRows(dst []byte, src []float32, ld, rows, k, block, mr, flip int) {
	if rows > 0 && k > 0 {
		_, _ = dst[k/block*ref.BlockRecord(block, mr)-1], src[(rows-1)*ld+k-1]
	}
	switch {
	case c.isa >= AVX512 && rows > 0 && k > 0:
		amd64.QuantizeRowsAVX512(&dst[0], &src[0], ld, rows, k, block, mr, flip)
	case c.isa == AVX2 && rows > 0 && k > 0:
		amd64.QuantizeRowsAVX2(&dst[0], &src[0], ld, rows, k, block, mr, flip)
	default:
		ref.QuantizeRows(dst, src, ld, rows, k, block, mr, byte(max(flip, 0)))
	}
}

// quantizeWeights rounds groups of weights, see ref.QuantizeWeights.
func (c *CPU) quantizeWeights(codes []int8, scales []uint16, x []float32, group, bits int) (done int) {
	groups, limit := len(scales), float32(int(1)<<(bits-1)-1)
	if groups > 0 {
		_, _ = codes[groups*group-1], x[groups*group-1]
	}
	switch {
	case groups == 0 || group%32 != 0 || c.isa == Ref:
		return ref.QuantizeWeights(codes, scales, x, group, bits)
	case c.isa == AVX2:
		return amd64.QuantizeWeightsAVX2(&codes[0], &scales[0], &x[0], groups, group, limit)
	default:
		return amd64.QuantizeWeightsAVX512(&codes[0], &scales[0], &x[0], groups, group, limit)
	}
}

// rows rounds rows of k inputs for the kernels on AMX.
func (c *CPU) rows(dst []uint16, pitch int, src []float32, ld, rows, k int) {
	if rows > 0 && k > 0 {
		_, _ = dst[(rows-1)*pitch+k-1], src[(rows-1)*ld+k-1]
		amd64.RowsBF16AVX512BF16(unsafe.Pointer(&dst[0]), pitch, &src[0], ld, rows, k)
	}
}

// tiles runs a kernel on AMX: 16 rows for each of w by mr tokens.
func (c *CPU) tiles(sparse bool, w []unsafe.Pointer, mr int, x unsafe.Pointer, pitch, k int, y *float32, ldy int, sum bool) {
	add := flag(sum)
	if sparse {
		amd64.SparseBF16BF16AMX(&w[0], len(w), mr, x, 2*pitch, k, y, ldy, add)
	} else {
		amd64.DenseBF16BF16AMX(&w[0], len(w), mr, x, 2*pitch, k, y, ldy, add)
	}
}

// diagonalSums multiplies blocks first … first+n-1 of m, which diagonals takes, by rows of
// x, where the first of their inputs begins, into y or, with sum, onto it.
func (c *CPU) diagonalSums(m *packed, first, n, rows int, x []float32, ldx int, y []float32, ldy int, sum bool) {
	_, _ = x[(rows-1)*ldx+n*m.block-1], y[(rows-1)*ldy+n*m.block-1]
	amd64.DiagonalBF16BF16AMX(m.tile(first*m.blockTiles()), m.block, n, rows, &x[0], ldx, unsafe.Pointer(&y[0]), ldy, flag(sum))
}

// diagonalRound does so and rounds to bf16.
func (c *CPU) diagonalRound(m *packed, first, n, rows int, x []float32, ldx int, z []uint16, ldz int) {
	_, _ = x[(rows-1)*ldx+n*m.block-1], z[(rows-1)*ldz+n*m.block-1]
	amd64.DiagonalRoundBF16BF16AMX(m.tile(first*m.blockTiles()), m.block, n, rows, &x[0], ldx, unsafe.Pointer(&z[0]), ldz)
}

// diagonalInts multiplies blocks first … first+n-1 of m, which diagonalCodes takes, by a
// tile of mr tokens, where the first of their inputs begins, into y or, with sum, onto it.
func (c *CPU) diagonalInts(m *packed, first, n, mr int, x []byte, y []float32, ldy int, sum bool) {
	_, _ = x[n*m.steps()*ref.BlockRecord(m.quant, mr)-1], y[(mr-1)*ldy+n*m.block-1]
	w, from := m.tile(first*m.blockTiles()), unsafe.Pointer(&x[0])
	if m.block == 64 {
		amd64.Diagonal64Int8AMX(w, n, mr, from, &y[0], ldy, flag(sum))
	} else {
		amd64.Diagonal128Int8AMX(w, n, mr, from, &y[0], ldy, flag(sum))
	}
}

// panels is tiles for many tokens and whole tile lines of inputs. sums, which
// may be y without sum, has room for what is not yet summed up.
func (c *CPU) panels(sparse bool, w []unsafe.Pointer, tokens int, x unsafe.Pointer, pitch, lines int, sums *float32, ldsums int, y *float32, ldy int, sum bool) {
	add := flag(sum)
	if sparse {
		amd64.SparsePanelBF16BF16AMX(&w[0], len(w), tokens, x, 2*pitch, lines, sums, ldsums, y, ldy, add)
	} else {
		amd64.DensePanelBF16BF16AMX(&w[0], len(w), tokens, x, 2*pitch, lines, sums, ldsums, y, ldy, add)
	}
}

// tileSums adds products of pieces of 16 inputs to y, the last of fewer pairs.
func (c *CPU) tileSums(w []unsafe.Pointer, last, tiles, mr int, x unsafe.Pointer, pitch int, y *float32, ldy int) {
	amd64.SumBF16BF16AMX(&w[0], len(w), last, tiles, mr, x, 2*pitch, y, ldy, 1)
}

// sparse runs one 2:4 kernel, see package ref: tiles of 16 rows by mr tokens.
func (c *CPU) sparse(t denseTypes, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k int, y *float32, ldy int, sum bool) {
	add := flag(sum)
	switch {
	case c.isa >= AVX512BF16 && t == bf16bf16:
		amd64.SparseBF16BF16AVX512BF16(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa >= AVX512 && t == bf16f32:
		amd64.SparseBF16F32AVX512(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa >= AVX512 && t == f32f32:
		amd64.SparseF32F32AVX512(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa == AVX2 && t == bf16f32:
		amd64.SparseBF16F32AVX2(tiles, mr, w, stride, x, k, y, ldy, add)
	case c.isa == AVX2 && t == f32f32:
		amd64.SparseF32F32AVX2(tiles, mr, w, stride, x, k, y, ldy, add)
	default:
		sparseRef(t, tiles, mr, w, stride, x, k, y, ldy, sum)
	}
}

// lanesTiles runs one kernel with tokens in the lanes, see ref.Lanes.
func (c *CPU) lanesTiles(t denseTypes, vectors int, w unsafe.Pointer, stride, values int, x unsafe.Pointer, k, tiles int, sums *float32, sum bool) {
	add := flag(sum)
	switch {
	case c.isa >= AVX512BF16 && t == bf16bf16:
		amd64.LanesBF16BF16AVX512BF16(vectors, w, stride, values, x, k, tiles, sums, add)
	case c.isa >= AVX512 && t == bf16f32:
		amd64.LanesBF16F32AVX512(vectors, w, stride, values, x, k, tiles, sums, add)
	case c.isa >= AVX512 && t == f32f32:
		amd64.LanesF32F32AVX512(vectors, w, stride, values, x, k, tiles, sums, add)
	case c.isa == AVX2 && t == bf16f32:
		amd64.LanesBF16F32AVX2(vectors, w, stride, values, x, k, tiles, sums, add)
	case c.isa == AVX2 && t == f32f32:
		amd64.LanesF32F32AVX2(vectors, w, stride, values, x, k, tiles, sums, add)
	default:
		lanesRef(t, vectors, w, stride, values, x, k, tiles, sums, sum)
	}
}

// lanesPairs makes all pairs of each group's inputs out of a panel of k inputs.
func (c *CPU) lanesPairs(dst, panel []byte, k int) {
	_, _ = dst[k/4*6*lanesTokens*4-1], panel[k*lanesTokens*2-1]
	amd64.LanesPairsAVX512(unsafe.Pointer(&dst[0]), unsafe.Pointer(&panel[0]), k/4)
}
