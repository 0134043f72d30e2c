package main

import "fmt"

// at labels a part of the loop.
func (k *intTile) at(part string) { k.label("%s%s", part, k.intShape.name) }
func (k *intTile) jump(op, part string) {
	k.p("%s %s%s", op, part, k.intShape.name)
}

// loop goes over the blocks of all row tiles. What is beyond the last is made of
// the last tile again, and of no use, so that no stage needs a condition.
func (k *intTile) loop() {
	k.to, k.at0 = "(R9)", 0
	k.at("start")
	k.p("TESTQ CX, CX")
	k.jump("JZ", "store")
	if k.expands() {
		k.p("LEAQ %d(R15), R9", intRing)
		interleave(k.expand("first"))
		k.nextBlock("first")
	}
	k.multiply("first")
	if k.expands() {
		k.at("fill")
		k.forward()
		k.p("LEAQ %d(R15)(R14*1), R9", intRing)
		interleave(k.expand("fill"))
		k.nextBlock("filled")
		k.p("TESTQ R14, R14")
		k.jump("JNZ", "fill")
	}
	k.read()
	k.multiply("second")
	k.at("loop")
	k.p("MOVQ R9, R13")
	k.read()
	k.steady()
	k.p("ADDQ $32, R11")
	k.p("ADDQ BX, R10")
	k.p("DECQ %d(R15)", localAdds)
	k.jump("JNZ", "loop")
	k.at("store")
	k.store()
}

// steady does one block in each stage. The order of the stages is the fastest of
// those that were measured, with another thread on the core.
func (k *intTile) steady() {
	k.scale(0)
	var expand, sums []func()
	from := 0
	if k.halves == 1 {
		k.multiply("")
		for ; from < k.least&16; from++ {
			sums = append(sums, k.sum(from))
		}
	}
	if k.expands() {
		expand = k.expand("")
	}
	interleave(expand, sums)
	if k.expands() {
		k.nextBlock("expanded")
	}
	if k.halves == 2 {
		k.multiply("")
	}
	for i := from; i < 16*k.halves; i++ {
		k.enough(i, "summed")
		k.sum(i)()
	}
	k.at("summed")
}

// activations is the register of an A tile.
func (k *intTile) activations(h int) int {
	if h == k.halves-1 {
		return 5
	}
	return 4
}

// forward goes to the next place of the ring.
func (k *intTile) forward() {
	k.p("LEAQ %d(R14), R12", -(intPlaces-1)*intPlace)
	k.p("ADDQ $%d, R14", intPlace)
	k.p("TESTQ R12, R12")
	k.p("CMOVQEQ R12, R14")
}

// read writes the sums of the block before to its place, R9, and goes on to this.
func (k *intTile) read() {
	k.p("LEAQ %d(R15)(R14*1), R9", intRing)
	for h := range k.halves {
		k.storeTile(h, "R9", "AX", 1024+1024*h)
	}
	k.forward()
}

// enough jumps if there are no more than i tokens.
func (k *intTile) enough(i int, to string) {
	if i >= k.least {
		k.p("CMPQ R8, $%d", i)
		k.jump("JEQ", to)
	}
}

// interleave writes the parts of streams of instructions by turns, so that few
// of them wait for the same port.
func interleave(streams ...[]func()) {
	most := 0
	for _, s := range streams {
		most = max(most, len(s))
	}
	for i := range most {
		for _, s := range streams {
			for j := i * len(s) / most; j < (i+1)*len(s)/most; j++ {
				s[j]()
			}
		}
	}
}

// prefetch reads a line ahead into L1, and far ahead, where the processor reads
// two lines for one, into L2.
func (k *intTile) prefetch(line int) {
	k.p("PREFETCHT0 %d(SI)", intAhead+64*line)
	if line%2 == 0 {
		k.p("PREFETCHT1 %d(SI)", intFar+64*line)
	}
}

// expand makes a B tile, at k.at0 from k.to, of the block at SI.
func (k *intTile) expand(name string) []func() {
	if k.sparse {
		return k.expandSparse()
	}
	return k.expandNibbles(name)
}

