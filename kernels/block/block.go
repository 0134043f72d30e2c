// Package block is the arithmetic of the solver: products, factorizations and
// the descent over 2:4 cores of blocks of a few hundred rows. All is f32 and
// row-major; ld is the distance between rows. A Math method runs on its
// caller's goroutine, so results do not depend on how many run at once.
package block

import (
	"armor/kernels"
	"armor/kernels/ref"
)

// Math runs on one instruction set. It is safe for concurrent use.
type Math struct{ isa kernels.ISA }

// New gives the arithmetic of an instruction set that this processor has.
func New(isa kernels.ISA) Math { return Math{isa: isa} }

// Op says what a product does to its destination.
type Op int

const (
	Set Op = ref.BlockSet // c = a·b
	Add Op = ref.BlockAdd // c += a·b
	Sub Op = ref.BlockSub // c -= a·b
)

// Mul computes c [rows, cols] op= a [rows, inner] · b [inner, cols]. Element
// (i, p) of a is a[i·ars + p·acs], so a may be transposed in place. c must not
// overlap a or b. The order of the sums depends on inner alone.
func (m Math) Mul(c []float32, ldc int, op Op, a []float32, ars, acs int, b []float32, ldb int, rows, cols, inner int) {
	m.MulAhead(nil, c, ldc, op, a, ars, acs, b, ldb, rows, cols, inner)
}

// MulAhead is Mul, and may meanwhile bring ahead, which is read soon, into the
// cache: blocks in the order of a solver's steps lie far apart.
func (m Math) MulAhead(ahead []float32, c []float32, ldc int, op Op, a []float32, ars, acs int, b []float32, ldb int, rows, cols, inner int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	_ = c[(rows-1)*ldc+cols-1]
	if inner > 0 {
		_, _ = a[(rows-1)*ars+(inner-1)*acs], b[(inner-1)*ldb+cols-1]
	}
	m.mul(c, ldc, int(op), a, ars, acs, b, ldb, rows, cols, inner, ahead)
}

// Transpose sets dst [cols, rows] to the transpose of src [rows, cols], which
// it must not overlap.
func (m Math) Transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	_, _ = dst[(cols-1)*ldd+rows-1], src[(rows-1)*lds+cols-1]
	m.transpose(dst, ldd, src, lds, rows, cols)
}

// SquaredError is Σ (a-b)² of two slices of the same length, summed in f64.
func (m Math) SquaredError(a, b []float32) float64 {
	if len(a) != len(b) {
		panic("block: slices of different lengths")
	}
	return m.squaredError(a, b)
}

// Add adds x to dst, which is as long.
func (m Math) Add(dst, x []float32) {
	if len(dst) != len(x) {
		panic("block: slices of different lengths")
	}
	m.add(dst, x)
}
