package main

import "fmt"

// Kernels for many tokens, of whole steps. A panel is two row tiles by
// panelSteps: small enough to stay in L1, expanded there if it is of 2:4 weights,
// while it goes over all tokens. Sums wait in memory from one panel to the next of
// their rows; f32 there and in tiles, so that they are the same bits.
//
//	T0, T1 sums of 16 tokens, T4 their activations
//	T2, T3 sums of the last, fewer tokens, T5 their activations
//	T6     weights
const (
	panelSteps = 8

	panelLocals = 64
	panelSlot   = 192              // a tile of sums on its way to be added
	panelSlots  = panelSlot + 1024 // two row tiles' weights expanded

	panelX     = panelLocals      // the panel's activations
	panelDone  = panelLocals + 8  // steps before the panel
	panelCount = panelLocals + 16 // its steps
	panelList  = panelLocals + 24 // the pair's first pointer
	panelTiles = panelLocals + 32 // row tiles from the pair on
	panelFrom  = panelLocals + 40 // the pair's sums, 0 if there are none yet
	panelFromN = panelLocals + 48 // bytes from a token's to the next's
	panelTo    = panelLocals + 56 // where the pair's sums go
	panelToN   = panelLocals + 64
	panelAdd   = panelLocals + 72 // whether they are added there
	panelW0    = panelLocals + 80 // the pair's weights
	panelW1    = panelLocals + 88
	panelRead  = panelLocals + 96 // token tiles that read ahead
)

const panelParams = "w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, ldx, steps int, sums *float32, ldsums int, y *float32, ldy, add int"

// local is the operand of what lies in the frame.
func local(at int) string { return fmt.Sprintf("%d(R15)", at) }

func (k *tileKernel) panels() {
	arg := func(name string) string { return fmt.Sprintf("%s+%d(FP)", name, k.arg(name)) }
	k.p("LEAQ 63(SP), R15")
	k.p("ANDQ $-64, R15")
	k.p("VMOVDQU64 config<>(SB), Z0")
	k.p("VMOVDQU64 Z0, (R15)")
	k.p("MOVQ %s, R8", arg("tokens"))
	k.p("ANDQ $15, R8")
	k.p("JZ whole")
	for _, t := range []int{2, 3, 5} {
		k.p("MOVB R8, %d(R15)", 48+t)
	}
	k.label("whole")
	k.emitBytes(memory(none, 0x49, 0, "R15", "", 0), "LDTILECFG (R15)")
	if k.kind == tileSparse {
		k.expansion()
	}
	k.p("MOVQ $64, AX")
	k.p("MOVQ %s, BX", arg("ldx"))
	k.p("MOVQ %s, R8", arg("x"))
	k.p("MOVQ R8, %s", local(panelX))
	k.p("MOVQ $0, %s", local(panelDone))
	k.p("MOVQ $0, %s", local(panelFrom))

	k.label("panel")
	k.p("MOVQ %s, R8", arg("ldsums"))
	k.p("SHLQ $2, R8")
	k.p("MOVQ R8, %s", local(panelFromN))
	k.p("MOVQ R8, %s", local(panelToN))
	k.p("MOVQ %s, R8", arg("sums"))
	k.p("MOVQ R8, %s", local(panelTo))
	k.p("MOVQ $0, %s", local(panelAdd))
	k.p("MOVQ %s, CX", arg("steps"))
	k.p("SUBQ %s, CX", local(panelDone))
	k.p("MOVQ $%d, %s", panelSteps, local(panelCount))
	k.p("CMPQ CX, $%d", panelSteps)
	k.p("JGT rows")
	k.p("MOVQ CX, %s", local(panelCount)) // the last
	k.p("MOVQ %s, R8", arg("ldy"))
	k.p("SHLQ $2, R8")
	k.p("MOVQ R8, %s", local(panelToN))
	k.p("MOVQ %s, R8", arg("y"))
	k.p("MOVQ R8, %s", local(panelTo))
	k.p("MOVQ %s, R8", arg("add"))
	k.p("MOVQ R8, %s", local(panelAdd))
	k.label("rows")
	k.p("MOVQ %s, R8", arg("w"))
	k.p("MOVQ R8, %s", local(panelList))
	k.p("MOVQ %s, R8", arg("tiles"))
	k.p("MOVQ R8, %s", local(panelTiles))
	k.label("next")
	k.p("CMPQ %s, $1", local(panelTiles))
	k.p("JGT two")
	k.p("JLT rowsdone")
	for _, s := range []panelShape{{k, "one", 1}, {k, "two", 2}} {
		k.label("%s", s.name)
		s.rows()
		k.p("ADDQ $%d, %s", 8*s.tiles, local(panelList))
		k.p("SUBQ $%d, %s", s.tiles, local(panelTiles))
		k.p("ADDQ $%d, %s", 64*s.tiles, local(panelTo))
		k.p("CMPQ %s, $0", local(panelFrom))
		k.p("JEQ next")
		k.p("ADDQ $%d, %s", 64*s.tiles, local(panelFrom))
		k.p("JMP next")
	}
	k.label("rowsdone")
	k.p("MOVQ %s, R8", arg("sums"))
	k.p("MOVQ R8, %s", local(panelFrom))
	k.p("ADDQ $%d, %s", 64*panelSteps, local(panelX))
	k.p("ADDQ $%d, %s", panelSteps, local(panelDone))
	k.p("MOVQ %s, R8", arg("steps"))
	k.p("CMPQ R8, %s", local(panelDone))
	k.p("JGT panel")
}

