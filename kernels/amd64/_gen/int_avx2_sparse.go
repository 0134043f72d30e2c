package main

import "fmt"

// A step of the sparse kernels is 8 inputs, of which a row keeps four: a shuffle
// brings them into its dword. It heeds bits 0–3 and 7 of a byte, so that one byte
// holds the controls of two steps: its position and group of steps 0 and 2, or 1
// and 3, four bits apart.

// sparseOrder is the steps' order: those from one control after the other.
var sparseOrder = [...]int{0, 2, 1, 3, 4, 6, 5, 7}

// Constants of the sparse kernels.
var sparseConstants = [...]string{"even", "groupsEven", "odd", "groupsOdd", "low", "signed"}

const (
	avx2Even, avx2GroupsEven = "Y10", "Y11"
	avx2Odd, avx2GroupsOdd   = "Y12", "Y13"
	avx2Low, avx2Signed      = "Y14", "Y15"
)

func (k *avx2Int) loadConstants() {
	names := sparseConstants[:]
	if k.bits == 8 {
		names = names[:4] // no nibbles
	}
	for i, name := range names {
		k.p("VMOVDQU %s<>(SB), Y%d", name, 10+i)
	}
}

// flipInputs puts activations of int4 into the frame with 128 added: then one
// VPMADDUBSW does, and 16 bits hold all of a block's sums: 255·7·2·8.
func (k *avx2Int) flipInputs() {
	if k.bits == 8 {
		return
	}
	k.p("VMOVDQU flip<>(SB), Y1")
	for i := range k.tokens * k.block / 32 {
		k.p("VPXOR %d(DI), Y1, Y0", 32*i)
		k.p("VMOVDQU Y0, %d(R15)", avx2Inputs+32*i)
	}
}

// inputs broadcasts a token's 8 inputs of a step.
func (k *avx2Int) inputs(step, token int, to string) {
	if k.bits == 4 {
		k.p("VPBROADCASTQ %d(R15), %s", avx2Inputs+token*k.block+8*step, to)
		return
	}
	k.p("VPBROADCASTQ %d(DI), %s", token*k.block+8*step, to)
}

// control makes the control of a step's shuffle from that of the step before.
func (k *avx2Int) control(tile, step, half int, to string) {
	positions := avx2At("SI", tile, step/4*64+32*half)
	switch step % 4 {
	case 0:
		k.p("VPAND %s, %s, %s", positions, avx2Even, to)
		k.p("VPOR %s, %s, %s", avx2GroupsEven, to, to)
	case 1:
		k.p("VPAND %s, %s, %s", positions, avx2Odd, to)
		k.p("VPOR %s, %s, %s", avx2GroupsOdd, to, to)
		k.p("VPSRLW $2, %s, %s", to, to)
	case 2:
		k.p("VPSRLW $4, %s, %s", to, to)
	case 3: // the groups would come from the next byte
		k.p("VPSRLW $4, %s, %s", to, to)
		k.p("VPOR groups<>(SB), %s, %s", to, to)
	}
}

// kept is where a step's codes are.
func (k *avx2Int) kept(tile, step, half int) string {
	return avx2At("SI", tile, avx2SparseMeta+64*(step*k.bits/8)+32*half)
}

// nibbles puts a step's int4 codes into w and adds them to sum.
func (k *avx2Int) nibbles(tile, step, half int, w, sum string) {
	k.p("VMOVDQU %s, %s", k.kept(tile, step, half), w)
	if step%2 == 1 {
		k.p("VPSRLW $4, %s, %s", w, w)
	}
	k.p("VPAND %s, %s, %s", avx2Low, w, w)
	k.p("VPSHUFB %s, %s, %s", w, avx2Signed, w)
	k.accumulate("VPADDB", step == 0, w, sum)
}

// correction makes 128 times the sums of int4 weights, with t.
func (k *avx2Int) correction(sum, t string) {
	if k.bits == 4 {
		k.p("VMOVDQU flip<>(SB), %s", t)
		k.p("VPMADDUBSW %s, %s, %s", sum, t, sum)
	}
}

