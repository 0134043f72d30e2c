package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Integer kernels on AMX tiles: a block of inputs is one TDPBSSD for each A tile,
// and its sums go by memory to the vector unit, which scales and adds them.
//
//	T0, T1 sums of the first 16 tokens, of the others
//	T2, T3 activations
//	T4     weights
//
// Stages of a pipeline over the blocks of all row tiles: expand the weights of the
// block after this one, multiply this one, scale and add the one before.

// An intTile is a kernel being written.
type intTile struct {
	tileKernel
	bits   int // of a weight
	sparse bool
	halves int // A tiles of the loop that is being written
}

const intTileParams = "w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int"

// Within the frame, from R15, a cache line's start.
const (
	intConfig = 0
	intMagic  = 64  // a line of sums that start as 0
	intLocals = 128 // see below
	intSlots  = 256 // expanded weights of this block and the next
	intDots   = intSlots + 2*1024
	intSums   = intDots + 2*1024 // of the tokens from 16 on
	intFrame  = intSums + 1024 + 64

	localSkip  = intLocals      // bytes of a tile's scales
	localLdy   = intLocals + 8  // in bytes
	localList  = intLocals + 16 // the next tile to expand, where its pointer is
	localTiles = intLocals + 24 // that are still to expand
	localDots  = intLocals + 32 // blocks of a tile still to multiply
	localDrop  = intLocals + 40 // blocks of a tile still to add
	localScale = intLocals + 48 // where the pointer to the scales of the next tile is
	localTail  = intLocals + 56 // tiles still to multiply
	localAdd   = intLocals + 64 // where the scales of a record's tokens are

	// 1.5·2²³: of an integer below 2²² added to its bits, the float is the sum.
	magic = 0x4b400000
)

func intTiles() []*intTile {
	var all []*intTile
	for _, sparse := range []bool{false, true} {
		for _, bits := range []int{8, 4} {
			name, kind, blocks := "Dense", "dense", "block is 32 or 64"
			if sparse {
				name, kind, blocks = "Sparse", "2:4", "block is 64"
			}
			k := &intTile{bits: bits, sparse: sparse}
			k.name = fmt.Sprintf("%sInt%dAMX", name, bits)
			k.params = intTileParams
			k.doc = fmt.Sprintf("multiplies %s weight tiles, w[tiles], by up to 32 tokens;\n// k counts blocks, %s, scales are finite. See ref.Int", kind, blocks)
			all = append(all, k)
		}
	}
	return all
}

func emitIntTiles() {
	var stubs bytes.Buffer
	fmt.Fprint(&stubs, header, "package amd64\n\nimport \"unsafe\"\n")
	for _, k := range intTiles() {
		k.emit()
		kind, _ := strings.CutSuffix(k.name, fmt.Sprintf("Int%dAMX", k.bits))
		write(fmt.Sprintf("%s_int%d_amx_amd64.s", strings.ToLower(kind), k.bits), k.out.Bytes())
		fmt.Fprintf(&stubs, "\n// %s %s.\n// Needs AMX_TILE, AMX_INT8, AVX512F, AVX512BW.\n//\n//go:noescape\nfunc %s(%s)\n", k.name, k.doc, k.name, k.params)
	}
	write("int_amx_amd64.go", stubs.Bytes())
}

// dotInt is VEX.128.F2.0F38.W0 5E: dst in reg, a in rm, b in vvvv.
func (k *intTile) dotInt(dst, a, b int) {
	k.emitBytes([]byte{0xc4, 0xe2, byte(^b&15<<3) | pF2, 0x5e, byte(0xc0 | dst<<3 | a)}, "TDPBSSD T%d, T%d, T%d", b, a, dst)
}

// expands says whether weights go by way of slots.
func (k *intTile) expands() bool { return k.sparse || k.bits == 4 }

// Registers beside Z0–Z15, the sums of the first 16 tokens.
const (
	firstTable  = "Z31" // controls of a group whose codes are the first two bytes
	secondTable = "Z30"
	laneTable   = "Z29"
	nibbles     = "Z28" // 0xf0
	minusMagic  = "Z27"
	sixteenth   = "Z26"
	scaleReg    = "Z25"
	offsetReg   = "Z24" // −magic·scale
)

