//go:build amd64 && !noasm

package amd64

// QuantizeRowsAVX512 is ref.QuantizeRows: rows of k inputs, ld apart, to records
// of mr tokens; block is 32 or 64. Where flip is -1 codes are not flipped, and there
// are no sums but those of zeros. Needs AVX512F, AVX512BW, AVX512VL.
//
//go:noescape
func QuantizeRowsAVX512(dst *byte, src *float32, ld, rows, k, block, mr, flip int)
