//go:build !amd64 || noasm

package sparse24

const hasAVX2 = false

func positionsAVX2(dst *uint64, bits *uint8, n int) (done int) { panic("sparse24: no AVX2 here") }
func soundAVX2(bits *uint8, n int) (done int)                  { panic("sparse24: no AVX2 here") }
func masksAVX2(masks, bits *uint8, n int) (done int)           { panic("sparse24: no AVX2 here") }
func maskPositionsAVX2(dst, masks *uint8, n int)               { panic("sparse24: no AVX2 here") }
