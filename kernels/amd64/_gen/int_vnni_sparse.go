package main

// sparseInt names the registers of a 2:4 kernel.
type sparseInt struct {
	sums, acc         int
	weights           int // sums of the weights times 128, one a chain and tile
	shifts            int // of the positions of a step, four or one
	two, second, half int // bits of a position; what the second group adds; 128
	high              int // high halves of the bytes, 4 bits
	control, w, x     int
}

func (k *intKernel) emitSparse() {
	r := sparseInt{}
	if !k.spill {
		r.sums = k.take(k.tiles * k.tokens)
	}
	r.acc = k.take(k.chains * k.tiles * k.tokens)
	r.weights = k.take(k.chains * k.tiles)
	r.two, r.second, r.half = k.take(1), k.take(1), k.take(1)
	r.control, r.w, r.x = k.take(1), k.take(1), k.take(1)
	k.constant(r.two, 0x03030303)
	k.constant(r.second, 0x04040000)
	k.constant(r.half, 0x80808080)
	r.high = -1
	if k.bits == 4 && k.free < 31 {
		r.high = k.take(1)
		k.constant(r.high, 0xf0f0f0f0)
	}
	r.shifts = k.free
	for step := range 4 {
		if k.free == 32 {
			break
		}
		k.p("VPBROADCASTQ shifts<>+%d(SB), Z%d", 8*step, k.take(1))
	}
	k.clear(r.sums, r.x)
	k.codes()
	k.ahead()
	k.label("loop")
	k.jump()
	for n := range k.chains * k.tiles * k.tokens {
		k.start(r, r.acc+n, n < k.tiles*k.tokens)
	}
	for n := range k.chains * k.tiles {
		k.start(r, r.weights+n, n < k.tiles)
	}
	for step := range 8 {
		if k.tokens == 1 {
			k.p("VPBROADCASTQ %d(DI), Z%d", 8*step, r.x)
		}
		for j := range k.tiles {
			k.sparseStep(r, step, j)
		}
	}
	k.sparseBlock(r)
	k.p("ADDQ $%d, SI", k.blockBytes())
	k.p("ADDQ $%d, R14", k.blockBytes()+32)
	k.p("ADDQ $32, BX")
	k.p("ADDQ $%d, DI", (intBlock+8)*k.tokens)
	k.p("DECQ CX")
	k.p("JNZ loop")
	k.store(r.sums)
}

// start gives an accumulator the bits of 1.5·2²³, or 0. As floats two such
// accumulators are that plus their sums, below 2²², and their difference is exact.
func (k *intKernel) start(r sparseInt, acc int, float bool) {
	if float {
		k.p("VPBROADCASTD float<>(SB), Z%d", acc)
	} else {
		k.zero(acc)
	}
}

// sparseStep is eight inputs of a tile: two groups, of which a row keeps four.
func (k *intKernel) sparseStep(r sparseInt, step, tile int) {
	chain := step % k.chains
	positions, shift := 64*(step/4), r.shifts+step%4
	if r.shifts+4 > 32 { // with one register, the step's byte is where it reads
		positions, shift = positions+step%4, r.shifts
	}
	at := k.tile("(SI)", tile)
	k.p("VPMULTISHIFTQB %d%s, Z%d, Z%d", positions, at, shift, r.control)
	// (control & two) | second
	k.p("VPTERNLOGD $0xea, Z%d, Z%d, Z%d", r.second, r.two, r.control)
	k.kept(r, step, at)
	k.p("VPDPBUSD Z%d, Z%d, Z%d", r.w, r.half, r.weights+chain*k.tiles+tile)
	for i := range k.tokens {
		acc := r.acc + (chain*k.tokens+i)*k.tiles + tile
		if k.tokens == 1 {
			k.p("VPSHUFB Z%d, Z%d, Z%d", r.control, r.x, r.control)
			k.p("VPDPBUSD Z%d, Z%d, Z%d", r.w, r.control, acc)
			continue
		}
		k.p("VPBROADCASTQ %d(DI), Z%d", intBlock*i+8*step, r.x)
		k.p("VPSHUFB Z%d, Z%d, Z%d", r.control, r.x, r.x)
		k.p("VPDPBUSD Z%d, Z%d, Z%d", r.w, r.x, acc)
	}
	if k.bits == 8 || step%2 == 0 {
		k.p("PREFETCHT0 %d%s", 8*k.bits*step, k.tile("(R14)", tile))
	}
}

// kept loads a step's weights; those of 4 bits are 16 times as large.
func (k *intKernel) kept(r sparseInt, step int, tile string) {
	switch {
	case k.bits == 8:
		k.p("VMOVDQU64 %d%s, Z%d", 128+64*step, tile, r.w)
		return
	case step%2 == 0:
		k.p("VPSLLD $4, %d%s, Z%d", 128+32*step, tile, r.w)
	default:
		k.p("VMOVDQU64 %d%s, Z%d", 128+32*(step-1), tile, r.w)
	}
	if r.high < 0 {
		k.p("VPANDD.BCST high<>(SB), Z%d, Z%d", r.w, r.w)
	} else {
		k.p("VPANDD Z%d, Z%d, Z%d", r.high, r.w, r.w)
	}
}

// sparseBlock adds the dot products of a block to the sums.
func (k *intKernel) sparseBlock(r sparseInt) {
	all := k.tiles * k.tokens
	for c := k.chains / 2; c > 0; c /= 2 {
		for n := range c * all {
			k.p("VPADDD Z%d, Z%d, Z%d", r.acc+c*all+n, r.acc+n, r.acc+n)
		}
		for n := range c * k.tiles {
			k.p("VPADDD Z%d, Z%d, Z%d", r.weights+c*k.tiles+n, r.weights+n, r.weights+n)
		}
	}
	for j := range k.tiles {
		for line := range 3 { // the positions' and what the scales add
			k.p("PREFETCHT0 %d%s", 64*(k.bits+line), k.tile("(R14)", j))
		}
		k.p("VCVTPH2PS %s, Z%d", k.tile("(BX)", j), r.w)
		if k.bits == 4 { // exact
			k.p("VMULPS.BCST sixteenth<>(SB), Z%d, Z%d", r.w, r.w)
		}
		for i := range k.tokens {
			acc := r.acc + i*k.tiles + j
			k.p("VSUBPS Z%d, Z%d, Z%d", r.weights+j, acc, acc)
			k.p("VMULPS Z%d, Z%d, Z%d", r.w, acc, acc)
			k.p("VBROADCASTSS %d(DI), Z%d", intBlock*k.tokens+4*i, r.x)
			k.addTo(r.sums, i, j, acc, r.x)
		}
	}
}
