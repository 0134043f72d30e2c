package main

import "fmt"

// wide goes over the blocks in chunks of as many as there are A tiles, n, so that
// a token's f32 sums are loaded and stored once a chunk. In a chunk's step j, the
// sums of the chunk before, of the tokens of A tile j, are scaled and added, of all
// its blocks; those of block j, multiplied in the step before, are written in their
// places by all A tiles; and the next block is multiplied. So the n by n places lie
// by block and A tile in one chunk, by A tile and block in the next. A row tile's
// last chunk may have fewer blocks, see part.
//
// SI, CX, DI, DX, BX and R11 are as in loop. R13 is where the step's places begin,
// R9 the bytes from one to the next; R10 scales of the step's tokens; R14 place in
// the ring of the weights to expand, after which those to multiply are; AX 64; R8
// and R12 are free.
func (k *intTile) wide() {
	n := k.halves
	k.to, k.at0 = "(R15)(R14*1)", wideRing
	k.at("start")
	k.p("LEAQ %d(R15), R13", wideSums)
	k.p("MOVQ R8, R12")
	k.at("clear")
	k.p("VMOVUPS Z0, (R13)")
	k.p("ADDQ $64, R13")
	k.p("DECQ R12")
	k.jump("JNZ", "clear")
	k.p("TESTQ CX, CX")
	k.jump("JZ", "store")
	k.p("MOVQ DX, R12")
	k.p("IMULQ $%d, R12", -16*(n-1))
	k.p("ADDQ BX, R12")
	k.p("MOVQ R12, %d(R15)", localRest)
	if k.expands() {
		k.at("fill")
		interleave(k.expand("fill"))
		k.nextBlock("filled")
		k.p("ADDQ $1024, R14")
		k.p("CMPQ R14, $%d", 4*1024)
		k.jump("JNE", "fill")
		k.p("MOVQ $%d, R14", 3*1024)
	}
	k.loadWeights()
	for h := range n {
		k.multiplyTile(h)
	}
	k.multiplied("first")
	k.p("MOVQ tiles+%d(FP), R12", k.arg("tiles"))
	k.p("DECQ R12")
	k.p("MOVQ R12, %d(R15)", localMore)
	k.p("MOVQ $0, %d(R15)", localRead)
	k.p("MOVQ $1024, R9")
	k.p("MOVQ $%d, R12", n*1024)
	k.p("MOVQ R12, %d(R15)", localStride)
	k.p("MOVQ k+%d(FP), R12", k.arg("k"))
	k.p("MOVQ R12, %d(R15)", localReads)

	k.at("loop")
	k.chunk()
	k.p("MOVQ %d(R15), R12", localRead)
	k.p("MOVQ R12, %d(R15)", localBlocks)
	k.p("ADDQ %d(R15), R12", localAdd)
	k.p("CMPQ R12, $%d", 2*n)
	k.jump("JNE", "part")
	k.at("step")
	k.stepWide()
	k.nextStep("step")
	k.jump("JMP", "stepped")

	k.at("part")
	k.addPart()
	k.p("DECQ %d(R15)", localBlocks)
	k.jump("JLT", "idle")
	k.prefetches("part")
	k.loadWeights()
	k.p("MOVQ R13, R12")
	for h := range n {
		k.storeTile(h, "R12", "AX", 0)
		k.multiplyTile(h)
		k.p("ADDQ R9, R12")
	}
	if k.expands() {
		interleave(k.expand("part"))
	}
	k.multiplied("part")
	k.at("idle")
	k.nextStep("part")

	k.at("stepped")
	k.p("MOVQ %d(R15), R12", localAdd)
	k.p("SUBQ R12, %d(R15)", localAdds)
	k.p("MOVQ R12, R8")
	k.p("SHLQ $5, R8")
	k.p("ADDQ R8, R11")
	k.p("IMULQ BX, R12")
	k.p("LEAQ %d(R10)(R12*1), R10", -64*n)
	k.p("CMPQ %d(R15), $0", localAdds)
	k.jump("JNE", "loop")
	k.nextTile("")
	k.at("store")
	k.storeWide()
}

