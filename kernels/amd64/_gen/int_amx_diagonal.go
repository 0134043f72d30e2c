package main

import (
	"bytes"
	"fmt"
)

// A kernel for A and B of int8, blocks of one or two groups of 64, which are a product
// each for a row tile. A step is four row tiles by 16 tokens; beside its products the sums
// of the step before are scaled and go to y.
//
//	T0, T1 sums of a row tile and group, T4, T5 activations of the groups
//	T2     activations of the last tokens, fewer than 16 perhaps, T3 their sums
//	T6     weights
type intDiagonal struct {
	tileKernel
	groups int // of a block
}

const (
	intDiagonalParams = "w unsafe.Pointer, blocks, tokens int, x unsafe.Pointer, y *float32, ldy, add int"

	// Within the frame, from R15, a cache line's start.
	intDiagonalLeft  = 64  // tokens from the step's first on
	intDiagonalCount = 72  // tokens of the step before, 0 of none
	intDiagonalX     = 80  // the block's activations
	intDiagonalUnits = 120 // of four row tiles that are left
	intDiagonalScale = 88  // scales of the step's tokens in the first group
	intDiagonalRow   = 96  // where the block begins in y
	intDiagonalY     = 104 // where the step's tokens do
	intDiagonalLines = 112 // lines that are read ahead in a step
	intDiagonalSums  = 128 // two places of sums: row tiles by groups of 16 tokens
	intDiagonalFrame = intDiagonalSums + 2*8*1024 + 64
)

// General registers: SI weights, DX where they are read ahead; DI activations, R8 from a
// group's to the next's; R9 where sums go. Of the step
// before R10 are the sums, R11 scales of tokens, R12 weights, R13 y, R14 from a token's to
// the next's. AX is 64, BX and CX are free. Z8–Z15 are scales of rows, Z16–Z23 what less makes.

func emitIntDiagonal(stubs *bytes.Buffer) {
	for groups := 1; groups <= 2; groups++ {
		k := &intDiagonal{tileKernel{params: intDiagonalParams}, groups}
		k.name = fmt.Sprintf("Diagonal%dInt8AMX", 64*groups)
		k.doc = fmt.Sprintf("multiplies blocks of %d of a block-diagonal matrix, whose tiles\n// follow one another, in groups of 64, by up to 64 tokens. See ref.Int", 64*groups)
		k.emit()
		write(fmt.Sprintf("diagonal%d_int8_amx_amd64.s", 64*groups), k.out.Bytes())
		k.stub(stubs, intNeeds)
	}
}

// tile is the bytes of a row tile, scales and codes.
func (k *intDiagonal) tile() int { return 64 + 1024*k.groups }