// A panelShape is the code for so many row tiles of a panel.
type panelShape struct {
	*tileKernel
	name  string
	tiles int
}

func (s *panelShape) jump(op, part string, args ...any) {
	s.p("%s %s%s", op, s.name, fmt.Sprintf(part, args...))
}

func (s *panelShape) at(part string, args ...any) {
	s.label("%s%s", s.name, fmt.Sprintf(part, args...))
}

// rows multiplies them by all tokens.
func (s *panelShape) rows() {
	s.weights()
	s.readAhead()
	s.p("MOVQ %s, R12", local(panelFrom))
	s.p("MOVQ %s, R13", local(panelTo))
	s.p("MOVQ %s, R14", local(panelFromN))
	s.p("MOVQ %s, DI", local(panelX))
	s.p("MOVQ tokens+%d(FP), DX", s.arg("tokens"))
	s.p("MOVQ $2, %s", local(panelRead))
	s.p("SHRQ $4, DX")
	s.jump("JZ", "last")
	s.at("read")
	s.tokens("read", 0, true)
	s.p("MOVQ R11, R10")
	s.p("DECQ DX")
	s.jump("JZ", "last")
	s.p("DECQ %s", local(panelRead))
	s.jump("JNZ", "read")
	s.at("full")
	s.tokens("full", 0, false)
	s.p("DECQ DX")
	s.jump("JNZ", "full")
	s.at("last")
	for _, t := range []int{0, 1, 4, 6} { // tiles in use hold up those that are written
		s.zero(t)
	}
	s.p("TESTQ $15, tokens+%d(FP)", s.arg("tokens"))
	s.jump("JZ", "done")
	s.tokens("rest", 2, true)
	for _, t := range []int{2, 3, 5, 6} {
		s.zero(t)
	}
	s.at("done")
}

// weights points at the panel's weights or expands them.
func (s *panelShape) weights() {
	s.p("MOVQ %s, SI", local(panelList))
	s.p("MOVQ %s, R12", local(panelDone))
	if s.kind != tileSparse {
		s.p("SHLQ $10, R12")
		for i := range s.tiles {
			s.p("MOVQ %d(SI), %s", 8*i, tileRegs[i])
			s.p("ADDQ R12, %s", tileRegs[i])
			s.p("MOVQ %s, %s", tileRegs[i], local(panelW0+8*i))
		}
		return
	}
	s.p("MOVQ R12, R13")
	s.p("SHLQ $6, R12")
	s.p("SHLQ $9, R13")
	s.p("MOVQ steps+%d(FP), DX", s.arg("steps"))
	s.p("SHLQ $6, DX")
	s.p("ADDQ DX, R13")
	s.p("LEAQ %d(R15), DI", panelSlots)
	for i := range s.tiles {
		s.p("MOVQ %d(SI), R8", 8*i)
		s.p("LEAQ (R8)(R13*1), R9")
		s.p("ADDQ R12, R8")
		s.p("MOVQ %s, CX", local(panelCount))
		s.at("expand%d", i)
		for g := range 8 {
			s.group("(R8)", 8*g, "(R9)", 64*g, "(DI)", 128*g, g%3)
		}
		s.p("ADDQ $64, R8")
		s.p("ADDQ $512, R9")
		s.p("ADDQ $1024, DI")
		s.p("DECQ CX")
		s.jump("JNZ", "expand%d", i)
		if i == 0 && s.tiles == 2 {
			s.p("LEAQ %d(R15), DI", panelSlots+1024*panelSteps)
		}
	}
}

