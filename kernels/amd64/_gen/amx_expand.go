package main

import "fmt"

// A panel of 2:4 weights is expanded while the one before it is multiplied: beside
// the products of its first two or four tiles of tokens, the rest after them. What
// comes after that one is read ahead into L2.
//
//	R8     this panel's weights, at panelW0, in one of two places
//	R9–R11 positions, values, and where they go, of the tile that is expanded
//	SI     its groups that are left, below 0 if there are none
const (
	// Of the next panel's two row tiles: R9 to SI.
	nextTile  = panelMore
	nextBytes = 32

	// Of the panel after that: positions and values of two row tiles, the groups of
	// each, the tiles that there are, and what follows in the list.
	farTile  = nextTile + 2*nextBytes
	farLeft  = farTile + 32
	farTiles = farTile + 40
	farList  = farTile + 48
	farAfter = farTile + 56
	farDone  = farTile + 64
)

// firstPanel expands it.
func (k *tileKernel) firstPanel() {
	k.p("MOVQ w+0(FP), R8")
	k.p("MOVQ R8, %s", local(farList))
	k.p("MOVQ tiles+%d(FP), R8", k.arg("tiles"))
	k.p("MOVQ R8, %s", local(farAfter))
	k.p("MOVQ $0, %s", local(farDone))
	k.p("LEAQ %d(R15), R8", panelSlots+panelBytes)
	k.p("MOVQ R8, %s", local(panelW0))
	k.farPanel("first")
	k.nextPanel("init")
	k.expandRest("init")
}

// otherPlace points R11 at the one of the two places where this panel is not.
func (k *tileKernel) otherPlace() {
	k.p("LEAQ %d(R15)(R15*1), R11", 2*panelSlots+panelBytes)
	k.p("SUBQ %s, R11", local(panelW0))
}

// nextPanel takes what was far.
func (k *tileKernel) nextPanel(name string) {
	k.otherPlace()
	k.p("MOVQ %s, DX", local(farLeft))
	for i := range 2 {
		to := nextTile + i*nextBytes
		k.p("MOVQ %s, R9", local(farTile+16*i))
		k.p("MOVQ R9, %s", local(to))
		k.p("MOVQ %s, R10", local(farTile+16*i+8))
		k.p("MOVQ R10, %s", local(to+8))
		k.p("MOVQ R11, %s", local(to+16))
		k.p("ADDQ $%d, R11", panelBytes/2)
		k.p("XORQ SI, SI")
		k.p("CMPQ %s, $%d", local(farTiles), i)
		k.p("CMOVQGT DX, SI")
		k.p("MOVQ SI, %s", local(to+24))
	}
	k.farPanel(name)
}

// farPanel goes on to the next two row tiles, or one, of the list or of its next
// steps. After the last it points behind it.
func (k *tileKernel) farPanel(name string) {
	k.p("MOVQ steps+%d(FP), CX", k.arg("steps"))
	k.p("MOVQ %s, R12", local(farDone))
	k.p("MOVQ %s, SI", local(farList))
	k.p("MOVQ %s, DX", local(farAfter))
	k.p("TESTQ DX, DX")
	k.p("JG %sfar", name)
	k.p("ADDQ $%d, R12", panelSteps)
	k.p("CMPQ R12, CX")
	k.p("JGE %sbehind", name)
	k.p("MOVQ R12, %s", local(farDone))
	k.p("MOVQ w+0(FP), SI")
	k.p("MOVQ tiles+%d(FP), DX", k.arg("tiles"))
	k.label("%sfar", name)
	k.p("MOVQ DX, %s", local(farTiles))
	k.p("MOVQ (SI), R9")
	k.p("MOVQ R9, R10")
	k.p("CMPQ DX, $1")
	k.p("JEQ %sfound", name)
	k.p("MOVQ 8(SI), R10")
	k.p("JMP %sfound", name)
	k.label("%sbehind", name)
	k.p("MOVQ $0, %s", local(farTiles))
	k.p("XORQ R12, R12")
	k.p("MOVQ w+0(FP), R9")
	k.p("MOVQ tiles+%d(FP), R10", k.arg("tiles"))
	k.p("MOVQ -8(R9)(R10*8), R9")
	k.p("IMUL3Q $576, CX, R10")
	k.p("ADDQ R10, R9")
	k.p("ADDQ R9, R10")
	k.label("%sfound", name)
	k.p("ADDQ $16, SI")
	k.p("MOVQ SI, %s", local(farList))
	k.p("SUBQ $2, DX")
	k.p("MOVQ DX, %s", local(farAfter))
	k.p("MOVQ CX, DX")
	k.p("SUBQ R12, DX")
	k.p("MOVQ $%d, R13", panelSteps)
	k.p("CMPQ DX, R13")
	k.p("CMOVQGT R13, DX")
	k.p("SHLQ $3, DX")
	k.p("MOVQ DX, %s", local(farLeft))
	k.p("MOVQ R12, R13")
	k.p("SHLQ $6, R12")
	k.p("SHLQ $9, R13")
	k.p("SHLQ $6, CX")
	k.p("ADDQ CX, R13")
	for i, reg := range []string{"R9", "R10"} {
		k.p("LEAQ (%s)(R12*1), SI", reg)
		k.p("MOVQ SI, %s", local(farTile+16*i))
		k.p("LEAQ (%s)(R13*1), SI", reg)
		k.p("MOVQ SI, %s", local(farTile+16*i+8))
	}
}