// chunk begins one: how many blocks it has, none after the last row tile.
func (k *intTile) chunk() {
	k.p("MOVQ %d(R15), R12", localRead)
	k.p("MOVQ R12, %d(R15)", localAdd)
	k.p("MOVQ %d(R15), R12", localReads)
	k.p("TESTQ R12, R12")
	k.jump("JNZ", "some")
	k.p("DECQ %d(R15)", localMore)
	k.jump("JLT", "some")
	k.p("MOVQ k+%d(FP), R12", k.arg("k"))
	k.at("some")
	k.p("MOVQ $%d, R8", k.halves)
	k.p("CMPQ R12, R8")
	k.p("CMOVQLT R12, R8")
	k.p("MOVQ R8, %d(R15)", localRead)
	k.p("SUBQ R8, R12")
	k.p("MOVQ R12, %d(R15)", localReads)
	k.p("MOVQ %d(R15), R12", localStride)
	k.p("MOVQ R9, %d(R15)", localStride)
	k.p("MOVQ R12, R9")
	k.p("LEAQ %d(R15), R13", wideDots)
	k.p("LEAQ %d(R15), R12", wideSums)
	k.p("MOVQ R12, %d(R15)", localSum)
	k.p("MOVQ %d(R15), R12", localY)
	k.p("MOVQ R12, %d(R15)", localStep)
	k.p("MOVQ tokens+%d(FP), R12", k.arg("tokens"))
	k.p("MOVQ R12, %d(R15)", localLeft)
	k.p("MOVQ $%d, %d(R15)", k.halves, localSteps)
}

func (k *intTile) nextStep(to string) {
	k.p("ADDQ %d(R15), R13", localStride)
	k.p("ADDQ $64, R10")
	k.p("ADDQ $1024, %d(R15)", localSum)
	k.p("SUBQ $16, %d(R15)", localLeft)
	k.p("DECQ %d(R15)", localSteps)
	k.jump("JNZ", to)
}

// loadWeights loads the next block's.
func (k *intTile) loadWeights() {
	if !k.expands() {
		k.load(6, "SI", "AX", 0)
		return
	}
	k.p("LEAQ 1024(R14), R12")
	k.p("ANDQ $%d, R12", 4*1024-1)
	k.p("ADDQ R15, R12")
	k.load(6, "R12", "AX", wideRing)
}

// multiplyTile multiplies them by A tile h.
func (k *intTile) multiplyTile(h int) {
	k.zero(h)
	k.load(k.activations(h), "DI", "DX", 0)
	k.dotInt(h, k.activations(h), 6)
	if h < k.halves-1 {
		k.p("LEAQ (DI)(DX*8), DI")
		k.p("LEAQ (DI)(DX*8), DI")
	}
}

// multiplied goes on to the next block.
func (k *intTile) multiplied(name string) {
	if k.expands() {
		k.p("ADDQ $1024, R14")
		k.p("ANDQ $%d, R14", 4*1024-1)
	}
	if !k.expands() || name != "first" {
		k.nextBlock("expanded" + name)
	}
	k.p("ADDQ %d(R15), DI", localRest)
	k.countDot(name)
}

// prefetches reads ahead if weights are multiplied as they lie.
func (k *intTile) prefetches(name string) {
	if k.expands() {
		return
	}
	for i := range 8 {
		k.prefetch(i)
	}
	k.p("CMPQ DX, $32")
	k.jump("JEQ", "narrow"+name)
	for i := 8; i < 16; i++ {
		k.prefetch(i)
	}
	k.at("narrow" + name)
}

// stepWide does a step of a whole chunk after a whole chunk. Each tile of sums is
// read, and written with the sums of the block that was multiplied in the step
// before; then its register takes the next block's.
func (k *intTile) stepWide() {
	n := k.halves
	k.prefetches("")
	var expand []func()
	if k.expands() {
		expand = k.expand("")
	}
	k.loadWeights()
	k.loadSums("")
	k.p("MOVQ R10, R8")
	k.p("MOVQ R13, R12")
	for b := range n {
		k.scale(b)
		k.less()
		parts := expand[b*len(expand)/n : (b+1)*len(expand)/n]
		interleave(parts)
		k.addTile(fmt.Sprintf("added%d", b))
		k.storeTile(b, "R12", "AX", 0)
		k.multiplyTile(b)
		if b < n-1 {
			k.p("ADDQ R9, R12")
			k.p("ADDQ BX, R8")
		}
	}
	k.keepSums("")
	k.multiplied("")
}

// loadSums loads the step's tokens' sums, nothing in a row tile's first chunk.
func (k *intTile) loadSums(name string) {
	k.p("MOVQ %d(R15), R12", localAdds)
	k.p("CMPQ R12, k+%d(FP)", k.arg("k"))
	k.jump("JEQ", "fresh"+name)
	k.p("MOVQ %d(R15), R8", localSum)
	for i := range 16 {
		k.p("VMOVUPS %d(R8), Z%d", 64*i, i)
	}
	k.jump("JMP", "loaded"+name)
	k.at("fresh" + name)
	for i := range 16 {
		k.p("VPXORD Z%d, Z%d, Z%d", i, i, i)
	}
	k.at("loaded" + name)
}

