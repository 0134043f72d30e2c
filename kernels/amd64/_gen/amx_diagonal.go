package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Kernels for the small blocks of a block-diagonal matrix, with f32 on both sides or,
// of a kernel that rounds, bf16 rows as others read them. A step is a block by 16
// tokens; beside its products, the next step's inputs are rounded, and the sums of the
// one before go from their tiles' places to y: neither are read while they wait to be
// stored.
//
//	T0, T1 sums of two row tiles, T4 inputs, T6 weights
type diagonal struct {
	tileKernel
	rounds bool
	block  int    // that of the code being written
	name   string // and of its labels
}

var diagonalBlocks = [...]int{64, 128}

const diagonalParams = "w unsafe.Pointer, block, blocks, tokens int, x *float32, ldx int, y unsafe.Pointer, ldy, add int"

// Within the frame, from R15, a cache line's start.
const (
	diagonalTokens  = 64  // left of the block whose inputs are rounded, from these on
	diagonalBlocksX = 72  // blocks left there
	diagonalX       = 80  // where its inputs begin
	diagonalW       = 88  // tokens left of the block that is multiplied
	diagonalLeft    = 96  // tokens left of the block whose sums go to y
	diagonalY       = 104 // where the next one's begin
	diagonalLines   = 112 // lines that are read ahead beside two row tiles

	// Weights are read so many bytes ahead into L1, twice that into L2.
	diagonalAhead = 8192

	diagonalInputs = 128            // two places of inputs: steps of 16 tokens
	diagonalSums   = 128 + 2*4*1024 // two places of sums: row tiles of 16 tokens
	diagonalFrame  = 128 + 2*(4+8)*1024 + 64
)

// General registers: SI weights, DX where they are read ahead; DI inputs to round, BX from
// a token's to the next's, R8 where they go, R9 those to multiply; R10 where sums go, R11
// those for y, R13, and R14 from a token to the next; AX 64; CX and R12 are free.

func diagonals() []*diagonal {
	return []*diagonal{
		{tileKernel: tileKernel{name: "DiagonalBF16BF16AMX", params: diagonalParams,
			doc: "multiplies blocks, of 64 or 128, of a block-diagonal matrix, whose weight\n// tiles follow one another, by any number of tokens, f32 that are rounded. See ref.DenseBF16BF16"}},
		{tileKernel: tileKernel{name: "DiagonalRoundBF16BF16AMX", params: diagonalParams[:strings.LastIndex(diagonalParams, ", ")] + " int",
			doc: "does so and rounds the sums to bf16, y. See DiagonalBF16BF16AMX"}, rounds: true},
	}
}

func (k *diagonal) emit() {
	k.include()
	k.constants()
	k.text(diagonalFrame)
	k.prologue()
	for _, k.block = range diagonalBlocks {
		k.name = fmt.Sprintf("block%d", k.block)
		k.loop()
	}
	k.label("done")
	k.release()
	k.label("return")
	k.p("VZEROUPPER")
	k.p("RET")
}

func (k *diagonal) at(part string, args ...any) { k.label("%s%s", k.name, fmt.Sprintf(part, args...)) }
func (k *diagonal) jump(op, part string, args ...any) {
	k.p("%s %s%s", op, k.name, fmt.Sprintf(part, args...))
}

func (k *diagonal) prologue() {
	arg := func(name string) string { return fmt.Sprintf("%s+%d(FP)", name, k.arg(name)) }
	k.p("MOVQ %s, CX", arg("tokens"))
	k.p("TESTQ CX, CX")
	k.p("JLE return")
	k.p("MOVQ %s, DX", arg("blocks"))
	k.p("TESTQ DX, DX")
	k.p("JLE return")
	k.beginFrame()
	k.p("CMPQ CX, $16")
	k.p("JGE whole")
	for _, t := range []int{0, 1, 2, 3, 4, 5} {
		k.p("MOVB CX, %d(R15)", 48+t)
	}
	k.label("whole")
	k.emitBytes(memory(none, 0x49, 0, "R15", "", 0), "LDTILECFG (R15)")
	k.p("MOVQ CX, %s", local(diagonalTokens))
	k.p("MOVQ CX, %s", local(diagonalW))
	k.p("MOVQ DX, %s", local(diagonalBlocksX))
	k.p("MOVQ $0, %s", local(diagonalLeft))
	k.p("MOVQ %s, SI", arg("w"))
	k.p("MOVQ %s, DI", arg("x"))
	k.p("MOVQ DI, %s", local(diagonalX))
	k.p("MOVQ %s, BX", arg("ldx"))
	k.p("SHLQ $2, BX")
	k.p("MOVQ %s, R13", arg("y"))
	k.p("MOVQ R13, %s", local(diagonalY))
	k.p("MOVQ %s, R14", arg("ldy"))
	if k.rounds {
		k.p("SHLQ $1, R14")
	} else {
		k.p("SHLQ $2, R14")
		k.p("MOVQ %s, R12", arg("add"))
		k.p("NEGQ R12")
		k.p("KMOVW R12, K1")
	}
	k.p("LEAQ %d(R15), R8", diagonalInputs)
	k.p("LEAQ %d(R15), R9", diagonalInputs+4*1024)
	k.p("LEAQ %d(R15), R10", diagonalSums)
	k.p("LEAQ %d(R15), R11", diagonalSums+8*1024)
	k.p("MOVQ $64, AX")
	k.p("CMPQ %s, $%d", arg("block"), diagonalBlocks[1])
	k.p("JEQ block%d", diagonalBlocks[1])
}

