//go:build amd64 && !noasm

package amd64

// BlockCarryAVX512 is ref.Carry of groups groups of four, a multiple of 4. Needs
// AVX512F.
//
//go:noescape
func BlockCarryAVX512(values, s *float32, mask *uint8, from *float32, maskFrom *uint8, was *float32, maskWas *uint8, groups int, beyond, momentum float32)

// BlockCarryAVX2 is ref.Carry of groups groups of four, a multiple of 2. Needs AVX2.
//
//go:noescape
func BlockCarryAVX2(values, s *float32, mask *uint8, from *float32, maskFrom *uint8, was *float32, maskWas *uint8, groups int, beyond, momentum float32)
