//go:build amd64 && !noasm

package block

import (
	"armor/kernels"
	"armor/kernels/amd64"
	"armor/kernels/ref"
)

// The operations of package ref.

func (m Math) mul(c []float32, ldc, op int, a []float32, ars, acs int, b []float32, ldb, rows, cols, inner int, ahead []float32) {
	switch {
	case inner > 0 && m.isa >= kernels.AVX512:
		amd64.BlockMulAVX512(c, ldc, op, a, ars, acs, b, ldb, rows, cols, inner, ahead)
	case inner > 0 && m.isa == kernels.AVX2:
		amd64.BlockMulAVX2(c, ldc, op, a, ars, acs, b, ldb, rows, cols, inner, ahead)
	default:
		ref.BlockMul(c, ldc, op, a, ars, acs, b, ldb, rows, cols, inner)
	}
}

func (m Math) transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	switch {
	case m.isa >= kernels.AVX512:
		amd64.BlockTransposeAVX512(dst, ldd, src, lds, rows, cols)
	case m.isa == kernels.AVX2:
		amd64.BlockTransposeAVX2(dst, ldd, src, lds, rows, cols)
	default:
		ref.BlockTranspose(dst, ldd, src, lds, rows, cols)
	}
}

func (m Math) squaredError(a, b []float32) float64 {
	switch {
	case m.isa >= kernels.AVX512:
		return amd64.SquaredErrorAVX512(a, b)
	case m.isa == kernels.AVX2:
		return amd64.SquaredErrorAVX2(a, b)
	default:
		return ref.BlockSquaredError(a, b)
	}
}

func (m Math) adam(x, down, first, second []float32, rate, scale float32) {
	n := 0
	switch {
	case m.isa >= kernels.AVX512 && len(x) >= 16:
		n = len(x) &^ 15
		amd64.AdamAVX512(&x[0], &down[0], &first[0], &second[0], n, rate, scale)
	case m.isa == kernels.AVX2 && len(x) >= 8:
		n = len(x) &^ 7
		amd64.AdamAVX2(&x[0], &down[0], &first[0], &second[0], n, rate, scale)
	}
	ref.Adam(x[n:], down[n:], first[n:], second[n:], rate, scale)
}

func (m Math) adamKept(x []float32, mask []uint8, down, first, second []float32, rate, scale float32) {
	n := 0
	switch {
	case m.isa >= kernels.AVX512 && len(mask) >= 8:
		n = len(mask) &^ 7
		amd64.AdamKeptAVX512(&x[0], &mask[0], &down[0], &first[0], &second[0], n, rate, scale)
	case m.isa == kernels.AVX2 && len(mask) >= 2:
		n = len(mask) &^ 1
		amd64.AdamKeptAVX2(&x[0], &mask[0], &down[0], &first[0], &second[0], n, rate, scale)
	}
	ref.AdamKept(x[4*n:], mask[n:], down[4*n:], first[4*n:], second[4*n:], rate, scale)
}

func (m Math) absSums(sums []float64, x []float32) {
	n := 0
	switch {
	case m.isa >= kernels.AVX512 && len(x) >= ref.AbsSumsChunk:
		n = len(x) / ref.AbsSumsChunk
		amd64.AbsSumsAVX512(&sums[0], &x[0], n)
	case m.isa == kernels.AVX2 && len(x) >= ref.AbsSumsChunk:
		n = len(x) / ref.AbsSumsChunk
		amd64.AbsSumsAVX2(&sums[0], &x[0], n)
	}
	ref.AbsSums(sums[n:], x[n*ref.AbsSumsChunk:])
}

func (m Math) add(dst, x []float32) {
	switch {
	case m.isa >= kernels.AVX512:
		amd64.AddAVX512(dst, x)
	case m.isa == kernels.AVX2:
		amd64.AddAVX2(dst, x)
	default:
		ref.Add(dst, x)
	}
}

func (m Math) carry(values, s []float32, mask []uint8, from []float32, maskFrom []uint8, was []float32, maskWas []uint8, beyond, momentum float32) {
	n := 0
	switch {
	case m.isa >= kernels.AVX512 && len(mask) >= 4:
		n = len(mask) &^ 3
		amd64.BlockCarryAVX512(&values[0], &s[0], &mask[0], &from[0], &maskFrom[0], &was[0], &maskWas[0], n, beyond, momentum)
	case m.isa == kernels.AVX2 && len(mask) >= 2:
		n = len(mask) &^ 1
		amd64.BlockCarryAVX2(&values[0], &s[0], &mask[0], &from[0], &maskFrom[0], &was[0], &maskWas[0], n, beyond, momentum)
	}
	ref.Carry(values[2*n:], s[4*n:], mask[n:], from[4*n:], maskFrom[n:], was[2*n:], maskWas[n:], beyond, momentum)
}

// Scratch is the memory of one Descend at a time. The zero value is ready.
type Scratch struct {
	refScratch
	rows   [batch]amd64.DescendRow
	blocks []float32 // [batch, panel, DescendStride]
}

// fast says whether rows of cols columns have a kernel.
func (m Math) fast(cols int) bool {
	return m.isa >= kernels.AVX2 && cols%16 == 0 && cols <= amd64.DescendColumns
}

func (s *Scratch) reset(m Math, cols int) {
	if !m.fast(cols) {
		s.refScratch.reset(cols)
		return
	}
	s.blocks = sized(s.blocks, batch*panel*amd64.DescendStride)
	s.stride = amd64.DescendStride
	for k := range s.d {
		one := s.blocks[k*panel*amd64.DescendStride:]
		s.d[k] = one[amd64.DescendD : panel*amd64.DescendStride : panel*amd64.DescendStride]
	}
}

// descendRows steps row i of each core, the panel's first row being first.
func (m Math) descendRows(p *Pairs, cores []Core, gb []float32, ldgb, cols, first, i int, scratch *Scratch) {
	if !m.fast(cols) {
		descendRowsRef(p, cores, gb, ldgb, cols, first, i, &scratch.refScratch)
		return
	}
	var gains [batch]*Core
	n := 0
	for k := range cores {
		c := &cores[k]
		curve := c.GA[i*c.LDGA+i]
		if !(curve > 0) {
			clear(scratch.d[k][(i-first)*scratch.stride:][:cols])
			continue
		}
		scratch.rows[n] = amd64.DescendRow{
			S: &c.S[i*c.LDS], G: &c.G[i*c.LDG], Mask: &c.Mask[i*cols/4], GB: &gb[0], Diag: &p.diag[0], Inv: &p.inv[0],
			Block: &scratch.blocks[(k*panel+i-first)*amd64.DescendStride],
			GA:    &c.GA[i*c.LDGA+first], Before: i - first, Scale: 1 / curve,
		}
		gains[n] = c
		n++
	}
	if m.isa >= kernels.AVX512 {
		amd64.DescendRowsAVX512(scratch.rows[:n], ldgb, cols)
	} else {
		amd64.DescendRowsAVX2(scratch.rows[:n], ldgb, cols)
	}
	for k, c := range gains[:n] {
		c.add(i, float64(scratch.rows[k].Gain), int(scratch.rows[k].Changed))
	}
}
