//go:build amd64 && !noasm

package amd64

// DescendRow is one row of a 2:4 core on its way through a descent, see
// ref.DescendRow. Inv has the last mask's elements in lanes 5, 6 and 7.
//
// Block is the row's scratch, in parts of DescendColumns each: the new s; what
// r would be without the row's changes, and then the changes; the changes
// times gb, d; and s·(gb₄ₓ₄·s), and then each group's choice.
type DescendRow struct {
	S, G      *float32 // [cols]
	Mask      *uint8   // [cols/4]
	GB        *float32 // [cols, cols]
	Diag, Inv *float32 // [4, cols], [cols/4, 3, 8]
	Block     *float32 // [DescendStride]
	GA        *float32 // [Before] of the rows before whose changes G lacks
	Before    int
	Scale     float32 // of the gradient
	Gain      float32
	Changed   int32
}

const (
	// DescendColumns is the most columns a row may have.
	DescendColumns = 256
	// DescendStride is the distance of two rows' scratch. It is no power of
	// two, which would put 16 rows on the same few cache lines.
	DescendStride = 4*DescendColumns + 16
	descendStride = 4 * DescendStride // bytes
	// DescendD is where in a row's scratch d begins.
	DescendD = 2 * DescendColumns
)

// descendStartAVX512 fills the scratch of a row. Its gradient is Scale·(G + GA·d),
// with d [Before, cols] of the rows whose scratch lies before.
//
//go:noescape
func descendStartAVX512(r *DescendRow, cols int)

// descendRow1AVX512 goes through the groups. The distance of gb's rows, ld, is
// in bytes.
//
//go:noescape
func descendRow1AVX512(r *DescendRow, ld, cols int)

// descendRow2AVX512 is descendRow1AVX512 of two rows whose GB and Inv are the
// same: one row's arithmetic fills the time that another's takes to choose.
//
//go:noescape
func descendRow2AVX512(r, q *DescendRow, ld, cols int)

// descendRow3AVX512 is descendRow2AVX512 of three rows.
//
//go:noescape
func descendRow3AVX512(r, q, u *DescendRow, ld, cols int)

// descendRow4AVX512 is descendRow2AVX512 of four rows.
//
//go:noescape
func descendRow4AVX512(r, q, u, v *DescendRow, ld, cols int)

// descendEndAVX512 updates S and Mask, or clears d and the gain if a value is
// not finite.
//
//go:noescape
func descendEndAVX512(r *DescendRow, cols int)

// DescendRowsAVX512 computes ref.DescendRow for each of rows; cols is a multiple
// of 16 up to DescendColumns. Their GB and Inv are the same. The distance of
// gb's rows is ld. Needs AVX512F, VL and BMI1.
func DescendRowsAVX512(rows []DescendRow, ld, cols int) {
	for i := range rows {
		descendStartAVX512(&rows[i], cols)
	}
	for r := rows; len(r) > 0; r = r[min(4, len(r)):] {
		switch len(r) {
		default:
			descendRow4AVX512(&r[0], &r[1], &r[2], &r[3], 4*ld, cols)
		case 3:
			descendRow3AVX512(&r[0], &r[1], &r[2], 4*ld, cols)
		case 2:
			descendRow2AVX512(&r[0], &r[1], 4*ld, cols)
		case 1:
			descendRow1AVX512(&r[0], 4*ld, cols)
		}
	}
	for i := range rows {
		descendEndAVX512(&rows[i], cols)
	}
}

// descendStartAVX2 computes the same as descendStartAVX512.
//
//go:noescape
func descendStartAVX2(r *DescendRow, cols int)

// descendRow1AVX2 computes the same as descendRow1AVX512.
//
//go:noescape
func descendRow1AVX2(r *DescendRow, ld, cols int)

// descendRow2AVX2 computes the same as descendRow2AVX512.
//
//go:noescape
func descendRow2AVX2(r, q *DescendRow, ld, cols int)

// descendEndAVX2 computes the same as descendEndAVX512.
//
//go:noescape
func descendEndAVX2(r *DescendRow, cols int)

// DescendRowsAVX2 computes the same as DescendRowsAVX512, with the same bits but
// for the gain. Needs AVX2 and FMA3.
func DescendRowsAVX2(rows []DescendRow, ld, cols int) {
	for i := range rows {
		descendStartAVX2(&rows[i], cols)
	}
	for r := rows; len(r) > 0; {
		if len(r) >= 2 {
			descendRow2AVX2(&r[0], &r[1], 4*ld, cols)
			r = r[2:]
			continue
		}
		descendRow1AVX2(&r[0], 4*ld, cols)
		r = r[1:]
	}
	for i := range rows {
		descendEndAVX2(&rows[i], cols)
	}
}