// expandWithin multiplies by the first tiles of tokens, of which there are some, and
// jumps to last if that were all.
func (s *panelShape) expandWithin() {
	s.p("CMPQ DX, $4")
	s.jump("JLT", "few")
	for i := range 4 {
		s.tokens(fmt.Sprintf("quarter%d", i), 0, panelWork{reads: i < 2, far: i, tile: i / 2, groups: 4})
	}
	s.p("SUBQ $4, DX")
	s.jump("JZ", "last")
	s.jump("JMP", "full")
	s.at("few")
	for i := range 2 {
		s.tokens(fmt.Sprintf("half%d", i), 0, panelWork{reads: true, far: i, tile: i, groups: 8})
		s.p("DECQ DX")
		s.jump("JZ", "last")
	}
}

// beginWork and endWork load and keep the registers.
func (s *panelShape) beginWork(w panelWork) {
	if w.reads {
		far := farTile + 16*w.far
		s.p("MOVQ %s, R13", local(far))
		s.p("MOVQ %s, R12", local(far+8))
	}
	for i, reg := range nextRegs {
		if w.groups > 0 {
			s.p("MOVQ %s, %s", local(nextTile+w.tile*nextBytes+8*i), reg)
		}
	}
}

func (s *panelShape) endWork(w panelWork) {
	for i, reg := range nextRegs {
		if w.groups > 0 {
			s.p("MOVQ %s, %s", reg, local(nextTile+w.tile*nextBytes+8*i))
		}
	}
}

var nextRegs = [...]string{"R9", "R10", "R11", "SI"}

// work is a fourth of a step's.
func (s *panelShape) work(w panelWork, name string, fourth int) {
	n := w.groups / 4
	if n == 0 {
		return
	}
	s.p("SUBQ $%d, SI", n)
	s.jump("JLT", "%snone%d", name, fourth)
	s.expandGroups(n)
	s.at("%snone%d", name, fourth)
}

// expandGroups expands so many.
func (k *tileKernel) expandGroups(n int) {
	for g := range n {
		k.group("(R9)", 8*g, "(R10)", 64*g, "(R11)", 128*g, g)
	}
	k.p("ADDQ $%d, R9", 8*n)
	k.p("ADDQ $%d, R10", 64*n)
	k.p("ADDQ $%d, R11", 128*n)
}

// expandRest expands what is left of the next panel, which then is this one.
func (k *tileKernel) expandRest(name string) {
	for i := range 2 {
		for r, reg := range nextRegs {
			k.p("MOVQ %s, %s", local(nextTile+i*nextBytes+8*r), reg)
		}
		k.p("JMP %sleft%d", name, i)
		k.label("%sgroups%d", name, i)
		k.expandGroups(4)
		k.label("%sleft%d", name, i)
		k.p("SUBQ $4, SI")
		k.p("JGE %sgroups%d", name, i)
	}
	k.otherPlace()
	k.p("MOVQ R11, %s", local(panelW0))
}
