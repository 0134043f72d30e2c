//go:build !amd64 || noasm

package fourbit

const hasAVX2 = false

func unpackAVX2(codes, src *byte, n int, flip byte)                  { panic("fourbit: no AVX2 here") }
func unpackBlocksAVX2(codes *byte, scales *uint16, src *byte, n int) { panic("fourbit: no AVX2 here") }
func foldAVX2(dst *uint32, step int, codes *byte, n int)             { panic("fourbit: no AVX2 here") }
