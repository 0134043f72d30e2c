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
	panelSlot   = 384              // a tile of sums on its way to be added
	panelSlots  = panelSlot + 1024 // two panels of 2:4 weights expanded
	panelBytes  = 2 * 1024 * panelSteps

	panelX     = panelLocals       // the panel's activations
	panelDone  = panelLocals + 8   // steps before the panel
	panelCount = panelLocals + 16  // its steps
	panelList  = panelLocals + 24  // the pair's first pointer
	panelTiles = panelLocals + 32  // row tiles from the pair on
	panelFrom  = panelLocals + 40  // the pair's sums, 0 if there are none yet
	panelFromN = panelLocals + 48  // bytes from a token's to the next's
	panelTo    = panelLocals + 56  // where the pair's sums go
	panelToN   = panelLocals + 64  // bytes from a token's to the next's
	panelAdd   = panelLocals + 72  // whether they are added there
	panelW0    = panelLocals + 80  // the pair's weights
	panelW1    = panelLocals + 88  // of dense ones
	panelRead  = panelLocals + 96  // token tiles that read ahead
	panelFromT = panelLocals + 104 // the token tile's sums
	panelToT   = panelLocals + 112 // and where they go
	panelMore  = panelLocals + 120 // see amx_expand.go
)

const panelParams = "w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, ldx, steps int, sums *float32, ldsums int, y *float32, ldy, add int"

// local is the operand of what lies in the frame.
func local(at int) string { return fmt.Sprintf("%d(R15)", at) }