// bytes of a block's weights.
func (k *diagonal) bytes() int { return 2 * k.block * k.block }

func (k *diagonal) loop() {
	segments := k.block / 32
	k.at("")
	// Lines to read ahead for every two row tiles, so that a block's are all read
	// while the one before is multiplied.
	k.p("MOVQ tokens+%d(FP), CX", k.arg("tokens"))
	k.p("ADDQ $15, CX")
	k.p("SHRQ $4, CX")
	k.p("LEAQ %d(CX), AX", k.bytes()/64/segments-1)
	k.p("XORQ DX, DX")
	k.p("DIVQ CX")
	k.p("MOVQ AX, %s", local(diagonalLines))
	k.p("MOVQ $64, AX")
	k.p("LEAQ %d(SI), DX", k.bytes())
	k.some(diagonalTokens, "first", k.round)
	k.nextInputs("first")

	k.at("loop")
	k.p("CMPQ tokens+%d(FP), $16", k.arg("tokens"))
	k.jump("JLE", "single")
	k.p("CMPQ %s, $16", local(diagonalTokens))
	k.jump("JLT", "fewTokens")
	k.p("CMPQ %s, $16", local(diagonalLeft))
	k.jump("JLT", "fewSums")
	k.step("both", true, true)
	k.jump("JMP", "next")
	k.at("fewSums")
	k.p("CMPQ %s, $0", local(diagonalLeft))
	k.jump("JGT", "part")
	k.step("rounds", true, false)
	k.jump("JMP", "next")
	k.at("fewTokens")
	k.p("CMPQ %s, $0", local(diagonalTokens))
	k.jump("JGT", "part")
	k.p("CMPQ %s, $16", local(diagonalLeft))
	k.jump("JLT", "part")
	k.step("stores", false, true)
	k.jump("JMP", "next")
	k.at("single")
	k.single()
	k.jump("JMP", "next")
	k.at("part")
	k.some(diagonalTokens, "parts", k.round)
	k.step("part", false, false)
	k.some(diagonalLeft, "sums", k.put)

	k.at("next")
	k.p("XCHGQ R8, R9")
	k.p("XCHGQ R10, R11")
	k.nextInputs("")
	k.p("SUBQ $16, %s", local(diagonalLeft))
	k.jump("JGT", "sameY")
	k.p("MOVQ tokens+%d(FP), R12", k.arg("tokens"))
	k.p("MOVQ R12, %s", local(diagonalLeft))
	k.p("MOVQ %s, R13", local(diagonalY))
	if k.rounds {
		k.p("ADDQ $%d, %s", 2*k.block, local(diagonalY))
	} else {
		k.p("ADDQ $%d, %s", 4*k.block, local(diagonalY))
	}
	k.at("sameY")
	k.p("SUBQ $16, %s", local(diagonalW))
	k.jump("JGT", "loop")
	k.p("MOVQ tokens+%d(FP), R12", k.arg("tokens"))
	k.p("MOVQ R12, %s", local(diagonalW))
	k.p("ADDQ $%d, SI", k.bytes())
	k.p("LEAQ %d(SI), DX", k.bytes())
	k.p("DECQ blocks+%d(FP)", k.arg("blocks"))
	k.jump("JNZ", "loop")
	k.some(diagonalLeft, "last", k.put)
	k.p("JMP done")
}

// nextInputs goes on by 16 tokens, or to the next block; after the last there are none.
func (k *diagonal) nextInputs(name string) {
	if name == "first" {
		k.p("XCHGQ R8, R9")
	}
	k.p("SUBQ $16, %s", local(diagonalTokens))
	k.jump("JGT", "sameX%s", name)
	k.p("MOVQ $0, %s", local(diagonalTokens))
	k.p("DECQ %s", local(diagonalBlocksX))
	k.jump("JLE", "sameX%s", name)
	k.p("MOVQ tokens+%d(FP), R12", k.arg("tokens"))
	k.p("MOVQ R12, %s", local(diagonalTokens))
	k.p("ADDQ $%d, %s", 4*k.block, local(diagonalX))
	k.p("MOVQ %s, DI", local(diagonalX))
	k.at("sameX%s", name)
}

// some does what is to be done for each of up to 16 tokens, as many as are left. R12 is
// their place.
func (k *diagonal) some(left int, name string, do func(token int, place string) []func()) {
	k.p("MOVQ %s, CX", local(left))
	k.p("MOVQ $16, R12")
	k.p("CMPQ CX, R12")
	k.p("CMOVQGT R12, CX")
	k.p("XORQ R12, R12")
	k.p("TESTQ CX, CX")
	k.jump("JLE", "none%s", name)
	k.at("some%s", name)
	for _, f := range do(0, "(R12*1)") {
		f()
	}
	k.p("ADDQ $64, R12")
	k.p("DECQ CX")
	k.jump("JNZ", "some%s", name)
	k.at("none%s", name)
}