// corrected makes dwords of int4's 16-bit sums. The subtraction may wrap around:
// what it leaves is at most 127·7·2·8.
func (k *avx2Int) corrected(acc, correction string) {
	if k.bits == 4 {
		k.p("VPSUBW %s, %s, %s", correction, acc, acc)
		k.p("VPMADDWD one<>(SB), %s, %s", acc, acc)
	}
}

// add multiplies unsigned bytes by signed ones, in t too, and adds them to acc.
func (k *avx2Int) add(first bool, unsigned, signed, t, acc string) {
	if k.bits == 4 {
		if first {
			t = acc
		}
		k.p("VPMADDUBSW %s, %s, %s", signed, unsigned, t)
		if !first {
			k.p("VPADDW %s, %s, %s", t, acc, acc)
		}
		return
	}
	k.p("VPMADDUBSW %s, %s, %s", signed, unsigned, t)
	if first {
		k.p("VPMADDWD one<>(SB), %s, %s", t, acc)
		return
	}
	k.p("VPMADDWD one<>(SB), %s, %s", t, t)
	k.p("VPADDD %s, %s, %s", t, acc, acc)
}

// sparseTokens is a block of several tokens, one half after the other: token i has
// its sums in Yi.
func (k *avx2Int) sparseTokens() {
	const w, t, control, sum = "Y6", "Y7", "Y8", "Y9"
	k.flipInputs()
	for half := range 2 {
		for i, step := range sparseOrder {
			k.fetch(0, 8*half+i, 16)
			k.control(0, step, half, control)
			if k.bits == 8 {
				k.p("VPABSB %s, %s", k.kept(0, step, half), w)
			} else {
				k.nibbles(0, step, half, w, sum)
			}
			for token := range k.tokens {
				acc := fmt.Sprintf("Y%d", token)
				k.inputs(step, token, t)
				k.p("VPSHUFB %s, %s, %s", control, t, t)
				if k.bits == 8 {
					k.p("VPSIGNB %s, %s, %s", k.kept(0, step, half), t, t)
					k.add(step == 0, w, t, t, acc)
				} else {
					k.add(step == 0, t, w, t, acc)
				}
			}
		}
		k.correction(sum, t)
		k.p("VCVTPH2PS %d(BX), %s", 16*half, control)
		for token := range k.tokens {
			acc := fmt.Sprintf("Y%d", token)
			k.corrected(acc, sum)
			k.p("VBROADCASTSS %s, %s", k.scaleX(token), t)
			k.product(acc, control, t, token, half)
		}
	}
}

// sparseToken is a block of one token, tile by tile: both halves at a time, sums in
// Y0, Y1, of int4's weights in Y2, Y3.
func (k *avx2Int) sparseToken() {
	const x, w, t, scale = "Y4", "Y5", "Y8", "Y9"
	k.flipInputs()
	k.p("VBROADCASTSS %s, %s", k.scaleX(0), scale)
	for tile := range k.tiles {
		for i, step := range sparseOrder {
			k.fetch(tile, i, 8)
			k.inputs(step, 0, x)
			for half := range 2 {
				acc, sum, control := fmt.Sprintf("Y%d", half), fmt.Sprintf("Y%d", 2+half), fmt.Sprintf("Y%d", 6+half)
				k.control(tile, step, half, control)
				k.p("VPSHUFB %s, %s, %s", control, x, t)
				if k.bits == 8 {
					k.p("VMOVDQU %s, %s", k.kept(tile, step, half), w)
					k.p("VPSIGNB %s, %s, %s", t, w, w)
					k.p("VPABSB %s, %s", t, t)
				} else {
					k.nibbles(tile, step, half, w, sum)
				}
				k.add(step == 0, t, w, t, acc)
			}
		}
		for half := range 2 {
			acc, sum := fmt.Sprintf("Y%d", half), fmt.Sprintf("Y%d", 2+half)
			k.correction(sum, t)
			k.corrected(acc, sum)
			k.p("VCVTPH2PS %s, %s", avx2At("BX", tile, 16*half), w)
			k.product(acc, w, scale, tile, half)
		}
	}
}
