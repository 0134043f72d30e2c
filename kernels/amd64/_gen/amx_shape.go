package main

import "fmt"

// shape is the loop over row tiles, so many at a time, each time for one A tile or
// also for a second.
func (k *tileKernel) shape(tiles, halves int) {
	here := fmt.Sprintf("tiles%d", tiles)
	k.label("%s", here)
	k.p("SUBQ $%d, tiles+%d(FP)", tiles, k.arg("tiles"))
	if tiles > 1 {
		k.p("JLT %sback", here)
	} else {
		k.p("JLT done")
	}
	for half := range halves {
		s := &tileShape{k, tiles, half, fmt.Sprintf("%shalf%d", here, half)}
		if half == 1 {
			k.p("CMPQ tokens+%d(FP), $16", k.arg("tokens"))
			k.p("JLE %snext", here)
		}
		for i := range tiles {
			k.zero(s.sum(i))
		}
		switch k.kind {
		case tileDense:
			s.dense()
		case tileSparse:
			s.sparse()
		case tileSum:
			s.pieces()
		}
		s.store()
		for i := range tiles { // see above: of tiles in use
			k.zero(s.sum(i))
		}
		k.zero(4 + half)
		k.zero(6)
	}
	if halves == 2 {
		k.label("%snext", here)
	}
	k.p("ADDQ $%d, R13", 64*tiles)
	switch k.kind {
	case tileSum:
		k.p("ADDQ $%d, offset-8(SP)", 512*tiles)
	default:
		k.p("ADDQ $%d, w+0(FP)", 8*tiles)
	}
	k.p("JMP %s", here)
	if tiles > 1 {
		k.label("%sback", here)
		k.p("ADDQ $%d, tiles+%d(FP)", tiles, k.arg("tiles"))
	}
}

// A tileShape is one of a kernel's, for one A tile.
type tileShape struct {
	*tileKernel
	tiles, half int
	name        string
}

func (s *tileShape) sum(tile int) int { return s.half*2 + tile }

func (s *tileShape) at(part string) { s.label("%s%s", s.name, part) }
func (s *tileShape) jump(op, part string) {
	s.p("%s %s%s", op, s.name, part)
}

// activations points at the first inputs.
func (s *tileShape) activations() {
	s.p("MOVQ x+%d(FP), DI", s.arg("x"))
	if s.half == 1 {
		s.tileDown("DI", "BX", "DI")
	}
}

// loadA loads the activations of this step and goes on by its bytes.
func (s *tileShape) loadA(bytes int) {
	s.load(4+s.half, "DI", "BX", 0)
	s.p("ADDQ $%d, DI", bytes)
}

func (s *tileShape) loadTail() { s.load(4+s.half, "R15", "AX", tailRows+1024*s.half) }

// multiply loads the weights of tile i and adds its products.
func (s *tileShape) multiply(i int, base, index string, disp int) {
	s.load(6, base, index, disp)
	s.dot(s.sum(i), 4+s.half, 6)
}

var tileRegs = [...]string{"R8", "R9", "R10", "R11"}

func (s *tileShape) dense() {
	s.p("MOVQ w+0(FP), SI")
	for i := range s.tiles {
		s.p("MOVQ %d(SI), %s", 8*i, tileRegs[i])
	}
	s.jumpAhead("SI", "DX")
	s.activations()
	s.steps("CX")
	s.p("TESTQ CX, CX")
	s.jump("JZ", "tail")
	s.at("loop")
	s.p("CMPQ CX, $%d", ahead/1024)
	s.p("CMOVQLE DX, SI")
	s.loadA(64)
	for i := range s.tiles {
		for line := range 16 {
			s.p("PREFETCHT0 %d(%s)(SI*1)", ahead+64*line, tileRegs[i])
			s.p("PREFETCHT1 %d(%s)(SI*1)", far+64*line, tileRegs[i])
		}
		s.multiply(i, tileRegs[i], "AX", 0)
		s.p("ADDQ $1024, %s", tileRegs[i])
	}
	s.p("DECQ CX")
	s.jump("JNZ", "loop")
	s.at("tail")
	s.remainder("CX")
	s.jump("JZ", "store")
	s.loadTail()
	for i := range s.tiles {
		s.remainder("CX")
		s.fill(tileRegs[i], 16, i)
		s.multiply(i, "R15", "AX", slots)
	}
}

// jumpAhead puts into next how far beyond these tiles' ends those begin that come
// after them: where reading ahead goes on. List points at theirs, and becomes 0.
func (s *tileShape) jumpAhead(list, next string) {
	s.p("XORQ R12, R12")
	s.p("CMPQ tiles+%d(FP), $0", s.arg("tiles"))
	s.jump("JLE", "final")
	s.p("MOVQ %d(%s), R12", 8*s.tiles, list)
	s.p("SUBQ R8, R12")
	s.p("MOVQ k+%d(FP), DX", s.arg("k"))
	s.p("SHLQ $6, DX")
	s.p("SUBQ DX, R12")
	s.at("final")
	s.p("MOVQ R12, %s", next)
	s.p("XORQ %s, %s", list, list)
}

