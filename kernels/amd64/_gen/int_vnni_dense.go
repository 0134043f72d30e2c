package main

// denseInt names the registers of a dense kernel.
type denseInt struct {
	sums, acc, w, x int
	offset, low     int // what weights get added, by xor; the low halves
}

func (k *intKernel) emitDense() {
	r := denseInt{}
	if !k.spill {
		r.sums = k.take(k.tiles * k.tokens)
	}
	r.acc = k.take(k.chains * k.tiles * k.tokens)
	r.w, r.x, r.offset = k.take(k.tiles), k.take(1), k.take(1)
	k.p("MOVQ %s, R11", k.arg("block"))
	if k.tokens > 1 {
		k.p("LEAQ (R11)(R11*2), R12")
	}
	if k.tokens > 4 {
		k.p("LEAQ (R11)(R11*4), R13")
	}
	if k.bits == 8 {
		k.constant(r.offset, 0x80808080)
	} else {
		r.low = k.take(1)
		k.constant(r.offset, 0x08080808)
		k.constant(r.low, 0x0f0f0f0f)
	}
	k.clear(r.sums, r.x)
	k.codes()
	k.scalesAt()
	k.ahead()
	k.label("loop")
	k.jump()
	if k.tokens > 4 {
		k.p("LEAQ (DI)(R12*2), R8")
	}
	k.offsets(r)
	k.p("MOVQ R11, AX")
	k.p("SHRQ $5, AX")
	k.label("chunk") // 32 inputs
	for step := range 8 {
		k.denseStep(r, step)
	}
	k.p("ADDQ $%d, SI", 64*k.bits)
	k.p("ADDQ $%d, R14", 64*k.bits)
	k.p("ADDQ $32, DI")
	if k.tokens > 4 {
		k.p("ADDQ $32, R8")
	}
	k.p("DECQ AX")
	k.p("JNZ chunk")
	k.denseBlock(r)
	k.p("ADDQ $32, BX")
	k.p("LEAQ %d(R9), DI", 8*k.tokens)
	k.scalesAt()
	k.p("DECQ CX")
	k.p("JNZ loop")
	k.store(r.sums)
}

// scalesAt points R9 at the scales of the record at DI.
func (k *intKernel) scalesAt() {
	k.p("LEAQ (DI)%s, R9", map[int]string{1: "(R11*1)", 4: "(R11*4)", 12: "(R12*4)"}[k.tokens])
}

// accumulator of a sum; chains take turns.
func (k *intKernel) accumulator(r denseInt, token, tile, chain int) int {
	return r.acc + (chain*k.tokens+token)*k.tiles + tile
}

// offsets starts the accumulators at minus what the weights' offset adds.
func (k *intKernel) offsets(r denseInt) {
	up := map[int]int{8: 7, 4: 3}[k.bits]
	if k.tokens == 1 {
		first := k.accumulator(r, 0, 0, 0)
		k.p("VPBROADCASTD 4(R9), Z%d", r.x)
		k.p("VPSLLD $%d, Z%d, Z%d", up, r.x, r.x)
		k.zero(first)
		k.p("VPSUBD Z%d, Z%d, Z%d", r.x, first, first)
	} else {
		// Through the frame, as a broadcast of a word is free where it is loaded.
		first := k.accumulator(r, 0, 0, 0)
		k.zero(first)
		k.p("VMOVDQU %d(R9), X%d", 4*k.tokens, first+1)
		k.p("VPSLLD $%d, X%d, X%d", up, first+1, first+1)
		k.p("VPSUBD X%d, X%d, X%d", first+1, first, first+1)
		k.p("VMOVDQU X%d, (R15)", first+1)
		if k.tokens > 4 {
			k.p("VMOVDQU %d(R9), Y%d", 4*k.tokens+16, first+1)
			k.p("VPSLLD $%d, Y%d, Y%d", up, first+1, first+1)
			k.p("VPSUBD Y%d, Y%d, Y%d", first+1, first, first+1)
			k.p("VMOVDQU Y%d, 16(R15)", first+1)
		}
	}
	for i := range k.tokens {
		first := k.accumulator(r, i, 0, 0)
		if k.tokens > 1 {
			k.p("VPBROADCASTD %d(R15), Z%d", 4*i, first)
		}
		for j := 1; j < k.tiles; j++ {
			k.p("VMOVDQA64 Z%d, Z%d", first, k.accumulator(r, i, j, 0))
		}
		for c := 1; c < k.chains; c++ {
			for j := range k.tiles {
				k.zero(k.accumulator(r, i, j, c))
			}
		}
	}
}

// token is the address of a token's codes.
func (k *intKernel) token(i int) string {
	base := "(DI)"
	if i >= 6 {
		base, i = "(R8)", i-6
	}
	return base + [...]string{"", "(R11*1)", "(R11*2)", "(R12*1)", "(R11*4)", "(R13*1)"}[i]
}

// denseStep is four inputs.
func (k *intKernel) denseStep(r denseInt, step int) {
	for j := range k.tiles {
		w := r.w + j
		switch {
		case k.bits == 8:
			k.p("VPXORD %d%s, Z%d, Z%d", 64*step, k.tile("(SI)", j), r.offset, w)
		case step%2 == 0:
			k.p("VMOVDQU64 %d%s, Z%d", 32*step, k.tile("(SI)", j), w)
		default:
			k.p("VPSRLD $4, %d%s, Z%d", 32*(step-1), k.tile("(SI)", j), w)
		}
		if k.bits == 4 { // (w ^ offset) & low
			k.p("VPTERNLOGD $0x28, Z%d, Z%d, Z%d", r.low, r.offset, w)
		}
		if k.bits == 8 || step%2 == 0 {
			k.p("PREFETCHT0 %d%s", step*8*k.bits, k.tile("(R14)", j))
		}
	}
	for i := range k.tokens {
		if k.tiles == 1 {
			k.p("VPDPBUSD.BCST %d%s, Z%d, Z%d", 4*step, k.token(i), r.w, k.accumulator(r, i, 0, step%k.chains))
			continue
		}
		k.p("VPBROADCASTD %d%s, Z%d", 4*step, k.token(i), r.x)
		for j := range k.tiles {
			k.p("VPDPBUSD Z%d, Z%d, Z%d", r.x, r.w+j, k.accumulator(r, i, j, step%k.chains))
		}
	}
}

// denseBlock adds the dot products of a block to the sums.
func (k *intKernel) denseBlock(r denseInt) {
	for c := k.chains / 2; c > 0; c /= 2 {
		for n := range c * k.tokens * k.tiles {
			k.p("VPADDD Z%d, Z%d, Z%d", r.acc+c*k.tokens*k.tiles+n, r.acc+n, r.acc+n)
		}
	}
	for j := range k.tiles {
		k.p("PREFETCHT0 %s", k.tile("(R14)", j))
		k.p("VCVTPH2PS %s, Z%d", k.tile("(BX)", j), r.w+j)
	}
	k.p("ADDQ $32, R14")
	for i := range k.tokens {
		k.p("VBROADCASTSS %d(R9), Z%d", 4*i, r.x)
		for j := range k.tiles {
			acc := k.accumulator(r, i, j, 0)
			k.p("VCVTDQ2PS Z%d, Z%d", acc, acc)
			k.p("VMULPS Z%d, Z%d, Z%d", r.w+j, acc, acc)
			k.addTo(r.sums, i, j, acc, r.x)
		}
	}
}