// round rounds a token's inputs.
func (k *diagonal) round(token int, place string) (parts []func()) {
	for step := range k.block / 32 {
		parts = append(parts, func() {
			k.p("VMOVUPS %d(DI), Z0", 128*step)
			k.p("VMOVUPS %d(DI), Z1", 128*step+64)
			k.toBF16(0, 1, 2)
			k.p("VMOVDQU64 Z2, %d(R8)%s", 1024*step+64*token, place)
			if step == k.block/32-1 {
				k.p("ADDQ BX, DI")
			}
		})
	}
	return parts
}

// put puts a token's sums into y.
func (k *diagonal) put(token int, place string) (parts []func()) {
	for pair := range k.block / 32 {
		parts = append(parts, func() {
			for i := range 2 {
				line := 2*pair + i
				k.p("VMOVUPS %d(R11)%s, Z%d", 1024*line+64*token, place, 4+i)
				if !k.rounds {
					k.p("VADDPS %d(R13), Z%d, K1, Z%d", 64*line, 4+i, 4+i)
					k.p("VMOVUPS Z%d, %d(R13)", 4+i, 64*line)
				}
			}
			if k.rounds {
				k.toBF16(4, 5, 6)
				k.p("VMOVDQU64 Z6, %d(R13)", 64*pair)
			}
			if pair == k.block/32-1 {
				k.p("ADDQ R14, R13")
			}
		})
	}
	return parts
}

// toBF16 is VCVTNE2PS2BF16, EVEX.512.F2.0F38.W0 72 /r: low in rm, high in vvvv.
func (k *diagonal) toBF16(low, high, dst int) {
	k.emitBytes([]byte{0x62, 0xf2, byte(^high&15<<3) | 1<<2 | pF2, 0x48, 0x72, byte(0xc0 | dst<<3 | low)}, "VCVTNE2PS2BF16 Z%d, Z%d, Z%d", low, high, dst)
}

// step multiplies a block by 16 tokens. Beside two row tiles' products are sums of the
// step before, then inputs are rounded, and then these products are there to be stored.
func (k *diagonal) step(name string, rounds, puts bool) {
	pairs := k.block / 32
	var inputs, sums []func()
	for token := range 16 {
		if rounds {
			inputs = append(inputs, k.round(token, "")...)
		}
		if puts {
			sums = append(sums, k.put(token, "")...)
		}
	}
	part := func(of []func(), i int) []func() { return of[i*len(of)/pairs : (i+1)*len(of)/pairs] }
	for pair := range pairs {
		k.p("MOVQ %s, CX", local(diagonalLines))
		k.at("ahead%s%d", name, pair)
		k.p("PREFETCHT0 (DX)")
		k.p("ADDQ $64, DX")
		k.p("DECQ CX")
		k.jump("JNZ", "ahead%s%d", name, pair)
		interleave(k.products(pair, false), part(sums, pair))
		interleave(part(inputs, pair))
		k.keep(pair)
	}
}

// single is the step of 16 tokens or fewer, all that there are: it waits for weights,
// which are read ahead by the line.
func (k *diagonal) single() {
	k.some(diagonalTokens, "singles", k.round)
	for pair := range k.block / 32 {
		interleave(k.products(pair, true))
		k.keep(pair)
	}
	k.some(diagonalLeft, "singlesums", k.put)
}

// products are of two row tiles, the first being 2·pair.
func (k *diagonal) products(pair int, ahead bool) (parts []func()) {
	steps := k.block / 32
	parts = append(parts, func() { k.zero(0); k.zero(1) })
	for step := range steps {
		parts = append(parts, func() { k.load(4, "R9", "AX", 1024*step) })
		for i := range 2 {
			parts = append(parts, func() {
				at := 1024 * ((2*pair+i)*steps + step)
				for line := 0; ahead && line < 16; line++ {
					k.p("PREFETCHT0 %d(SI)", at+diagonalAhead+64*line)
					k.p("PREFETCHT1 %d(SI)", at+2*diagonalAhead+64*line)
				}
				k.load(6, "SI", "AX", at)
				k.dot(i, 4, 6)
			})
		}
	}
	return parts
}

// keep stores their sums. Zeroed tiles are not in use.
func (k *diagonal) keep(pair int) {
	for i := range 2 {
		k.storeTile(i, "R10", "AX", 1024*(2*pair+i))
	}
	for _, t := range []int{0, 1, 4, 6} {
		k.zero(t)
	}
}

func emitDiagonals(stubs *bytes.Buffer) {
	for _, k := range diagonals() {
		k.emit()
		file := "diagonal_bf16bf16_amx"
		if k.rounds {
			file = "diagonal_round_bf16bf16_amx"
		}
		write(file+"_amd64.s", k.out.Bytes())
		k.stub(stubs, "AMX_TILE, AMX_BF16, AVX512F, AVX512BW, AVX512_BF16")
	}
}