// readAhead points R10 and R11 at the weights of the two row tiles that are next, in
// this panel, the next one, or behind them all. SI is the list.
func (s *panelShape) readAhead() {
	s.p("MOVQ %s, R12", local(panelDone))
	s.p("MOVQ steps+%d(FP), CX", s.arg("steps"))
	s.p("MOVQ %s, DX", local(panelTiles))
	s.p("SUBQ $%d, DX", s.tiles)
	s.p("LEAQ %d(SI), SI", 8*s.tiles)
	s.jump("JG", "ahead")
	s.p("MOVQ tiles+%d(FP), DX", s.arg("tiles"))
	s.p("ADDQ $%d, R12", panelSteps)
	s.p("CMPQ R12, CX")
	s.jump("JGE", "behind")
	s.p("MOVQ w+0(FP), SI")
	s.at("ahead")
	s.p("MOVQ (SI), R10")
	s.p("MOVQ R10, R11")
	s.p("CMPQ DX, $1")
	s.jump("JEQ", "found")
	s.p("MOVQ 8(SI), R11")
	s.jump("JMP", "found")
	s.at("behind")
	bytes := 1024 // of a step
	if s.kind == tileSparse {
		bytes = 576
	}
	s.p("XORQ R12, R12")
	s.p("IMUL3Q $%d, CX, DX", bytes)
	s.p("MOVQ -8(SI), R10")
	s.p("ADDQ DX, R10")
	s.p("LEAQ (R10)(DX*1), R11")
	s.at("found")
	if s.kind != tileSparse {
		s.p("SHLQ $10, R12")
		s.p("ADDQ R12, R10")
		s.p("ADDQ R12, R11")
		return
	}
	s.p("MOVQ R12, DX")
	s.p("SHLQ $6, DX")
	s.p("SHLQ $9, R12")
	s.p("SHLQ $6, CX")
	s.p("ADDQ CX, R12")
	for _, reg := range []string{"R10", "R11"} {
		for line := range panelSteps {
			s.p("PREFETCHT1 %d(%s)(DX*1)", 64*line, reg)
		}
		s.p("ADDQ R12, %s", reg)
	}
}

// tokens multiplies by a tile of tokens, at DI, with the tiles from t on and 4 + t/2.
// R12 has their sums, R13 is where they go.
func (s *panelShape) tokens(name string, t int, reads bool) {
	a := 4 + t/2
	s.p("MOVQ R12, SI")
	s.p("TESTQ R12, R12")
	s.jump("JZ", "%szero", name)
	for i := range s.tiles {
		s.load(t+i, "R12", "R14", 64*i)
	}
	s.p("LEAQ (R12)(R14*8), R12")
	s.p("LEAQ (R12)(R14*8), R12")
	s.p("MOVQ R12, SI")
	s.jump("JMP", "%sstart", name)
	s.at("%szero", name)
	for i := range s.tiles {
		s.zero(t + i)
	}
	s.at("%sstart", name)
	if s.kind == tileSparse {
		s.p("LEAQ %d(R15), R8", panelSlots)
	} else {
		for i := range s.tiles {
			s.p("MOVQ %s, %s", local(panelW0+8*i), tileRegs[i])
		}
	}
	s.p("MOVQ %s, CX", local(panelCount))
	s.p("MOVQ DI, R14")
	s.at("%sstep", name)
	s.load(a, "R14", "BX", 0)
	s.p("ADDQ $64, R14")
	for i := range s.tiles {
		if reads && s.kind == tileSparse && i == 0 {
			for line := range 8 {
				s.p("PREFETCHT1 %d(R10)", 64*line)
			}
			s.p("ADDQ $512, R10")
		}
		if reads && s.kind != tileSparse {
			for line := range 16 / s.tiles {
				s.p("PREFETCHT1 %d(R10)", 64*line)
			}
			s.p("ADDQ $%d, R10", 1024/s.tiles)
		}
		if s.kind == tileSparse {
			s.load(6, "R8", "AX", 1024*panelSteps*i)
		} else {
			s.load(6, tileRegs[i], "AX", 0)
			s.p("ADDQ $1024, %s", tileRegs[i])
		}
		s.dot(t+i, a, 6)
	}
	if s.kind == tileSparse {
		s.p("ADDQ $1024, R8")
	}
	s.p("DECQ CX")
	s.jump("JNZ", "%sstep", name)
	s.p("LEAQ (DI)(BX*8), DI")
	s.p("LEAQ (DI)(BX*8), DI")
	s.p("MOVQ %s, R14", local(panelToN))
	s.p("CMPQ %s, $0", local(panelAdd))
	s.jump("JNE", "%sadd", name)
	for i := range s.tiles {
		s.storeTile(t+i, "R13", "R14", 64*i)
	}
	s.p("LEAQ (R13)(R14*8), R13")
	s.p("LEAQ (R13)(R14*8), R13")
	s.jump("JMP", "%sstored", name)
	s.at("%sadd", name)
	for i := range s.tiles {
		s.addSums(t+i, "R13", 64*i, panelSlot, fmt.Sprintf("%s%srow%d", s.name, name, i))
	}
	s.p("LEAQ (R13)(R14*8), R13")
	s.p("LEAQ (R13)(R14*8), R13")
	s.at("%sstored", name)
	s.p("MOVQ %s, R14", local(panelFromN))
}
