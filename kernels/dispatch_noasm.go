//go:build !amd64 || noasm

package kernels

import (
	goruntime "runtime"
	"unsafe"

	"armor/kernels/ref"
)

// BestISA is the fastest instruction set of this processor and build.
func BestISA() ISA { return Ref }

func pause() { goruntime.Gosched() }

func (c *CPU) dense(t denseTypes, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k int, y *float32, ldy int, sum bool) {
	denseRef(t, tiles, mr, w, stride, x, k, y, ldy, sum)
}

func (c *CPU) sparse(t denseTypes, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k int, y *float32, ldy int, sum bool) {
	sparseRef(t, tiles, mr, w, stride, x, k, y, ldy, sum)
}

func (c *CPU) lanesTiles(t denseTypes, vectors int, w unsafe.Pointer, stride, values int, x unsafe.Pointer, k, tiles int, sums *float32, sum bool) {
	lanesRef(t, vectors, w, stride, values, x, k, tiles, sums, sum)
}

func (c *CPU) lanesPairs([]byte, []byte, int) { panic("kernels: no pairs of bf16 here") }

func (c *CPU) ints(t denseTypes, sparse bool, tiles, mr int, w unsafe.Pointer, stride int, x unsafe.Pointer, k, block int, y *float32, ldy int, sum bool) {
	intsRef(t, sparse, tiles, mr, w, stride, x, k, block, y, ldy, sum)
}

func (c *CPU) intTiles(denseTypes, bool, []unsafe.Pointer, int, unsafe.Pointer, int, int, *float32, int, bool, int, int) {
	panic("kernels: no AMX here")
}

func (c *CPU) quantizeRows(dst []byte, src []float32, ld, rows, k, block, mr, flip int) {
	ref.QuantizeRows(dst, src, ld, rows, k, block, mr, byte(max(flip, 0)))
}

func (c *CPU) quantizeWeights(codes []int8, scales []uint16, x []float32, group, bits int) (done int) {
	return ref.QuantizeWeights(codes, scales, x, group, bits)
}

func hasVNNI() bool { return false }

func (c *CPU) rows(dst []uint16, pitch int, src []float32, ld, rows, k int) {
	ref.RowsBF16(dst, pitch, src, ld, rows, k)
}

func (c *CPU) tiles(bool, []unsafe.Pointer, int, unsafe.Pointer, int, int, *float32, int, bool) {
	panic("kernels: no AMX here")
}

func (c *CPU) diagonalSums(*packed, int, int, int, []float32, int, []float32, int, bool) {
	panic("kernels: no AMX here")
}

func (c *CPU) diagonalInts(*packed, int, int, int, []byte, []float32, int, bool) {
	panic("kernels: no AMX here")
}

func (c *CPU) diagonalRound(*packed, int, int, int, []float32, int, []uint16, int) {
	panic("kernels: no AMX here")
}

func (c *CPU) panels(bool, []unsafe.Pointer, int, unsafe.Pointer, int, int, *float32, int, *float32, int, bool) {
	panic("kernels: no AMX here")
}

func (c *CPU) tileSums([]unsafe.Pointer, int, int, int, unsafe.Pointer, int, *float32, int) {
	panic("kernels: no AMX here")
}

func (c *CPU) sumSquares(x []float32) float32                 { return ref.SumSquares(x) }
func (c *CPU) scaleMul(dst, x, w []float32, s float32)        { ref.ScaleMul(dst, x, w, s) }
func (c *CPU) swiGLU(dst, gate, up []float32)                 { ref.SwiGLU(dst, gate, up) }
func (c *CPU) max(x []float32) float32                        { return ref.Max(x) }
func (c *CPU) expSum(x []float32, scale, max float32) float32 { return ref.ExpSum(x, scale, max) }
func (c *CPU) rope(x, cos, sin []float32)                     { ref.Rope(x, cos, sin) }
func (c *CPU) scale(x []float32, s float32)                   { ref.Scale(x, s) }
func (c *CPU) add(dst, x []float32)                           { ref.Add(dst, x) }

func (c *CPU) toBF16(dst []uint16, src []float32) { ref.ToBF16(dst, src) }

func fromBF16(dst []float32, src []uint16) { ref.FromBF16(dst, src) }

func fromF16(dst []float32, src []uint16) { ref.FromF16(dst, src) }

func scaleCodes(dst []float32, codes []byte, offset int32, scales, less []float32, each int) {
	ref.ScaleCodes(dst, codes, offset, scales, less, each)
}

func bitFields(codes, src []byte, fields []BitField, mask byte, up int, add bool) {
	ref.BitFields(codes, src, fields, mask, up, add)
}

func maxAbs(x []float32) float32 { return ref.MaxAbs(x) }

func (c *CPU) quantizeInt8(codes []int8, x []float32) float32 { return ref.QuantizeInt8(codes, x) }

func (c *CPU) codesToBF16(dst []uint16, src []int8) { ref.CodesToBF16(dst, src) }

func (c *CPU) keyScores(y, scales *[16]float32, q, k []float32) { ref.KeyScores(y, scales, q, k) }

func (c *CPU) hadamard(x []float32) { ref.Hadamard(x) }

func (c *CPU) panel(t denseTypes, dst []byte, src []float32, ld, rows, k, mr int) {
	switch {
	case t == bf16bf16:
		ref.PanelBF16(asU16(dst), src, ld, rows, k, mr)
	case t == bf16f32 && c.compute == BF16:
		ref.PanelF32Round(asF32(dst), src, ld, rows, k, mr)
	default:
		ref.PanelF32(asF32(dst), src, ld, rows, k, mr)
	}
}