// General registers. SI weights to expand, CX blocks of them left, R14 slot;
// R9 slot to multiply, DI activations, DX their stride; R10 scales of tokens,
// R11 scales of rows, R13 y, R8 tokens, BX bytes of a record, AX 64, R12 free.

func (k *intTile) emit() {
	fmt.Fprint(&k.out, header, "#include \"textflag.h\"\n")
	k.constants()
	args := strings.Count(k.params, ",") + 1
	fmt.Fprintf(&k.out, "\n// func %s(%s)\nTEXT ·%s(SB), 0, $%d-%d\n", k.name, k.params, k.name, intFrame, 8*args)
	k.prologue()
	for k.halves = 1; k.halves <= 2; k.halves++ {
		k.loop()
	}
	k.label("done")
	k.emitBytes([]byte{0xc4, 0xe2, 0x78, 0x49, 0xc0}, "TILERELEASE")
	k.label("return")
	k.p("VZEROUPPER")
	k.p("RET")
}

func (k *intTile) constants() {
	cfg := make([]byte, 64) // palette 1; bytes of a row, then rows
	cfg[0] = 1
	for t := range 5 {
		cfg[16+2*t] = 64
	}
	words := make([]uint32, 16)
	for i, b := range cfg {
		words[i/4] |= uint32(b) << (i % 4 * 8)
	}
	data(&k.out, "config", words)
	if !k.sparse {
		return
	}
	// For positions p: which of the two kept codes an input has, 0x80 is none.
	var first, second, lanes []uint32
	for p := range uint32(16) {
		var control uint32
		for j := range uint32(4) {
			switch j {
			case p & 3:
			case p >> 2:
				control |= 1 << (8 * j)
			default:
				control |= 0x80 << (8 * j)
			}
		}
		first = append(first, control)
		second = append(second, control|0x02020202)
		lanes = append(lanes, p%4*4*0x01010101)
	}
	data(&k.out, "first", first)
	data(&k.out, "second", second)
	data(&k.out, "lanes", lanes)
}

// broadcastWord puts a constant into all lanes.
func (k *intTile) broadcastWord(bits uint32, reg string) {
	k.p("MOVL $0x%08x, R12", bits)
	k.p("VPBROADCASTD R12, %s", reg)
}

