//go:build !amd64 || noasm

package block

import "armor/kernels/ref"

func (m Math) mul(c []float32, ldc, op int, a []float32, ars, acs int, b []float32, ldb, rows, cols, inner int, _ []float32) {
	ref.BlockMul(c, ldc, op, a, ars, acs, b, ldb, rows, cols, inner)
}

func (m Math) transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	ref.BlockTranspose(dst, ldd, src, lds, rows, cols)
}

func (m Math) squaredError(a, b []float32) float64 { return ref.BlockSquaredError(a, b) }

func (m Math) adam(x, down, first, second []float32, rate, scale float32) {
	ref.Adam(x, down, first, second, rate, scale)
}

func (m Math) adamKept(x []float32, mask []uint8, down, first, second []float32, rate, scale float32) {
	ref.AdamKept(x, mask, down, first, second, rate, scale)
}

func (m Math) absSums(sums []float64, x []float32) { ref.AbsSums(sums, x) }

func (m Math) add(dst, x []float32) { ref.Add(dst, x) }

func (m Math) carry(values, s []float32, mask []uint8, from []float32, maskFrom []uint8, was []float32, maskWas []uint8, beyond, momentum float32) {
	ref.Carry(values, s, mask, from, maskFrom, was, maskWas, beyond, momentum)
}

// Scratch is the memory of one Descend at a time. The zero value is ready.
type Scratch struct{ refScratch }

func (s *Scratch) reset(_ Math, cols int) { s.refScratch.reset(cols) }

func (m Math) descendRows(p *Pairs, cores []Core, gb []float32, ldgb, cols, first, i int, scratch *Scratch) {
	descendRowsRef(p, cores, gb, ldgb, cols, first, i, &scratch.refScratch)
}