// nextBlock counts a block that was expanded, or multiplied as it lies. After a
// tile it goes on with the next, after the last with that again.
func (k *intTile) nextBlock(part string) {
	switch {
	case k.sparse:
		k.p("ADDQ $%d, SI", 128+64*k.bits)
	case k.bits == 4:
		k.p("LEAQ (SI)(DX*8), SI")
	default:
		k.p("MOVQ DX, R12")
		k.p("SHLQ $4, R12")
		k.p("ADDQ R12, SI")
	}
	k.p("DECQ CX")
	k.jump("JNZ", part)
	k.p("MOVQ %d(R15), R12", localList)
	k.p("DECQ %d(R15)", localTiles)
	k.jump("JLE", part+"list")
	k.p("ADDQ $8, R12")
	k.p("MOVQ R12, %d(R15)", localList)
	k.at(part + "list")
	k.p("MOVQ (R12), SI")
	k.p("ADDQ %d(R15), SI", localSkip)
	k.p("MOVQ k+%d(FP), CX", k.arg("k"))
	k.at(part)
}

// expandSparse has a part for each group of inputs.
func (k *intTile) expandSparse() (parts []func()) {
	const codes, high = "Z22", "Z23"
	for group := range 16 {
		parts = append(parts, func() {
			if line := group; line < 2+k.bits {
				k.prefetch(line)
			}
			positions := fmt.Sprintf("Z%d", 20+group/8)
			if group%8 == 0 {
				k.p("VMOVDQU64 %d(SI), %s", group/8*64, positions)
			}
			switch {
			case k.bits == 8 && group%2 == 0:
				k.p("VMOVDQU64 %d(SI), %s", 128+group/2*64, codes)
			case k.bits == 4 && group%4 == 0:
				k.p("VMOVDQU64 %d(SI), %s", 128+group/4*64, high)
				k.p("VPSLLD $4, %s, %s", high, codes)
				k.p("VPANDD %s, %s, %s", nibbles, codes, codes)
			case k.bits == 4 && group%4 == 2:
				k.p("VPANDD %s, %s, %s", nibbles, high, codes)
			}
			control := "Z16"
			table := [2]string{firstTable, secondTable}[group%2]
			if group%8 > 0 {
				k.p("VPSRLD $%d, %s, %s", group%8*4, positions, control)
				positions = control
			}
			k.p("VPERMD %s, %s, %s", table, positions, control)
			k.p("VPORD %s, %s, %s", laneTable, control, control)
			k.p("VPSHUFB %s, %s, %s", control, codes, control)
			k.p("VMOVDQU64 %s, %d%s", control, k.at0+64*group, k.to)
		})
	}
	return parts
}

// expandNibbles makes lines of bytes, 16 times their codes, with a part for each
// of four lines; the other four, of the wide block, come first.
func (k *intTile) expandNibbles(name string) (parts []func()) {
	line := func(i int) func() {
		return func() {
			const low, high = "Z16", "Z17"
			k.prefetch(i)
			k.p("VMOVDQU64 %d(SI), %s", 64*i, high)
			k.p("VPSLLD $4, %s, %s", high, low)
			k.p("VPANDD %s, %s, %s", nibbles, low, low)
			k.p("VPANDD %s, %s, %s", nibbles, high, high)
			k.p("VMOVDQU64 %s, %d%s", low, k.at0+128*i, k.to)
			k.p("VMOVDQU64 %s, %d%s", high, k.at0+128*i+64, k.to)
		}
	}
	k.p("CMPQ DX, $32")
	k.jump("JEQ", "narrow"+name)
	for i := 4; i < 8; i++ {
		line(i)()
	}
	k.at("narrow" + name)
	for i := range 4 {
		parts = append(parts, line(i))
	}
	return parts
}

// multiply makes the sums of the next block.
func (k *intTile) multiply(name string) {
	if k.expands() {
		k.p("LEAQ (R15)(R14*1), R12")
		k.load(6, "R12", "AX", intRing)
	} else {
		for i := range 8 {
			k.prefetch(i)
		}
		k.load(6, "SI", "AX", 0)
	}
	for h := range k.halves {
		k.zero(h)
		if h == 0 {
			k.load(k.activations(h), "DI", "DX", 0)
		} else {
			k.p("MOVQ DX, R12")
			k.p("SHLQ $4, R12")
			k.p("ADDQ DI, R12")
			k.load(k.activations(h), "R12", "DX", 0)
		}
		k.dotInt(h, k.activations(h), 6)
	}
	k.p("ADDQ BX, DI")
	if !k.expands() {
		k.p("CMPQ DX, $32")
		k.jump("JEQ", "narrow"+name)
		for i := 8; i < 16; i++ {
			k.prefetch(i)
		}
		k.at("narrow" + name)
		k.nextBlock("next" + name)
	}
	k.countDot(name)
}