// fill copies CX lines into the first slot and clears those up to n.
func (s *tileShape) fill(from string, n, i int) {
	s.p("LEAQ %d(R15), DI", slots)
	s.p("MOVQ $%d, DX", n)
	s.p("SUBQ CX, DX")
	s.at(fmt.Sprintf("copy%d", i))
	s.p("VMOVDQU64 (%s), Z0", from)
	s.p("VMOVDQU64 Z0, (DI)")
	s.p("ADDQ $64, %s", from)
	s.p("ADDQ $64, DI")
	s.p("DECQ CX")
	s.jump("JNZ", fmt.Sprintf("copy%d", i))
	s.clear(i)
}

// clear zeroes DX lines from DI on.
func (s *tileShape) clear(i int) {
	s.p("VPXORD Z0, Z0, Z0")
	s.p("TESTQ DX, DX")
	s.jump("JZ", fmt.Sprintf("filled%d", i))
	s.at(fmt.Sprintf("clear%d", i))
	s.p("VMOVDQU64 Z0, (DI)")
	s.p("ADDQ $64, DI")
	s.p("DECQ DX")
	s.jump("JNZ", fmt.Sprintf("clear%d", i))
	s.at(fmt.Sprintf("filled%d", i))
}

// pieces: each of 16 inputs; only of the last not all weights may be read.
func (s *tileShape) pieces() {
	s.p("MOVQ w+0(FP), SI")
	s.p("MOVQ pieces+%d(FP), CX", s.arg("pieces"))
	s.activations()
	s.p("DECQ CX")
	s.jump("JZ", "last")
	s.at("loop")
	s.p("MOVQ (SI), R8")
	s.p("ADDQ offset-8(SP), R8")
	s.p("ADDQ $8, SI")
	s.loadA(32)
	for i := range s.tiles {
		s.multiply(i, "R8", "AX", 512*i)
	}
	s.p("DECQ CX")
	s.jump("JNZ", "loop")
	s.at("last")
	s.p("MOVQ (SI), R8")
	s.p("ADDQ offset-8(SP), R8")
	s.loadA(32)
	for i := range s.tiles {
		s.p("LEAQ %d(R8), R9", 512*i)
		s.p("MOVQ last+%d(FP), CX", s.arg("last"))
		s.fill("R9", 8, i)
		s.multiply(i, "R15", "AX", slots)
	}
}

// sparse expands each step into slots of the ring, at DX, two steps before it is
// multiplied: tiles are not loaded from what waits to be stored. From a row tile's
// begin on, positions are at R12 and values at SI.
func (s *tileShape) sparse() {
	s.p("MOVQ R13, y-24(SP)")
	s.p("MOVQ w+0(FP), SI")
	for i := range s.tiles {
		s.p("MOVQ %d(SI), %s", 8*i, tileRegs[i])
	}
	s.jumpAhead("SI", "next-16(SP)")
	s.p("XORQ R12, R12")
	s.p("XORQ R14, R14")
	s.p("MOVQ k+%d(FP), SI", s.arg("k"))
	s.p("ADDQ $7, SI")
	s.p("ANDQ $-8, SI")
	s.p("SHLQ $3, SI")
	s.activations()
	s.steps("CX")
	s.p("TESTQ CX, CX")
	s.jump("JZ", "tail")
	s.p("XORQ DX, DX")
	s.p("MOVQ CX, steps-8(SP)") // to multiply
	s.step("first", true, false)
	s.p("DECQ CX")
	s.jump("JZ", "drain")
	s.step("second", true, false)
	s.p("DECQ CX")
	s.jump("JZ", "drain")
	s.at("loop")
	s.step("", true, true)
	s.p("DECQ steps-8(SP)")
	s.p("DECQ CX")
	s.jump("JNZ", "loop")
	s.at("drain")
	s.p("MOVQ steps-8(SP), CX")
	s.p("CMPQ k+%d(FP), $16", s.arg("k"))
	s.jump("JGE", "multiply")
	s.p("ADDQ $%d, DX", slotStep) // one step: as if a second had been expanded
	s.at("multiply")
	s.step("last", false, true)
	s.p("DECQ CX")
	s.jump("JNZ", "multiply")
	s.at("tail")
	s.remainder("CX")
	s.jump("JZ", "store")
	s.loadTail()
	for i := range s.tiles {
		s.p("LEAQ (%s)(R12*1), R13", tileRegs[i])
		s.p("LEAQ (%s)(SI*1), R14", tileRegs[i])
		s.remainder("CX")
		s.p("LEAQ %d(R15), DI", slots)
		s.p("MOVQ $8, DX")
		s.p("SUBQ CX, DX")
		s.p("ADDQ DX, DX")
		s.at(fmt.Sprintf("group%d", i))
		s.group("(R13)", 0, "(R14)", 0, "(DI)", 0, 0)
		s.p("ADDQ $8, R13")
		s.p("ADDQ $64, R14")
		s.p("ADDQ $128, DI")
		s.p("DECQ CX")
		s.jump("JNZ", fmt.Sprintf("group%d", i))
		s.clear(i)
		s.multiply(i, "R15", "AX", slots)
	}
}

