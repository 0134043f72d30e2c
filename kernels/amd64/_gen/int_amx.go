package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Integer kernels on AMX tiles: a block of inputs is one TDPBSSD for each A tile,
// and its sums go by memory to the vector unit, which scales and adds them.
//
//	T0–T3  sums of 16 tokens each
//	T4, T5 activations of 16 tokens, of the last
//	T6     weights
//
// To 32 tokens, the stages of a pipeline over the blocks of all row tiles: expand the weights of
// the third block from this one on, multiply this one, read the sums of the block
// before, scale and add those of the one before that.

// An intTile is a kernel being written.
type intTile struct {
	tileKernel
	bits   int // of a weight
	sparse bool
	intShape
	to  string // where expanded weights go, so many bytes on
	at0 int
}

// An intShape is a loop for so many tokens, a row tile after the other.
type intShape struct {
	name          string
	least, halves int // tokens, A tiles
}

// From 33 tokens on, see wide.
var intShapes = []intShape{{"few", 1, 1}, {"full", 16, 1}, {"more", 17, 2},
	{"many", 33, 3}, {"most", 49, 4}, {"all", 64, 4}}

const (
	intNeeds      = "AMX_TILE, AMX_INT8, AVX512F, AVX512BW"
	intTileParams = "w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, k, block int, y *float32, ldy, add int"
	// Every so many tiles x goes on by step bytes: the blocks of a diagonal.
	denseIntParams = intTileParams + ", every, step int"
)

// Within the frame, from R15, a cache line's start.
const (
	intConfig = 0
	intLocals = 64  // see below
	intSums   = 256 // of the tokens from 16 on
	intRing   = intSums + 1024

	// A place of the ring has the expanded weights of a block and the sums of 32
	// tokens. Weights are loaded three blocks after they are written, sums one block
	// after: loads of what is still in the store buffer are slow.
	intPlaces, intPlace = 4, 3 * 1024

	// Weights are read so many bytes ahead, into L1 and into L2, as if row tiles
	// followed each other in memory.
	intAhead, intFar = 4096, 8192

	localSkip  = intLocals      // bytes of a tile's scales
	localLdy   = intLocals + 8  // in bytes
	localList  = intLocals + 16 // where the pointer to the next tile to expand is
	localTiles = intLocals + 24 // that are still to expand
	localDots  = intLocals + 32 // blocks of a tile still to multiply
	localAdds  = intLocals + 40 // blocks of a tile still to add
	localScale = intLocals + 48 // where the pointer to the scales of the next tile is
	localFirst = intLocals + 56 // where the scales of the first record are
	localY     = intLocals + 64 // where the tile begins in y

	// Of wide: sums of 64 tokens, 4 by 4 tiles, a ring of expanded weights.
	wideSums = intSums
	wideDots = wideSums + 64*64
	wideRing = wideDots + 4*4*1024
	intFrame = wideRing + 4*1024 + 64

	localMore   = intLocals + 72  // row tiles to read after this
	localStride = intLocals + 80  // bytes from a step's places to the next's
	localRead   = intLocals + 88  // blocks of this chunk
	localAdd    = intLocals + 96  // blocks of the chunk before
	localSteps  = intLocals + 104 // of this chunk to do
	localSum    = intLocals + 112 // where the sums of the step's tokens are
	localLeft   = intLocals + 120 // tokens from the step's first on
	localBlocks = intLocals + 128 // blocks to read, in a chunk that is not whole
	localCount  = intLocals + 136 // blocks to add, likewise
	localReads  = intLocals + 144 // blocks of a tile still to read
	localRest   = intLocals + 152 // bytes from a block's last A tile to the next block
	localStep   = intLocals + 160 // where the step's tokens begin in y
	localDotX   = intLocals + 168 // row tiles to multiply until x goes on, see denseIntParams
	localAddX   = intLocals + 176 // the same of those to add
	localLast   = intLocals + 184 // row tiles to multiply
)