func (k *tileKernel) panels() {
	arg := func(name string) string { return fmt.Sprintf("%s+%d(FP)", name, k.arg(name)) }
	k.beginFrame()
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
	if k.kind == tileSparse {
		k.firstPanel()
	}

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
	if s.kind == tileSparse {
		s.nextPanel(s.name)
	} else {
		s.p("MOVQ %s, SI", local(panelList))
		s.p("MOVQ %s, R12", local(panelDone))
		s.p("SHLQ $10, R12")
		for i := range s.tiles {
			s.p("MOVQ %d(SI), R8", 8*i)
			s.p("ADDQ R12, R8")
			s.p("MOVQ R8, %s", local(panelW0+8*i))
		}
		s.readAhead()
	}
	for _, l := range [][2]int{{panelFrom, panelFromT}, {panelTo, panelToT}} {
		s.p("MOVQ %s, R12", local(l[0]))
		s.p("MOVQ R12, %s", local(l[1]))
	}
	s.p("MOVQ %s, DI", local(panelX))
	s.p("MOVQ tokens+%d(FP), DX", s.arg("tokens"))
	s.p("SHRQ $4, DX")
	s.jump("JZ", "last")
	switch {
	case s.kind != tileSparse:
		s.p("MOVQ $2, %s", local(panelRead))
		s.at("read")
		s.tokens("read", 0, panelWork{reads: true})
		s.p("MOVQ R11, R10")
		s.p("DECQ DX")
		s.jump("JZ", "last")
		s.p("DECQ %s", local(panelRead))
		s.jump("JNZ", "read")
	case s.tiles == 2:
		s.expandWithin()
	}
	s.at("full")
	s.tokens("full", 0, panelWork{})
	s.p("DECQ DX")
	s.jump("JNZ", "full")
	s.at("last")
	for _, t := range []int{0, 1, 4, 6} { // tiles in use hold up those that are written
		s.zero(t)
	}
	s.p("TESTQ $15, tokens+%d(FP)", s.arg("tokens"))
	s.jump("JZ", "done")
	s.tokens("rest", 2, panelWork{reads: s.kind != tileSparse})
	for _, t := range []int{2, 3, 5, 6} {
		s.zero(t)
	}
	s.at("done")
	if s.kind == tileSparse {
		s.expandRest(s.name)
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
	s.p("XORQ R12, R12")
	s.p("SHLQ $10, CX")
	s.p("MOVQ -8(SI), R10")
	s.p("ADDQ CX, R10")
	s.p("LEAQ (R10)(CX*1), R11")
	s.at("found")
	s.p("SHLQ $10, R12")
	s.p("ADDQ R12, R10")
	s.p("ADDQ R12, R11")
}

// A panelWork is what is done beside the products of a tile of tokens.
type panelWork struct {
	reads  bool // weights are read ahead: R10, of 2:4 ones R12, and positions, R13
	far    int  // which of the two row tiles after the next panel's
	tile   int  // of the next panel's two
	groups int  // of it are expanded in a step
}

// tokens multiplies by a tile of tokens, at DI, with the tiles from t on and 4 + t/2.
func (s *panelShape) tokens(name string, t int, work panelWork) {
	a := 4 + t/2
	s.p("MOVQ %s, R12", local(panelFromT))
	s.p("MOVQ %s, R14", local(panelFromN))
	s.p("TESTQ R12, R12")
	s.jump("JZ", "%szero", name)
	for i := range s.tiles {
		s.load(t+i, "R12", "R14", 64*i)
	}
	s.tileDown("R12", "R14", "R12")
	s.p("MOVQ R12, %s", local(panelFromT))
	s.jump("JMP", "%sstart", name)
	s.at("%szero", name)
	for i := range s.tiles {
		s.zero(t + i)
	}
	s.at("%sstart", name)
	w := []string{"R8", "R9"}
	if s.kind == tileSparse {
		s.p("MOVQ %s, R8", local(panelW0))
		s.beginWork(work)
	} else {
		for i := range s.tiles {
			s.p("MOVQ %s, %s", local(panelW0+8*i), w[i])
		}
	}
	s.p("MOVQ %s, CX", local(panelCount))
	s.p("MOVQ DI, R14")
	s.at("%sstep", name)
	s.load(a, "R14", "BX", 0)
	s.p("ADDQ $64, R14")
	if s.kind == tileSparse && work.reads {
		for line := range 8 {
			s.p("PREFETCHT1 %d(R12)", 64*line)
		}
		s.p("PREFETCHT1 (R13)")
		s.p("ADDQ $512, R12")
		s.p("ADDQ $64, R13")
	}
	for i := range s.tiles {
		if s.kind == tileSparse {
			s.work(work, name, 2*i)
			s.load(6, "R8", "AX", 1024*panelSteps*i)
			s.work(work, name, 2*i+1)
		} else {
			for line := 0; work.reads && line < 16/s.tiles; line++ {
				s.p("PREFETCHT1 %d(R10)", 64*line)
			}
			if work.reads {
				s.p("ADDQ $%d, R10", 1024/s.tiles)
			}
			s.load(6, w[i], "AX", 0)
			s.p("ADDQ $1024, %s", w[i])
		}
		s.dot(t+i, a, 6)
	}
	if s.kind == tileSparse {
		s.p("ADDQ $1024, R8")
	}
	s.p("DECQ CX")
	s.jump("JNZ", "%sstep", name)
	if s.kind == tileSparse {
		s.endWork(work)
	}
	s.tileDown("DI", "BX", "DI")
	s.p("MOVQ %s, R13", local(panelToT))
	s.p("MOVQ %s, R14", local(panelToN))
	s.p("CMPQ %s, $0", local(panelAdd))
	s.jump("JNE", "%sadd", name)
	for i := range s.tiles {
		s.storeTile(t+i, "R13", "R14", 64*i)
	}
	s.jump("JMP", "%sstored", name)
	s.at("%sadd", name)
	for i := range s.tiles {
		s.addSums(t+i, "R13", 64*i, panelSlot, fmt.Sprintf("%s%srow%d", s.name, name, i))
	}
	s.at("%sstored", name)
	s.tileDown("R13", "R14", "R13")
	s.p("MOVQ R13, %s", local(panelToT))
}