func (k *intTile) prologue() {
	k.p("CMPQ tiles+%d(FP), $0", k.arg("tiles"))
	k.p("JLE return")
	k.p("LEAQ 63(SP), R15")
	k.p("ANDQ $-64, R15")
	k.p("VMOVDQU64 config<>(SB), Z0")
	k.p("VMOVDQU64 Z0, (R15)")
	k.p("MOVQ tokens+%d(FP), R8", k.arg("tokens"))
	k.p("MOVQ block+%d(FP), DX", k.arg("block"))
	k.p("MOVQ R8, R9")
	k.p("MOVQ $16, R10")
	k.p("CMPQ R9, R10")
	k.p("CMOVQGT R10, R9") // rows of the first A tile
	k.p("MOVQ R8, R11")
	k.p("SUBQ $16, R11")
	k.p("CMOVQLE R9, R11") // of the second
	for t, r := range []string{"R9", "R11", "R9", "R11"} {
		k.p("MOVB %s, %d(R15)", r, 48+t)
	}
	k.p("MOVB DX, %d(R15)", 16+2*2)
	k.p("MOVB DX, %d(R15)", 16+2*3)
	k.p("MOVQ DX, R9")
	k.p("SHRQ $2, R9")
	k.p("MOVB R9, %d(R15)", 48+4)
	k.emitBytes(memory(none, 0x49, 0, "R15", "", 0), "LDTILECFG (R15)")

	k.broadcastWord(magic, "Z16")
	k.p("VMOVDQU64 Z16, %d(R15)", intMagic)
	k.broadcastWord(magic|1<<31, minusMagic)
	if k.bits == 4 {
		k.broadcastWord(0x3d800000, sixteenth)
		k.broadcastWord(0xf0f0f0f0, nibbles)
	}
	if k.sparse {
		k.p("VMOVDQU64 first<>(SB), %s", firstTable)
		k.p("VMOVDQU64 second<>(SB), %s", secondTable)
		k.p("VMOVDQU64 lanes<>(SB), %s", laneTable)
	}
	for i := range 16 {
		k.p("VPXORD Z%d, Z%d, Z%d", i, i, i)
	}
	for i := range 16 {
		k.p("VMOVDQU64 Z0, %d(R15)", intSums+64*i)
	}

	k.p("MOVQ ldy+%d(FP), R12", k.arg("ldy"))
	k.p("SHLQ $2, R12")
	k.p("MOVQ R12, %d(R15)", localLdy)
	k.p("MOVQ y+%d(FP), R13", k.arg("y"))
	k.p("MOVQ tiles+%d(FP), R12", k.arg("tiles"))
	k.p("MOVQ R12, %d(R15)", localTiles)
	k.p("MOVQ R12, %d(R15)", localTail)
	k.p("MOVQ k+%d(FP), CX", k.arg("k"))
	k.p("MOVQ CX, %d(R15)", localDots)
	k.p("MOVQ CX, %d(R15)", localDrop)
	k.p("LEAQ 1(CX), R12")
	k.p("ANDQ $-2, R12")
	k.p("SHLQ $5, R12")
	k.p("MOVQ R12, %d(R15)", localSkip)
	k.p("LEAQ 8(DX), BX")
	k.p("IMULQ R8, BX")
	k.p("MOVQ x+%d(FP), DI", k.arg("x"))
	k.p("MOVQ R8, R10")
	k.p("IMULQ DX, R10")
	k.p("ADDQ DI, R10")
	k.p("MOVQ R10, %d(R15)", localAdd)
	k.p("MOVQ w+%d(FP), R12", k.arg("w"))
	k.p("MOVQ (R12), R11")
	k.p("MOVQ R11, SI")
	k.p("ADDQ %d(R15), SI", localSkip)
	k.p("ADDQ $8, R12")
	k.p("MOVQ R12, %d(R15)", localList)
	k.p("MOVQ R12, %d(R15)", localScale)
	k.p("MOVQ $64, AX")
	k.p("LEAQ %d(R15), R14", intSlots)
	k.p("LEAQ %d(R15), R9", intSlots+1024)
	k.p("CMPQ R8, $16")
	k.p("JGT start2")
}

// at labels a part of the loop for so many A tiles.
func (k *intTile) at(part string) { k.label("%s%d", part, k.halves) }
func (k *intTile) jump(op, part string) {
	k.p("%s %s%d", op, part, k.halves)
}

func (k *intTile) loop() {
	k.at("start")
	k.p("TESTQ CX, CX")
	k.jump("JZ", "stored")
	if k.expands() {
		k.expand("0")
		k.p("XCHGQ R9, R14")
		k.expand("1")
	}
	k.multiply("1")
	k.at("loop")
	for h := range k.halves {
		k.storeTile(h, "R15", "AX", intDots+1024*h)
	}
	if k.expands() {
		k.p("XCHGQ R9, R14")
		k.expand("2")
	}
	k.multiply("2")
	k.drop()
	k.p("DECQ %d(R15)", localDrop)
	k.jump("JNZ", "loop")
	k.at("stored")
	k.store()
}

// expand makes a B tile of the next block, if there is one.
func (k *intTile) expand(name string) {
	k.p("TESTQ CX, CX")
	k.jump("JZ", "expanded"+name)
	size := 0
	switch {
	case k.sparse:
		size = k.expandSparse()
		k.p("ADDQ $%d, SI", size)
	default:
		k.expandNibbles(name)
	}
	k.p("DECQ CX")
	k.jump("JNZ", "expanded"+name)
	k.nextTile("expanded" + name)
	k.at("expanded" + name)
}

