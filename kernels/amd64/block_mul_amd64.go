//go:build amd64 && !noasm

package amd64

import "unsafe"

// The tiles of ref.BlockMul: R rows by C columns of c, or by cols of them where
// cols is an argument. Strides are bytes. They compute
//
//	for i := range R {
//		for j := range C {
//			sum := 0
//			for p := range inner {
//				sum = fma(a[i*ars+p*acs], b[p*ldb+j], sum)
//			}
//			c[i*ldc+j] = sum // or += or -=, by op
//		}
//	}

// mulStripRowsAVX512 does 32 columns of c and all its rows but the last left < 8,
// of an a whose columns are next to each other and rows stride bytes apart. The
// inner is at most stripInner. Meanwhile bytes bytes at ahead come into L2.
//
//go:noescape
func mulStripRowsAVX512(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)

// mulStripColumnsAVX512 is mulStripRowsAVX512 of an a whose rows are next to each
// other and columns stride bytes apart.
//
//go:noescape
func mulStripColumnsAVX512(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)

//go:noescape
func mulR8C32AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)

//go:noescape
func mulR4C32AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)

//go:noescape
func mulR8C16AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)

//go:noescape
func mulR1C64AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)

//go:noescape
func mulR1C16AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)

// mulStripRowsAVX2 is mulStripRowsAVX512 of 16 columns; the last left are < 4.
//
//go:noescape
func mulStripRowsAVX2(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)

// mulStripColumnsAVX2 is mulStripColumnsAVX512 of 16 columns; the last left are < 4.
//
//go:noescape
func mulStripColumnsAVX2(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)

//go:noescape
func mulR4C16AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)

//go:noescape
func mulR4C8AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)

//go:noescape
func mulR1C32AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)

//go:noescape
func mulR1C8AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)

// blockInner is about how much of inner is summed in registers, so that a strip
// of b stays in L1 while all rows of a pass it; it is stripInner at most.
const (
	blockInner = 128
	stripInner = blockInner * 3 / 2
)

// stripRows is from how many rows on it is better to copy a strip of b first.
const stripRows = 24

const mulSet, mulAdd = 0, 1 // ref.BlockSet, ref.BlockAdd

// next is how much of inner to take, and what to do with its sums.
func next(inner, op int, first bool) (n, do int) {
	n, do = inner, op
	if inner > stripInner {
		n = blockInner
	}
	if !first && op == mulSet {
		do = mulAdd
	}
	return n, do
}

// BlockMulAVX512 is ref.BlockMul for inner > 0, which it sums in pieces of about
// blockInner. Meanwhile it brings ahead into L2, which is read soon. Needs AVX512F.
func BlockMulAVX512(c []float32, ldc, op int, a []float32, ars, acs int, b []float32, ldb, rows, cols, inner int, ahead []float32) {
	for at := 0; at < inner; {
		n, do := next(inner-at, op, at == 0)
		blockMulAVX512(c, ldc, do, a[at*acs:], ars, acs, b[at*ldb:], ldb, rows, cols, n, ahead)
		at, ahead = at+n, nil
	}
}