// keepSums stores them; after the last chunk to y, or added to it: here, since 64
// lines of y at once would hold up the stores of tiles.
func (k *intTile) keepSums(name string) {
	k.p("MOVQ %d(R15), R12", localAdds)
	k.p("CMPQ R12, %d(R15)", localAdd)
	k.jump("JEQ", "last"+name)
	k.p("MOVQ %d(R15), R8", localSum)
	for i := range 16 {
		k.p("VMOVUPS Z%d, %d(R8)", i, 64*i)
	}
	k.jump("JMP", "kept"+name)
	k.at("last" + name)
	k.p("MOVQ %d(R15), R8", localLdy)
	k.p("MOVQ %d(R15), R12", localStep)
	k.p("CMPQ add+%d(FP), $0", k.arg("add"))
	k.jump("JEQ", "over"+name)
	for i := range 16 {
		k.enoughWide(i, "over"+name)
		k.p("VADDPS (R12), Z%d, Z%d", i, i)
		k.p("ADDQ R8, R12")
	}
	k.at("over" + name)
	k.p("MOVQ %d(R15), R12", localStep)
	for i := range 16 {
		k.enoughWide(i, "kept"+name)
		k.p("VMOVUPS Z%d, (R12)", i)
		k.p("ADDQ R8, R12")
	}
	k.p("MOVQ R12, %d(R15)", localStep)
	k.at("kept" + name)
}

// addTile scales and adds the sums of a block, at R12, with the tokens' scales at R8.
func (k *intTile) addTile(end string) {
	for i := range 16 {
		k.enoughWide(i, end)
		k.addDot("R12", 64*i, "R8", 4*i, fmt.Sprintf("Z%d", i))
	}
	k.at(end)
}

// addPart adds the sums of a chunk of any number of blocks.
func (k *intTile) addPart() {
	k.p("MOVQ %d(R15), R12", localAdd)
	k.p("TESTQ R12, R12")
	k.jump("JZ", "none")
	k.p("MOVQ R12, %d(R15)", localCount)
	k.loadSums("part")
	k.p("MOVQ R10, R8")
	k.p("MOVQ R13, R12")
	k.at("count")
	k.scale(0)
	k.less()
	k.addTile("counted")
	k.p("ADDQ $32, R11")
	k.p("ADDQ BX, R8")
	k.p("ADDQ R9, R12")
	k.p("DECQ %d(R15)", localCount)
	k.jump("JNZ", "count")
	k.keepSums("part")
	k.p("MOVQ %d(R15), R12", localAdd)
	k.p("SHLQ $5, R12")
	k.p("SUBQ R12, R11")
	k.at("none")
}

// less makes what addDot takes off.
func (k *intTile) less() {
	k.p("VMULPS.BCST less<>(SB), %s, %s", scaleReg, lessReg)
}

// addDot scales 16 rows' sums of a token, in a block, and adds them. Beside AMX the
// processor does arithmetic in f32 on one port only: so the sums, below 2²² in
// magnitude, become f32 by an integer addition, more by 1.5·2²³, which the product
// with the scale has less again; its one rounding is that of the exact product.
func (k *intTile) addDot(dots string, at int, scales string, scale int, sum string) {
	const v = "Z18"
	k.p("VPADDD %d(%s), %s, %s", at, dots, moreReg, v)
	k.p("VFMADD213PS %s, %s, %s", lessReg, scaleReg, v)
	k.p("VFMADD231PS.BCST %d(%s), %s, %s", scale, scales, v, sum)
}

// enoughWide jumps if the step has no more than i tokens.
func (k *intTile) enoughWide(i int, to string) {
	if i > 0 && k.least < 16*k.halves {
		k.p("CMPQ %d(R15), $%d", localLeft, i)
		k.jump("JEQ", to)
	}
}

// storeWide does so where there are no blocks.
func (k *intTile) storeWide() {
	k.p("MOVQ %d(R15), R12", localY)
	k.p("LEAQ %d(R15), R13", wideSums)
	k.p("MOVQ tokens+%d(FP), R8", k.arg("tokens"))
	k.p("VPXORD Z5, Z5, Z5")
	k.at("token")
	k.p("VMOVUPS (R13), Z4")
	k.p("CMPQ add+%d(FP), $0", k.arg("add"))
	k.jump("JEQ", "set")
	k.p("VADDPS (R12), Z4, Z4")
	k.at("set")
	k.p("VMOVUPS Z4, (R12)")
	k.p("VMOVUPS Z5, (R13)")
	k.p("ADDQ $64, R13")
	k.p("ADDQ %d(R15), R12", localLdy)
	k.p("DECQ R8")
	k.jump("JNZ", "token")
	k.nextTile("none")
}