func intTiles() []*intTile {
	var all []*intTile
	for _, sparse := range []bool{false, true} {
		for _, bits := range []int{8, 4} {
			name, kind, blocks, params := "Dense", "dense", "block is 32 or 64. After every so many tiles x is\n// step bytes further on", denseIntParams
			if sparse {
				name, kind, blocks, params = "Sparse", "2:4", "block is 64", intTileParams
			}
			k := &intTile{bits: bits, sparse: sparse}
			k.tileKernel.name = fmt.Sprintf("%sInt%dAMX", name, bits)
			k.params = params
			k.doc = fmt.Sprintf("multiplies %s weight tiles, w[tiles], by up to 64 tokens;\n// k counts blocks, %s. See ref.Int", kind, blocks)
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
		kind, _ := strings.CutSuffix(k.tileKernel.name, fmt.Sprintf("Int%dAMX", k.bits))
		write(fmt.Sprintf("%s_int%d_amx_amd64.s", strings.ToLower(kind), k.bits), k.out.Bytes())
		k.stub(&stubs, intNeeds)
	}
	emitIntDiagonal(&stubs)
	write("int_amx_amd64.go", stubs.Bytes())
}

// dotInt is VEX.128.F2.0F38.W0 5E: dst in reg, a in rm, b in vvvv.
func (k *tileKernel) dotInt(dst, a, b int) {
	k.emitBytes([]byte{0xc4, 0xe2, byte(^b&15<<3) | pF2, 0x5e, byte(0xc0 | dst<<3 | a)}, "TDPBSSD T%d, T%d, T%d", b, a, dst)
}

// expands says whether weights go by way of the ring.
func (k *intTile) expands() bool { return k.sparse || k.bits == 4 }

// Registers beside Z0–Z15, the sums of the first 16 tokens.
const (
	firstTable  = "Z31" // controls of a group whose codes are the first two bytes
	secondTable = "Z30"
	laneTable   = "Z29"
	nibbles     = "Z28" // 0xf0
	sixteenth   = "Z27"
	scaleReg    = "Z26"
	moreReg     = "Z25" // 1.5·2²³
	lessReg     = "Z24" // −1.5·2²³ times the scale
)

// General registers: SI weights to expand, CX blocks of them left in the tile, R14
// place of this block in the ring, R9 that of the block before, R13 that of sums to
// add; DI activations, DX their stride; R10 scales of tokens, R11 scales of rows; R8
// tokens, BX bytes of a record, AX 64; R12 is free.

func (k *intTile) emit() {
	k.include()
	k.constants()
	k.text(intFrame)
	k.prologue()
	for _, k.intShape = range intShapes {
		if k.halves > 2 {
			k.wide()
		} else {
			k.loop()
		}
	}
	k.label("done")
	k.release()
	k.label("return")
	k.p("VZEROUPPER")
	k.p("RET")
}

func (k *intTile) constants() {
	k.config(wholeTiles())
	data(&k.out, "less", []uint32{0xcb400000})
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
	k.p("LEAQ -1(R8), R9")
	k.p("MOVQ R9, R11")
	k.p("SHRQ $4, R9") // the last A tile
	k.p("ANDQ $15, R11")
	k.p("INCQ R11") // its rows
	k.p("MOVB R11, %d(R15)(R9*1)", 48)
	k.p("MOVB R11, %d(R15)", 48+5)
	k.p("MOVB DX, %d(R15)", 16+2*4)
	k.p("MOVB DX, %d(R15)", 16+2*5)
	k.p("MOVQ DX, R9")
	k.p("SHRQ $2, R9")
	k.p("MOVB R9, %d(R15)", 48+6)
	k.emitBytes(memory(none, 0x49, 0, "R15", "", 0), "LDTILECFG (R15)")

	k.broadcastWord(0x4b400000, moreReg)
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
	k.p("MOVQ y+%d(FP), R12", k.arg("y"))
	k.p("MOVQ R12, %d(R15)", localY)
	k.p("MOVQ tiles+%d(FP), R12", k.arg("tiles"))
	k.p("MOVQ R12, %d(R15)", localTiles)
	if !k.sparse {
		k.p("MOVQ R12, %d(R15)", localLast)
		k.p("MOVQ every+%d(FP), R12", k.arg("every"))
		k.p("MOVQ R12, %d(R15)", localDotX)
		k.p("MOVQ R12, %d(R15)", localAddX)
	}
	k.p("MOVQ k+%d(FP), CX", k.arg("k"))
	k.p("MOVQ CX, %d(R15)", localDots)
	k.p("MOVQ CX, %d(R15)", localAdds)
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
	k.p("MOVQ R10, %d(R15)", localFirst)
	k.p("MOVQ w+%d(FP), R12", k.arg("w"))
	k.p("MOVQ (R12), R11")
	k.p("MOVQ R11, SI")
	k.p("ADDQ %d(R15), SI", localSkip)
	k.p("MOVQ R12, %d(R15)", localList)
	k.p("ADDQ $8, R12")
	k.p("MOVQ R12, %d(R15)", localScale)
	k.p("MOVQ $64, AX")
	k.p("XORQ R14, R14")
	last := intShapes[0].name
	for _, s := range intShapes[1:] {
		k.p("CMPQ R8, $%d", s.least)
		k.p("JLT start%s", last)
		last = s.name
	}
	k.p("JMP start%s", last)
}