// nextTile points SI at the codes of the next row tile; CX stays 0 if there is none.
func (k *intTile) nextTile(none string) {
	k.p("DECQ %d(R15)", localTiles)
	k.jump("JZ", none)
	k.p("MOVQ %d(R15), R12", localList)
	k.p("MOVQ (R12), SI")
	k.p("ADDQ %d(R15), SI", localSkip)
	k.p("ADDQ $8, R12")
	k.p("MOVQ R12, %d(R15)", localList)
	k.p("MOVQ k+%d(FP), CX", k.arg("k"))
}

// prefetch reads lines ahead of SI.
func (k *intTile) prefetch(from, to int) {
	for line := from; line < to; line++ {
		k.p("PREFETCHT0 %d(SI)", intAhead+64*line)
	}
}

const intAhead = 2048

// expandSparse returns the bytes of a block.
func (k *intTile) expandSparse() int {
	line := 2 * 64 // after the positions
	k.prefetch(0, 2+k.bits)
	k.p("VMOVDQU64 (SI), Z20")
	k.p("VMOVDQU64 64(SI), Z21")
	for step := range 8 { // of two groups
		codes := "Z22"
		switch {
		case k.bits == 8:
			k.p("VMOVDQU64 %d(SI), %s", line, codes)
			line += 64
		case step%2 == 0:
			k.p("VMOVDQU64 %d(SI), Z23", line)
			k.p("VPSLLD $4, Z23, %s", codes)
			k.p("VPANDD %s, %s, %s", nibbles, codes, codes)
			line += 64
		default:
			k.p("VPANDD %s, Z23, %s", nibbles, codes)
		}
		for odd := range 2 {
			group := 2*step + odd
			positions := fmt.Sprintf("Z%d", 20+group/8)
			control := fmt.Sprintf("Z%d", 16+group%4)
			table := firstTable
			if odd == 1 {
				table = secondTable
			}
			if group%8 > 0 {
				k.p("VPSRLD $%d, %s, %s", group%8*4, positions, control)
				positions = control
			}
			k.p("VPERMD %s, %s, %s", table, positions, control)
			k.p("VPORD %s, %s, %s", laneTable, control, control)
			k.p("VPSHUFB %s, %s, %s", control, codes, control)
			k.p("VMOVDQU64 %s, %d(R14)", control, 64*group)
		}
	}
	return line
}

// expandNibbles makes lines of bytes, 16 times their codes.
func (k *intTile) expandNibbles(name string) {
	lines := func(from int) {
		k.prefetch(from, from+4)
		for i := from; i < from+4; i++ {
			low, high := fmt.Sprintf("Z%d", 16+i%2*2), fmt.Sprintf("Z%d", 17+i%2*2)
			k.p("VMOVDQU64 %d(SI), %s", 64*i, high)
			k.p("VPSLLD $4, %s, %s", high, low)
			k.p("VPANDD %s, %s, %s", nibbles, low, low)
			k.p("VPANDD %s, %s, %s", nibbles, high, high)
			k.p("VMOVDQU64 %s, %d(R14)", low, 128*i)
			k.p("VMOVDQU64 %s, %d(R14)", high, 128*i+64)
		}
	}
	lines(0)
	k.p("CMPQ DX, $32")
	k.jump("JEQ", "narrow"+name)
	lines(4)
	k.at("narrow" + name)
	k.p("LEAQ (SI)(DX*8), SI")
}

// multiply makes the sums of the next block, if there is one.
func (k *intTile) multiply(name string) {
	k.p("CMPQ %d(R15), $0", localDots)
	k.jump("JEQ", "multiplied"+name)
	if k.expands() {
		k.load(4, "R9", "AX", 0)
	} else {
		k.prefetch(0, 8)
		k.load(4, "SI", "AX", 0)
	}
	for h := range k.halves {
		k.load(h, "R15", "", intMagic)
		if h == 0 {
			k.load(2, "DI", "DX", 0)
		} else {
			k.p("MOVQ DX, R12")
			k.p("SHLQ $4, R12")
			k.p("ADDQ DI, R12")
			k.load(3, "R12", "DX", 0)
		}
		k.dotInt(h, 2+h, 4)
	}
	k.p("ADDQ BX, DI")
	if !k.expands() {
		k.p("CMPQ DX, $32")
		k.jump("JEQ", "narrow"+name)
		k.prefetch(8, 16)
		k.at("narrow" + name)
		k.p("MOVQ DX, R12")
		k.p("SHLQ $4, R12")
		k.p("ADDQ R12, SI")
	}
	k.p("DECQ %d(R15)", localDots)
	k.jump("JNZ", "multiplied"+name)
	k.p("MOVQ x+%d(FP), DI", k.arg("x"))
	if !k.expands() {
		k.nextTile("multiplied" + name)
	} else {
		k.p("DECQ %d(R15)", localTail)
		k.jump("JZ", "multiplied"+name)
	}
	k.p("MOVQ k+%d(FP), R12", k.arg("k"))
	k.p("MOVQ R12, %d(R15)", localDots)
	k.at("multiplied" + name)
}