func blockMulAVX512(c []float32, ldc, op int, a []float32, ars, acs int, b []float32, ldb, rows, cols, inner int, ahead []float32) {
	j := 0
	if rows == 1 {
		for ; cols-j >= 64; j += 64 {
			mulR1C64AVX512(&c[j], 4*ldc, op, &a[0], 4*ars, 4*acs, &b[j], 4*ldb, inner)
		}
	}
	part := len(ahead) * 32 / cols // of a strip
	for ; cols-j >= 32; j += 32 {
		i := 0
		switch {
		case rows < stripRows:
		case acs == 1:
			i = rows - mulStripRowsAVX512(&c[j], 4*ldc, op, &a[0], 4*ars, &b[j], 4*ldb, rows, inner, unsafe.SliceData(ahead), 4*part)
		case ars == 1:
			i = rows - mulStripColumnsAVX512(&c[j], 4*ldc, op, &a[0], 4*acs, &b[j], 4*ldb, rows, inner, unsafe.SliceData(ahead), 4*part)
		}
		ahead = ahead[part:]
		for i < rows {
			cp, ap, n := &c[i*ldc+j], &a[i*ars], rows-i
			switch {
			case n >= 8:
				mulR8C32AVX512(cp, 4*ldc, op, ap, 4*ars, 4*acs, &b[j], 4*ldb, inner)
				i += 8
			case n >= 4:
				mulR4C32AVX512(cp, 4*ldc, op, ap, 4*ars, 4*acs, &b[j], 4*ldb, inner)
				i += 4
			default:
				mulR1C16AVX512(cp, 4*ldc, op, ap, 4*ars, 4*acs, &b[j], 4*ldb, inner, 16)
				mulR1C16AVX512(&c[i*ldc+j+16], 4*ldc, op, ap, 4*ars, 4*acs, &b[j+16], 4*ldb, inner, 16)
				i++
			}
		}
	}
	for ; j < cols; j += 16 {
		n := min(16, cols-j)
		for i := 0; i < rows; {
			if rows-i >= 8 {
				mulR8C16AVX512(&c[i*ldc+j], 4*ldc, op, &a[i*ars], 4*ars, 4*acs, &b[j], 4*ldb, inner, n)
				i += 8
				continue
			}
			mulR1C16AVX512(&c[i*ldc+j], 4*ldc, op, &a[i*ars], 4*ars, 4*acs, &b[j], 4*ldb, inner, n)
			i++
		}
	}
}

// BlockMulAVX2 computes the same as BlockMulAVX512. Needs AVX2 and FMA3.
func BlockMulAVX2(c []float32, ldc, op int, a []float32, ars, acs int, b []float32, ldb, rows, cols, inner int, ahead []float32) {
	for at := 0; at < inner; {
		n, do := next(inner-at, op, at == 0)
		blockMulAVX2(c, ldc, do, a[at*acs:], ars, acs, b[at*ldb:], ldb, rows, cols, n, ahead)
		at, ahead = at+n, nil
	}
}

func blockMulAVX2(c []float32, ldc, op int, a []float32, ars, acs int, b []float32, ldb, rows, cols, inner int, ahead []float32) {
	j := 0
	if rows == 1 {
		for ; cols-j >= 32; j += 32 {
			mulR1C32AVX2(&c[j], 4*ldc, op, &a[0], 4*ars, 4*acs, &b[j], 4*ldb, inner)
		}
	}
	part := len(ahead) * 16 / cols // of a strip
	for ; cols-j >= 16; j += 16 {
		i := 0
		switch {
		case rows < stripRows:
		case acs == 1:
			i = rows - mulStripRowsAVX2(&c[j], 4*ldc, op, &a[0], 4*ars, &b[j], 4*ldb, rows, inner, unsafe.SliceData(ahead), 4*part)
		case ars == 1:
			i = rows - mulStripColumnsAVX2(&c[j], 4*ldc, op, &a[0], 4*acs, &b[j], 4*ldb, rows, inner, unsafe.SliceData(ahead), 4*part)
		}
		ahead = ahead[part:]
		for i < rows {
			cp, ap := &c[i*ldc+j], &a[i*ars]
			if rows-i >= 4 {
				mulR4C16AVX2(cp, 4*ldc, op, ap, 4*ars, 4*acs, &b[j], 4*ldb, inner)
				i += 4
				continue
			}
			mulR1C8AVX2(cp, 4*ldc, op, ap, 4*ars, 4*acs, &b[j], 4*ldb, inner, 8)
			mulR1C8AVX2(&c[i*ldc+j+8], 4*ldc, op, ap, 4*ars, 4*acs, &b[j+8], 4*ldb, inner, 8)
			i++
		}
	}
	for ; j < cols; j += 8 {
		n := min(8, cols-j)
		for i := 0; i < rows; {
			if rows-i >= 4 {
				mulR4C8AVX2(&c[i*ldc+j], 4*ldc, op, &a[i*ars], 4*ars, 4*acs, &b[j], 4*ldb, inner, n)
				i += 4
				continue
			}
			mulR1C8AVX2(&c[i*ldc+j], 4*ldc, op, &a[i*ars], 4*ars, 4*acs, &b[j], 4*ldb, inner, n)
			i++
		}
	}
}
