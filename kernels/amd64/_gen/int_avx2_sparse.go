package main

import "fmt"

// sparseBlock is a block, one half after the other. A step is 8 inputs, of which a
// row keeps four: a shuffle brings them into its dword.
func (k *avx2Int) sparseBlock() {
	if k.bits == 4 && k.tokens > 1 {
		for i := range k.tokens * k.block / 32 {
			k.p("VMOVDQU %d(DI), Y0", 32*i)
			k.p("VPXOR flip<>(SB), Y0, Y0")
			k.p("VMOVDQU Y0, %d(R15)", avx2Inputs+32*i)
		}
	}
	if k.tokens == 1 {
		k.sparseToken()
		return
	}
	for half := range 2 {
		for step := range 8 {
			k.control(step, half, avx2Control)
			k.kept(step, half)
			for token := range k.tokens {
				k.picked(step, token, half)
			}
		}
		k.correction()
		k.p("VCVTPH2PS %d(BX), %s", 16*half, avx2Control)
		for token := range k.tokens {
			acc := fmt.Sprintf("Y%d", token)
			k.corrected(acc, avx2Sum)
			k.p("VBROADCASTSS %s, %s", k.scaleX(token), avx2T)
			k.product(acc, avx2Control, avx2T, token, half)
		}
	}
}

// avx2Sum has the sums of the weights: of int4 as activations are flipped, so that
// one VPMADDUBSW does and all of a block's sums fit: 255·7·2·8.
const avx2Sum = "Y9"

// control makes the control of a step's shuffle.
func (k *avx2Int) control(step, half int, to string) {
	k.p("VMOVDQU %d(SI), %s", step/4*64+32*half, to)
	if s := step % 4; s > 0 {
		k.p("VPSRLW $%d, %s, %s", 2*s, to, to)
	}
	k.p("VPAND %s, %s, %s", avx2Three, to, to)
	k.p("VPOR %s, %s, %s", [...]string{avx2Even, avx2Odd}[step%2], to, to)
}

// codes is where a step's kept codes are.
func (k *avx2Int) codes(step, half int) string {
	return fmt.Sprintf("%d(SI)", avx2SparseMeta+64*(step*k.bits/8)+32*half)
}

// nibbles puts a step's int4 codes into w.
func (k *avx2Int) nibbles(step, half int, w string) {
	k.p("VMOVDQU %s, %s", k.codes(step, half), w)
	if step%2 == 1 {
		k.p("VPSRLW $4, %s, %s", w, w)
	}
	k.p("VPAND %s, %s, %s", avx2Low, w, w)
	k.p("VPSHUFB %s, %s, %s", w, avx2Signed, w)
}

// kept puts a step's weights into avx2W: int8 without their signs.
func (k *avx2Int) kept(step, half int) {
	if k.bits == 8 {
		k.p("VPABSB %s, %s", k.codes(step, half), avx2W)
		return
	}
	k.nibbles(step, half, avx2W)
	k.accumulate("VPADDB", step == 0, avx2W, avx2Sum)
}

// picked multiplies a token's picked inputs.
func (k *avx2Int) picked(step, token, half int) {
	base, at := "DI", token*k.block+step/2*16
	if k.bits == 4 {
		base, at = "R15", at+avx2Inputs
	}
	acc, t := fmt.Sprintf("Y%d", token), avx2T
	k.p("VBROADCASTI128 %d(%s), %s", at, base, t)
	k.p("VPSHUFB %s, %s, %s", avx2Control, t, t)
	if k.bits == 8 {
		k.p("VPSIGNB %s, %s, %s", k.codes(step, half), t, t)
		k.p("VPMADDUBSW %s, %s, %s", t, avx2W, t)
		k.widened(step == 0, t, acc)
		return
	}
	if step == 0 {
		k.p("VPMADDUBSW %s, %s, %s", avx2W, t, acc)
		return
	}
	k.p("VPMADDUBSW %s, %s, %s", avx2W, t, t)
	k.p("VPADDW %s, %s, %s", t, acc, acc)
}

// widened adds two 16-bit products each to acc.
func (k *avx2Int) widened(first bool, t, acc string) {
	if first {
		k.p("VPMADDWD %s, %s, %s", avx2One, t, acc)
		return
	}
	k.p("VPMADDWD %s, %s, %s", avx2One, t, t)
	k.p("VPADDD %s, %s, %s", t, acc, acc)
}

// correction makes 128 times the sums of the weights of avx2Sum.
func (k *avx2Int) correction() {
	if k.bits == 4 {
		k.p("VMOVDQU flip<>(SB), %s", avx2T)
		k.p("VPMADDUBSW %s, %s, %s", avx2Sum, avx2T, avx2Sum)
	}
}

// corrected makes int4's 16-bit sums dwords. The subtraction may wrap around: what
// it leaves is at most 127·7·2·8.
func (k *avx2Int) corrected(acc, correction string) {
	if k.bits == 4 {
		k.p("VPSUBW %s, %s, %s", correction, acc, acc)
		k.p("VPMADDWD %s, %s, %s", avx2One, acc, acc)
	}
}

// sparseToken is a block of one token: sums in Y0, Y1, of int4's weights in Y2, Y3.
func (k *avx2Int) sparseToken() {
	const x, control, w = "Y4", "Y5", "Y6"
	for step := range 8 {
		if step%2 == 0 {
			k.p("VBROADCASTI128 %d(DI), %s", step/2*16, x)
			if k.bits == 4 {
				k.p("VPXOR flip<>(SB), %s, %s", x, x)
			}
		}
		for half := range 2 {
			acc := fmt.Sprintf("Y%d", half)
			k.control(step, half, control)
			k.p("VPSHUFB %s, %s, %s", control, x, control)
			if k.bits == 8 {
				k.p("VMOVDQU %s, %s", k.codes(step, half), w)
				k.p("VPSIGNB %s, %s, %s", control, w, w)
				k.p("VPABSB %s, %s", control, control)
				k.p("VPMADDUBSW %s, %s, %s", w, control, w)
				k.widened(step == 0, w, acc)
				continue
			}
			k.nibbles(step, half, w)
			k.accumulate("VPADDB", step == 0, w, fmt.Sprintf("Y%d", 2+half))
			k.p("VPMADDUBSW %s, %s, %s", w, control, control)
			k.accumulate("VPADDW", step == 0, control, acc)
		}
	}
	k.p("VBROADCASTSS %s, Y7", k.scaleX(0))
	if k.bits == 4 {
		k.p("VMOVDQU flip<>(SB), Y5")
	}
	for half := range 2 {
		acc, sum := fmt.Sprintf("Y%d", half), fmt.Sprintf("Y%d", 2+half)
		if k.bits == 4 {
			k.p("VPMADDUBSW %s, Y5, %s", sum, sum)
		}
		k.corrected(acc, sum)
		k.p("VCVTPH2PS %d(BX), Y6", 16*half)
		k.product(acc, "Y6", "Y7", 0, half)
	}
}
