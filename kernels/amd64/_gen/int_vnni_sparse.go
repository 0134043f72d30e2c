package main

// sparseInt names the registers of a 2:4 kernel.
type sparseInt struct {
	sums, acc         int
	weights           int // sums of the weights times 128, one a chain
	shifts            int // of the positions of a step, four or one
	two, second, half int // bits of a position; what the second group adds; 128
	high              int // high halves of the bytes, 4 bits
	control, w, x     int
}

func (k *intKernel) emitSparse() {
	r := sparseInt{}
	r.sums = k.take(k.tokens)
	r.acc = k.take(k.chains * k.tokens)
	r.weights = k.take(k.chains)
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
	for i := range k.tokens {
		k.zero(r.sums + i)
	}
	k.codes()
	k.label("loop")
	for n := range k.chains * (k.tokens + 1) {
		k.zero(r.acc + n)
	}
	for step := range 8 {
		k.sparseStep(r, step)
	}
	k.sparseBlock(r)
	k.p("ADDQ $%d, SI", 128+64*k.bits)
	k.p("ADDQ $32, BX")
	k.p("ADDQ $%d, DI", (sparseInts+8)*k.tokens)
	k.p("DECQ CX")
	k.p("JNZ loop")
	k.store(r.sums)
}

// sparseStep is eight inputs: two groups, of which each row keeps four.
func (k *intKernel) sparseStep(r sparseInt, step int) {
	chain := step % k.chains
	positions, shift := 64*(step/4), r.shifts+step%4
	if r.shifts+4 > 32 { // with one register, the step's byte is where it reads
		positions, shift = positions+step%4, r.shifts
	}
	k.p("VPMULTISHIFTQB %d(SI), Z%d, Z%d", positions, shift, r.control)
	// (control & two) | second
	k.p("VPTERNLOGD $0xea, Z%d, Z%d, Z%d", r.second, r.two, r.control)
	k.kept(r, step)
	k.p("VPDPBUSD Z%d, Z%d, Z%d", r.w, r.half, r.weights+chain)
	for i := range k.tokens {
		k.p("VPBROADCASTQ %d(DI), Z%d", sparseInts*i+8*step, r.x)
		k.p("VPSHUFB Z%d, Z%d, Z%d", r.control, r.x, r.x)
		k.p("VPDPBUSD Z%d, Z%d, Z%d", r.w, r.x, r.acc+chain*k.tokens+i)
	}
	if k.bits == 8 || step%2 == 0 {
		k.p("PREFETCHT0 %d(SI)", intAhead+8*k.bits*step)
	}
}

// kept loads a step's weights; those of 4 bits are 16 times as large.
func (k *intKernel) kept(r sparseInt, step int) {
	at := 128 + 64*step
	if k.bits == 8 {
		k.p("VMOVDQU64 %d(SI), Z%d", at, r.w)
		return
	}
	at = 128 + 64*(step/2)
	if step%2 == 0 {
		k.p("VPSLLD $4, %d(SI), Z%d", at, r.w)
	} else {
		k.p("VMOVDQU64 %d(SI), Z%d", at, r.w)
	}
	if r.high < 0 {
		k.p("VPANDD.BCST high<>(SB), Z%d, Z%d", r.w, r.w)
	} else {
		k.p("VPANDD Z%d, Z%d, Z%d", r.high, r.w, r.w)
	}
}

// sparseBlock adds the dot products of a block to the sums.
func (k *intKernel) sparseBlock(r sparseInt) {
	for c := k.chains / 2; c > 0; c /= 2 {
		for n := range c * k.tokens {
			k.p("VPADDD Z%d, Z%d, Z%d", r.acc+c*k.tokens+n, r.acc+n, r.acc+n)
		}
		for n := range c {
			k.p("VPADDD Z%d, Z%d, Z%d", r.weights+c+n, r.weights+n, r.weights+n)
		}
	}
	k.p("PREFETCHT0 %d(SI)", intAhead+64*k.bits)
	k.p("PREFETCHT0 %d(SI)", intAhead+64*k.bits+64)
	k.p("PREFETCHT0 %d(BX)", intAhead/8)
	k.p("VCVTPH2PS (BX), Z%d", r.w)
	if k.bits == 4 { // exact
		k.p("VMULPS.BCST sixteenth<>(SB), Z%d, Z%d", r.w, r.w)
	}
	for i := range k.tokens {
		acc := r.acc + i
		k.p("VPSUBD Z%d, Z%d, Z%d", r.weights, acc, acc)
		k.p("VCVTDQ2PS Z%d, Z%d", acc, acc)
		k.p("VMULPS Z%d, Z%d, Z%d", r.w, acc, acc)
		k.p("VFMADD231PS.BCST %d(DI), Z%d, Z%d", sparseInts*k.tokens+4*i, acc, r.sums+i)
	}
}
