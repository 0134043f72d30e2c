//go:build amd64 && !noasm

package amd64

// QuantizeRowsAVX2 rounds rows of k inputs, [rows, ld], to records of blocks of 32
// or 64 of mr tokens, as ref.QuantizeRows does. Needs AVX2.
//
//go:noescape
func QuantizeRowsAVX2(dst *byte, src *float32, ld, rows, k, block, mr, flip int)