func (k *intDiagonal) emit() {
	arg := func(name string) string { return fmt.Sprintf("%s+%d(FP)", name, k.arg(name)) }
	k.include()
	k.constants()
	k.text(intDiagonalFrame)
	k.p("CMPQ %s, $0", arg("blocks"))
	k.p("JLE return")
	k.p("MOVQ %s, CX", arg("tokens"))
	k.p("TESTQ CX, CX")
	k.p("JLE return")
	k.beginFrame()
	k.p("MOVQ CX, R12")
	k.p("ANDQ $15, R12")
	k.p("JZ whole")
	k.p("MOVB R12, %d(R15)", 48+2)
	k.p("MOVB R12, %d(R15)", 48+3)
	k.label("whole")
	k.emitBytes(memory(none, 0x49, 0, "R15", "", 0), "LDTILECFG (R15)")
	k.p("MOVL $0x4b400000, R12") // 1.5·2²³, see addDot
	k.p("VPBROADCASTD R12, Z31")
	k.p("VPXORD Z30, Z30, Z30")
	k.p("MOVQ %s, R12", arg("add"))
	k.p("NEGQ R12")
	k.p("KMOVW R12, K1")
	// Lines of a block to read ahead in a step.
	k.p("LEAQ 15(CX), BX")
	k.p("SHRQ $4, BX")
	k.p("LEAQ %d(BX), AX", 4*k.tile()/64-1)
	k.p("XORQ DX, DX")
	k.p("DIVQ BX")
	k.p("MOVQ AX, %s", local(intDiagonalLines))
	k.p("MOVQ CX, %s", local(intDiagonalLeft))
	k.p("MOVQ $0, %s", local(intDiagonalCount))
	k.p("LEAQ (CX)(CX*8), R8")
	k.p("SHLQ $3, R8")
	k.p("MOVQ %s, R12", arg("blocks"))
	k.p("IMULQ $%d, R12", k.groups)
	k.p("MOVQ R12, %s", local(intDiagonalUnits))
	k.p("MOVQ %s, SI", arg("w"))
	k.p("LEAQ %d(SI), DX", 4*k.tile())
	k.p("MOVQ %s, DI", arg("x"))
	k.p("MOVQ DI, %s", local(intDiagonalX))
	k.p("SHLQ $6, CX")
	k.p("ADDQ DI, CX")
	k.p("MOVQ CX, %s", local(intDiagonalScale))
	k.p("MOVQ %s, R12", arg("y"))
	k.p("MOVQ R12, %s", local(intDiagonalRow))
	k.p("MOVQ R12, %s", local(intDiagonalY))
	k.p("MOVQ %s, R14", arg("ldy"))
	k.p("SHLQ $2, R14")
	k.p("LEAQ %d(R15), R9", intDiagonalSums)
	k.p("LEAQ %d(R15), R10", intDiagonalSums+8*1024)
	k.p("MOVQ $64, AX")

	k.label("loop")
	k.readAhead()
	k.p("CMPQ %s, $16", local(intDiagonalLeft))
	k.p("JLT rest")
	k.p("CMPQ %s, $16", local(intDiagonalCount))
	k.p("JLT alone")
	k.scales()
	var sums []func()
	for token := range 16 {
		sums = append(sums, k.put(token, "")...)
	}
	interleave(k.products(0, 1, 4, 5), sums)
	k.p("JMP next")
	k.label("alone")
	interleave(k.products(0, 1, 4, 5))
	k.p("JMP sums")
	k.label("rest")
	interleave(k.products(3, 3, 2, 2))
	k.label("sums")
	k.putAll("before")

	k.label("next")
	k.p("XCHGQ R9, R10")
	k.p("MOVQ SI, R12")
	k.p("MOVQ %s, R11", local(intDiagonalScale))
	k.p("MOVQ %s, R13", local(intDiagonalY))
	k.p("MOVQ %s, CX", local(intDiagonalLeft))
	k.p("MOVQ CX, %s", local(intDiagonalCount))
	k.p("SUBQ $16, CX")
	k.p("JLE block")
	k.p("MOVQ $16, %s", local(intDiagonalCount))
	k.p("MOVQ CX, %s", local(intDiagonalLeft))
	k.p("ADDQ $1024, DI")
	k.p("ADDQ $64, %s", local(intDiagonalScale))
	k.p("MOVQ R14, CX")
	k.p("SHLQ $4, CX")
	k.p("ADDQ CX, %s", local(intDiagonalY))
	k.p("JMP loop")
	k.label("block")
	k.p("DECQ %s", local(intDiagonalUnits))
	k.p("JZ last")
	k.p("ADDQ $%d, SI", 4*k.tile())
	k.p("LEAQ %d(SI), DX", 4*k.tile())
	k.p("MOVQ %s, DI", local(intDiagonalX))
	if k.groups == 2 { // every second time
		k.p("TESTQ $1, %s", local(intDiagonalUnits))
		k.p("JNZ same")
		k.p("ADDQ R8, DI")
	}
	k.p("ADDQ R8, DI")
	k.p("MOVQ DI, %s", local(intDiagonalX))
	if k.groups == 2 {
		k.label("same")
	}
	k.p("MOVQ %s, CX", arg("tokens"))
	k.p("MOVQ CX, %s", local(intDiagonalLeft))
	k.p("SHLQ $6, CX")
	k.p("ADDQ DI, CX")
	k.p("MOVQ CX, %s", local(intDiagonalScale))
	k.p("MOVQ %s, CX", local(intDiagonalRow))
	k.p("ADDQ $256, CX")
	k.p("MOVQ CX, %s", local(intDiagonalRow))
	k.p("MOVQ CX, %s", local(intDiagonalY))
	k.p("JMP loop")
	k.label("last")
	k.putAll("after")
	k.release()
	k.label("return")
	k.p("VZEROUPPER")
	k.p("RET")
}

