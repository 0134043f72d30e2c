package main

import "fmt"

// denseToken is a block of one token, tile by tile: both halves at a time, sums in
// Y0, Y1, int4 of the first 32 inputs in Y2, Y3.
func (k *avx2Int) denseToken() {
	k.p("VPBROADCASTD %s, Y7", k.scaleX(0))
	if k.bits == 4 {
		k.p("VPBROADCASTD %s, Y8", k.sumX(0))
		k.p("VPSLLD $3, Y8, Y8")
	}
	for tile := range k.tiles {
		for step := range k.block / 4 {
			k.fetch(tile, step, k.block/4)
			k.p("VPBROADCASTD %d(DI), Y4", 4*step)
			for half := range 2 {
				k.denseStep(tile, step, half)
			}
		}
		for half := range 2 {
			acc := fmt.Sprintf("Y%d", half)
			if k.bits == 4 {
				k.p("VPMADDWD one<>(SB), %s, %s", acc, acc)
				if k.block == 64 {
					second := fmt.Sprintf("Y%d", 2+half)
					k.p("VPMADDWD one<>(SB), %s, %s", second, second)
					k.p("VPADDD %s, %s, %s", second, acc, acc)
				}
				k.p("VPSUBD Y8, %s, %s", acc, acc)
			}
			k.p("VCVTPH2PS %s, Y5", avx2At("BX", tile, 16*half))
			k.product(acc, "Y5", "Y7", tile, half)
		}
	}
}

// denseStep multiplies 4 inputs in Y4. It is |w| that is taken as u8: a code may
// be −128, which no sign can be taken from.
func (k *avx2Int) denseStep(tile, step, half int) {
	if k.bits == 8 {
		k.p("VMOVDQU %s, Y6", avx2At("SI", tile, 64*step+32*half))
		k.p("VPSIGNB Y6, Y4, Y5")
		k.p("VPABSB Y6, Y6")
		k.p("VPMADDUBSW Y5, Y6, Y6")
		k.p("VPMADDWD one<>(SB), Y6, Y6")
		k.accumulate("VPADDD", step == 0, "Y6", fmt.Sprintf("Y%d", half))
		return
	}
	raw := fmt.Sprintf("Y%d", 10+half)
	if step%2 == 0 {
		k.p("VMOVDQU %s, %s", avx2At("SI", tile, 64*(step/2)+32*half), raw)
		k.p("VPXOR eights<>(SB), %s, %s", raw, raw)
		k.p("VPAND low<>(SB), %s, Y6", raw)
	} else {
		k.p("VPSRLW $4, %s, Y6", raw)
		k.p("VPAND low<>(SB), Y6, Y6")
	}
	k.p("VPMADDUBSW Y4, Y6, Y6")
	k.accumulate("VPADDW", step%8 == 0, "Y6", fmt.Sprintf("Y%d", step/8*2+half))
}

// denseTokens is a block of more: token i has its sums of the halves in Y2i, Y2i+1.
func (k *avx2Int) denseTokens() {
	if k.bits == 8 {
		k.widenInputs()
		for step := range k.block / 4 {
			k.fetch(0, step, k.block/4)
			k.wideStep(step)
		}
	} else {
		for step := range k.block / 4 {
			k.fetch(0, step, k.block/4)
			k.nibbleStep(step)
			if step == 7 && k.block == 64 {
				for i := range 2 * k.tokens {
					k.p("VPMADDWD one<>(SB), Y%d, Y%d", i, i)
					k.p("VMOVDQU Y%d, %d(R15)", i, avx2Dwords+32*i)
				}
			}
		}
	}
	for half := range 2 {
		k.p("VCVTPH2PS %d(BX), Y%d", 16*half, 12+half)
		if k.bits == 8 {
			k.p("VMULPS unit<>(SB), Y%d, Y%d", 12+half, 12+half)
		}
	}
	for token := range k.tokens {
		if k.bits == 4 {
			k.p("VPBROADCASTD %s, Y14", k.sumX(token))
			k.p("VPSLLD $3, Y14, Y14")
			for half := range 2 {
				i := 2*token + half
				k.p("VPMADDWD one<>(SB), Y%d, Y%d", i, i)
				if k.block == 64 {
					k.p("VPADDD %d(R15), Y%d, Y%d", avx2Dwords+32*i, i, i)
				}
				k.p("VPSUBD Y14, Y%d, Y%d", i, i)
			}
		}
		k.p("VBROADCASTSS %s, Y15", k.scaleX(token))
		for half := range 2 {
			k.product(fmt.Sprintf("Y%d", 2*token+half), fmt.Sprintf("Y%d", 12+half), "Y15", token, half)
		}
	}
}

// widenInputs makes int16 of the codes: of 32 first those with even, then those
// with odd places.
func (k *avx2Int) widenInputs() {
	for i := range k.tokens * k.block / 32 {
		k.p("VMOVDQU %d(DI), Y0", 32*i)
		k.p("VPSLLW $8, Y0, Y1")
		k.p("VPSRAW $8, Y1, Y1")
		k.p("VPSRAW $8, Y0, Y0")
		k.p("VMOVDQU Y1, %d(R15)", avx2Inputs+64*i)
		k.p("VMOVDQU Y0, %d(R15)", avx2Inputs+64*i+32)
	}
}

// wideStep: the codes of even inputs, then those of odd ones, as int16 and 256
// times too large.
func (k *avx2Int) wideStep(step int) {
	for odd := range 2 {
		for half := range 2 {
			w := fmt.Sprintf("Y%d", 12+half)
			k.p("VMOVDQU %d(SI), %s", 64*step+32*half, w)
			if odd == 0 {
				k.p("VPSLLW $8, %s, %s", w, w)
			} else {
				k.p("VPAND second<>(SB), %s, %s", w, w)
			}
		}
		for token := range k.tokens {
			at := token*k.block + 4*step
			k.p("VPBROADCASTD %d(R15), Y14", avx2Inputs+at/32*64+32*odd+at%32)
			k.multiply("VPMADDWD", "VPADDD", step == 0 && odd == 0, token)
		}
	}
}

// nibbleStep has the codes unsigned, 8 too large.
func (k *avx2Int) nibbleStep(step int) {
	for half := range 2 {
		w := fmt.Sprintf("Y%d", 12+half)
		k.p("VMOVDQU %d(SI), %s", 64*(step/2)+32*half, w)
		if step%2 == 1 {
			k.p("VPSRLW $4, %s, %s", w, w)
		}
		k.p("VPAND low<>(SB), %s, %s", w, w)
		k.p("VPXOR eight<>(SB), %s, %s", w, w)
	}
	for token := range k.tokens {
		k.p("VPBROADCASTD %d(DI), Y14", token*k.block+4*step)
		k.multiply("VPMADDUBSW", "VPADDW", step%8 == 0, token)
	}
}

// multiply has a token's inputs in Y14, and the weights in Y12 and Y13.
func (k *avx2Int) multiply(op, add string, first bool, token int) {
	for half := range 2 {
		t := fmt.Sprintf("Y%d", 15-half) // the second needs Y14 no more
		acc := fmt.Sprintf("Y%d", 2*token+half)
		if first {
			k.p("%s Y14, Y%d, %s", op, 12+half, acc)
			continue
		}
		k.p("%s Y14, Y%d, %s", op, 12+half, t)
		k.p("%s %s, %s, %s", add, t, acc, acc)
	}
}