// countDot counts a block that was multiplied. After a row tile DI points at the
// inputs of the next, after the last at some that there are.
func (k *intTile) countDot(name string) {
	k.p("DECQ %d(R15)", localDots)
	k.jump("JNZ", "multiplied"+name)
	if !k.sparse {
		k.p("DECQ %d(R15)", localLast)
		k.jump("JLE", "again"+name)
		k.p("DECQ %d(R15)", localDotX)
		k.jump("JNZ", "again"+name)
		k.p("MOVQ every+%d(FP), R12", k.arg("every"))
		k.p("MOVQ R12, %d(R15)", localDotX)
		k.p("MOVQ step+%d(FP), R12", k.arg("step"))
		k.p("ADDQ R12, x+%d(FP)", k.arg("x"))
		k.at("again" + name)
	}
	k.p("MOVQ x+%d(FP), DI", k.arg("x"))
	k.p("MOVQ k+%d(FP), R12", k.arg("k"))
	k.p("MOVQ R12, %d(R15)", localDots)
	k.at("multiplied" + name)
}

// scale loads the scales of the rows, of so many blocks on.
func (k *intTile) scale(block int) {
	k.p("VCVTPH2PS %d(R11), %s", 32*block, scaleReg)
	if k.bits == 4 {
		k.p("VMULPS %s, %s, %s", sixteenth, scaleReg, scaleReg)
	}
}

// sum scales the block's sums of token i and adds them.
func (k *intTile) sum(i int) func() {
	return func() {
		v, sum := "Z18", fmt.Sprintf("Z%d", i)
		if i >= 16 {
			sum = "Z19"
			k.p("VMOVUPS %d(R15), %s", intSums+64*(i-16), sum)
		}
		k.p("VCVTDQ2PS %d(R13), %s", 1024+64*i, v)
		k.p("VMULPS %s, %s, %s", scaleReg, v, v)
		k.p("VFMADD231PS.BCST %d(R10), %s, %s", 4*i, v, sum)
		if i >= 16 {
			k.p("VMOVUPS %s, %d(R15)", sum, intSums+64*(i-16))
		}
	}
}

// store writes a row tile's sums to y, or adds them, and clears them.
func (k *intTile) store() {
	k.p("MOVQ %d(R15), R12", localY)
	for i := range 16 * k.halves {
		k.enough(i, "stored")
		sum := fmt.Sprintf("Z%d", i)
		if i >= 16 {
			sum = "Z16"
			k.p("VMOVUPS %d(R15), %s", intSums+64*(i-16), sum)
		}
		k.p("CMPQ add+%d(FP), $0", k.arg("add"))
		k.jump("JEQ", fmt.Sprintf("set%d", i))
		k.p("VADDPS (R12), %s, %s", sum, sum)
		k.at(fmt.Sprintf("set%d", i))
		k.p("VMOVUPS %s, (R12)", sum)
		k.p("VPXORD %s, %s, %s", sum, sum, sum)
		if i >= 16 {
			k.p("VMOVUPS %s, %d(R15)", sum, intSums+64*(i-16))
		}
		k.p("ADDQ %d(R15), R12", localLdy)
	}
	k.at("stored")
	k.nextTile("")
}

// nextTile returns, or prepares what is to be added of the next row tile.
func (k *intTile) nextTile(name string) {
	k.p("ADDQ $64, %d(R15)", localY)
	k.p("DECQ tiles+%d(FP)", k.arg("tiles"))
	k.p("JZ done")
	k.p("MOVQ %d(R15), R12", localScale)
	k.p("MOVQ (R12), R11")
	k.p("ADDQ $8, R12")
	k.p("MOVQ R12, %d(R15)", localScale)
	k.p("MOVQ %d(R15), R10", localFirst)
	if !k.sparse {
		k.p("DECQ %d(R15)", localAddX)
		k.jump("JNZ", "same"+name)
		k.p("MOVQ every+%d(FP), R12", k.arg("every"))
		k.p("MOVQ R12, %d(R15)", localAddX)
		k.p("ADDQ step+%d(FP), R10", k.arg("step"))
		k.p("MOVQ R10, %d(R15)", localFirst)
		k.at("same" + name)
	}
	k.p("MOVQ k+%d(FP), R12", k.arg("k"))
	k.p("MOVQ R12, %d(R15)", localAdds)
	k.p("TESTQ R12, R12")
	k.jump("JZ", "store")
	k.jump("JMP", "loop")
}