func (k *intDiagonal) constants() {
	k.config(wholeTiles())
	data(&k.out, "less", []uint32{0xcb400000})
}

func (k *intDiagonal) readAhead() {
	k.p("MOVQ %s, CX", local(intDiagonalLines))
	k.label("ahead")
	k.p("PREFETCHT0 (DX)")
	k.p("ADDQ $64, DX")
	k.p("DECQ CX")
	k.p("JNZ ahead")
}

// products are of four row tiles, each sum stored after the next is on its way. The sums
// take turns in tiles even and odd, activations are loaded to first and second.
func (k *intDiagonal) products(even, odd, first, second int) (parts []func()) {
	sums, groups := [2]int{even, odd}, [2]int{first, second}
	load := func(group int) {
		base := "DI"
		if group == 1 {
			base = "CX"
			k.p("LEAQ (DI)(R8*1), CX")
		}
		k.load(groups[group], base, "AX", 0)
	}
	store := func(i int) { k.storeTile(sums[i%2], "R9", "AX", 1024*i) }
	if first != second {
		parts = append(parts, func() {
			for group := range k.groups {
				load(group)
			}
		})
	}
	for i := range 4 * k.groups {
		parts = append(parts, func() {
			tile, group := i/k.groups, i%k.groups
			if first == second {
				load(group)
			}
			k.zero(sums[i%2])
			k.load(6, "SI", "AX", k.tile()*tile+64+1024*group)
			k.dotInt(sums[i%2], groups[group], 6)
			switch {
			case even == odd:
				store(i)
			case i > 0:
				store(i - 1)
			}
		})
	}
	return append(parts, func() {
		if even != odd {
			store(4*k.groups - 1)
		}
		for _, t := range []int{even, odd, first, second, 6} {
			k.zero(t)
		}
	})
}

// scales loads those of rows.
func (k *intDiagonal) scales() {
	for i := range 4 * k.groups {
		k.p("VCVTPH2PS %d(R12), Z%d", k.tile()*(i/k.groups)+32*(i%k.groups), 8+i)
		k.p("VMULPS.BCST less<>(SB), Z%d, Z%d", 8+i, 16+i)
	}
}

// put scales a token's sums and puts them into y; the arithmetic is that of addDot.
func (k *intDiagonal) put(token int, place string) (parts []func()) {
	parts = append(parts, func() {
		k.p("VBROADCASTSS %d(R11), Z0", 4*token)
		if k.groups == 2 {
			k.p("VBROADCASTSS %d(R11)(R8*1), Z1", 4*token)
		}
	})
	for tile := range 4 {
		parts = append(parts, func() {
			for group := range k.groups {
				i, v := k.groups*tile+group, 2+group
				k.p("VPADDD %d(R10)%s, Z31, Z%d", 1024*i+64*token, place, v)
				k.p("VFMADD213PS Z%d, Z%d, Z%d", 16+i, 8+i, v)
			}
			k.p("VFMADD213PS Z30, Z0, Z2")
			if k.groups == 2 {
				k.p("VFMADD231PS Z3, Z1, Z2")
			}
			k.p("VADDPS %d(R13), Z2, K1, Z2", 64*tile)
			k.p("VMOVUPS Z2, %d(R13)", 64*tile)
			if tile == 3 {
				k.p("ADDQ R14, R13")
			}
		})
	}
	return parts
}

// putAll does so with all tokens of the step before.
func (k *intDiagonal) putAll(name string) {
	k.p("CMPQ %s, $0", local(intDiagonalCount))
	k.p("JEQ %snone", name)
	k.scales()
	k.p("XORQ CX, CX")
	k.label("%stoken", name)
	interleave(k.put(0, "(CX*1)"))
	k.p("ADDQ $4, R11")
	k.p("ADDQ $64, CX")
	k.p("DECQ %s", local(intDiagonalCount))
	k.p("JNZ %stoken", name)
	k.label("%snone", name)
}