// step expands one of CX steps that are left, or multiplies what was expanded two
// steps before, or both at once: instructions on tiles wait, and what follows waits
// with them, unless there is other work between them.
func (s *tileShape) step(name string, expand, multiply bool) {
	if expand {
		s.p("CMPQ CX, $%d", ahead/512)
		s.p("CMOVQLE next-16(SP), R14")
	}
	if multiply {
		s.p("LEAQ %d(DX), R13", ring/2)
		s.p("ANDQ $%d, R13", ring-1)
		s.p("ADDQ R15, R13")
		s.loadA(64)
	}
	if expand {
		s.p("ADDQ SI, R14")
	}
	for i := range s.tiles {
		base := tileRegs[i]
		groups := func(from, to int) {
			if !expand {
				return
			}
			for g := from; g < to; g++ {
				s.p("PREFETCHT0 %d(%s)(R14*1)", ahead+64*g, base)
				s.p("PREFETCHT1 %d(%s)(R14*1)", far+64*g, base)
				s.group("("+base+")(R12*1)", 8*g, "("+base+")(SI*1)", 64*g, "(R15)(DX*1)", slots+1024*i+128*g, g%3)
			}
		}
		if expand {
			s.p("PREFETCHT0 %d(%s)(R12*1)", ahead/8, base)
		}
		groups(0, 4)
		if multiply {
			s.load(6, "R13", "AX", slots+1024*i)
		}
		groups(4, 8)
		if multiply {
			s.dot(s.sum(i), 4+s.half, 6)
		}
	}
	if expand {
		s.p("SUBQ SI, R14")
		s.p("ADDQ $64, R12")
		s.p("ADDQ $512, SI")
	}
	s.p("ADDQ $%d, DX", slotStep)
	s.p("ANDQ $%d, DX", ring-1)
}

// store writes the sums to y, or adds them by way of the first slot.
func (s *tileShape) store() {
	s.at("store")
	if s.kind == tileSparse {
		s.ldy()
		s.p("MOVQ y-24(SP), R13")
	}
	to := "R13"
	if s.half == 1 {
		to = "R12"
		s.tileDown("R13", "R14", "R12")
	}
	s.p("CMPQ add+%d(FP), $0", s.arg("add"))
	s.jump("JNE", "add")
	for i := range s.tiles {
		s.storeTile(s.sum(i), to, "R14", 64*i)
	}
	s.jump("JMP", "stored")
	s.at("add")
	for i := range s.tiles {
		s.addSums(s.sum(i), to, 64*i, slots, fmt.Sprintf("%srow%d", s.name, i))
	}
	s.at("stored")
}

// addSums adds tile t to what is at, with rows R14 apart, by way of the slot. R8, R9
// and CX are free.
func (k *tileKernel) addSums(t int, to string, at, slot int, row string) {
	k.storeTile(t, "R15", "AX", slot)
	k.p("LEAQ %d(%s), R8", at, to)
	k.p("LEAQ %d(R15), R9", slot)
	k.p("MOVBLZX %d(R15), CX", 48+t)
	k.label("%s", row)
	k.p("VMOVUPS (R9), Z0")
	k.p("VADDPS (R8), Z0, Z0")
	k.p("VMOVUPS Z0, (R8)")
	k.p("ADDQ $64, R9")
	k.p("ADDQ R14, R8")
	k.p("DECQ CX")
	k.p("JNZ %s", row)
}

// expansion puts its constants into registers.
func (k *tileKernel) expansion() {
	k.p("VMOVDQU64 shifts<>(SB), Z31")
	k.p("VMOVDQU64 lanes<>(SB), Z30")
	k.p("VMOVDQU64 low<>(SB), Z29")
	k.p("VMOVDQU64 high<>(SB), Z28")
}

// group expands four inputs of 16 rows, two lines.
func (k *tileKernel) group(positions string, p int, values string, v int, to string, at, n int) {
	t, lo, hi, w := 4*n, 4*n+1, 4*n+2, 4*n+3
	k.p("VPBROADCASTQ %d%s, Z%d", p, positions, t)
	k.p("VPSRLVD Z31, Z%d, Z%d", t, t)
	k.p("VPERMD Z29, Z%d, Z%d", t, lo)
	k.p("VPERMD Z28, Z%d, Z%d", t, hi)
	k.p("VPORD Z30, Z%d, Z%d", lo, lo)
	k.p("VPORD Z30, Z%d, Z%d", hi, hi)
	k.p("VMOVDQU64 %d%s, Z%d", v, values, w)
	k.p("VPSHUFB Z%d, Z%d, Z%d", lo, w, lo)
	k.p("VPSHUFB Z%d, Z%d, Z%d", hi, w, hi)
	k.p("VMOVDQU64 Z%d, %d%s", lo, at, to)
	k.p("VMOVDQU64 Z%d, %d%s", hi, at+64, to)
}