// drop scales the block's sums of all tokens and adds them.
func (k *intTile) drop() {
	k.p("VCVTPH2PS (R11), %s", scaleReg)
	if k.bits == 4 {
		k.p("VMULPS %s, %s, %s", sixteenth, scaleReg, scaleReg)
	}
	k.p("VMULPS %s, %s, %s", minusMagic, scaleReg, offsetReg)
	for i := range 16 * k.halves {
		if k.halves == 1 && i > 0 || i > 16 {
			k.p("CMPQ R8, $%d", i)
			k.jump("JEQ", "dropped")
		}
		v := fmt.Sprintf("Z%d", 16+i%4)
		// (magic + dot)·scale − magic·scale is dot·scale, rounded once.
		k.p("VMOVUPS %d(R15), %s", intDots+64*i, v)
		k.p("VFMADD213PS %s, %s, %s", offsetReg, scaleReg, v)
		sum := fmt.Sprintf("Z%d", i)
		if i >= 16 {
			sum = fmt.Sprintf("Z%d", 20+i%4)
			k.p("VMOVUPS %d(R15), %s", intSums+64*(i-16), sum)
		}
		k.p("VFMADD231PS.BCST %d(R10), %s, %s", 4*i, v, sum)
		if i >= 16 {
			k.p("VMOVUPS %s, %d(R15)", sum, intSums+64*(i-16))
		}
	}
	k.at("dropped")
	k.p("ADDQ $32, R11")
	k.p("ADDQ BX, R10")
}

// store writes a row tile's sums to y, or adds them, and clears them.
func (k *intTile) store() {
	k.p("MOVQ R13, R12")
	for i := range 16 * k.halves {
		if k.halves == 1 && i > 0 || i > 16 {
			k.p("CMPQ R8, $%d", i)
			k.jump("JEQ", "tile")
		}
		sum := fmt.Sprintf("Z%d", i)
		if i >= 16 {
			sum = "Z16"
			k.p("VMOVUPS %d(R15), %s", intSums+64*(i-16), sum)
		}
		k.p("CMPQ add+%d(FP), $0", k.arg("add"))
		k.jump("JEQ", fmt.Sprintf("set%dof", i))
		k.p("VADDPS (R12), %s, %s", sum, sum)
		k.at(fmt.Sprintf("set%dof", i))
		k.p("VMOVUPS %s, (R12)", sum)
		k.p("VPXORD %s, %s, %s", sum, sum, sum)
		if i >= 16 {
			k.p("VMOVUPS %s, %d(R15)", sum, intSums+64*(i-16))
		}
		k.p("ADDQ %d(R15), R12", localLdy)
	}
	k.at("tile")
	k.p("ADDQ $64, R13")
	k.p("DECQ tiles+%d(FP)", k.arg("tiles"))
	k.p("JZ done")
	k.p("MOVQ %d(R15), R12", localScale)
	k.p("MOVQ (R12), R11")
	k.p("ADDQ $8, R12")
	k.p("MOVQ R12, %d(R15)", localScale)
	k.p("MOVQ %d(R15), R10", localAdd)
	k.p("MOVQ k+%d(FP), R12", k.arg("k"))
	k.p("MOVQ R12, %d(R15)", localDrop)
	k.p("TESTQ R12, R12")
	k.jump("JZ", "stored")
	k.jump("JMP", "loop")
}
