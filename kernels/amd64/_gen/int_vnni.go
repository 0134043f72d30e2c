package main

import (
	"bytes"
	"fmt"
	"math"
)

// Kernels of integer weights and activations on VPDPBUSD, which multiplies u8 by
// s8 in fours. In dense ones the weights are the u8 operand, with 128 or 8 added;
// in 2:4 ones the activations, with 128 added by their packing. What is added is
// taken off again: by the record's sums of the activations, or by the sums of the
// weights. A dot product of a block stays in a register; sums of blocks too, or
// in the frame where there are many.
//
// Tokens in the lanes were no faster here: what rows may keep of eight inputs, 36
// ways, is 18 KB for a block of 16 tokens, so that L1 holds too few tokens for a
// broadcast weight, and making it took a fifth of the time.

type intKernel struct {
	name          string
	bits          int
	sparse        bool
	tiles, tokens int
	chains        int  // accumulators of one sum, so that they need not wait
	spill         bool // sums are in the frame
	out           *bytes.Buffer
	free          int // the first register not taken
}

const (
	intParams  = "w unsafe.Pointer, wstride int, x unsafe.Pointer, k, block int, y *float32, ldy, add int"
	denseInts  = "AVX512F, AVX512_VNNI"
	sparseInts = "AVX512F, AVX512BW, AVX512_VNNI, AVX512_VBMI"
	intISA     = "avx512vnni"
	vnniAhead  = 2048 // weights are read so many bytes ahead
	intBlock   = 64   // of a 2:4 matrix
)

var vnniShapes = map[bool][]intKernel{
	false: {
		{tiles: 1, tokens: 1, chains: 4}, {tiles: 4, tokens: 1, chains: 2},
		{tiles: 1, tokens: 4, chains: 2}, {tiles: 4, tokens: 4, chains: 1, spill: true},
		{tiles: 1, tokens: 12, chains: 1}, {tiles: 2, tokens: 12, chains: 1, spill: true},
	},
	true: {
		{tiles: 1, tokens: 1, chains: 2}, {tiles: 4, tokens: 1, chains: 1},
		{tiles: 1, tokens: 4, chains: 1}, {tiles: 4, tokens: 4, chains: 1, spill: true},
		{tiles: 1, tokens: 12, chains: 1},
	},
}

func emitInts() {
	var stubs, table bytes.Buffer
	fmt.Fprint(&stubs, header, "package amd64\n\nimport \"unsafe\"\n")
	fmt.Fprintf(&table, "%spackage amd64\n\nvar intVNNIKernels = []intKernel{\n", header)
	for _, sparse := range []bool{false, true} {
		for _, bits := range []int{8, 4} {
			kind := map[bool]string{false: "Dense", true: "Sparse"}[sparse]
			family := fmt.Sprintf("%sInt%dAVX512VNNI", kind, bits)
			var all []*intKernel
			var asm bytes.Buffer
			fmt.Fprint(&asm, header, "#include \"textflag.h\"\n")
			constants(&asm, bits, sparse)
			for _, shape := range vnniShapes[sparse] {
				k := shape
				k.bits, k.sparse, k.out = bits, sparse, &asm
				k.name = fmt.Sprintf("%sR%dM%d", family, k.tiles, k.tokens)
				k.emit()
				all = append(all, &k)
			}
			write(fmt.Sprintf("%s_int%d_avx512vnni_amd64.s", map[bool]string{false: "dense", true: "sparse"}[sparse], bits), asm.Bytes())
			chooseInt(&stubs, family, sparse, all)
			intRow(&table, family, intISA, bits, sparse, shapes512)
		}
	}
	fmt.Fprint(&table, "}\n")
	write("int_vnni_amd64.go", stubs.Bytes())
	write("int_vnni_table_amd64_test.go", table.Bytes())
}

// intRow is one family in the tests' table.
func intRow(b *bytes.Buffer, family, isa string, bits int, sparse bool, shapes []shape) {
	fmt.Fprintf(b, "\t{%q, %q, %d, %v, [][2]int{", family, isa, bits, sparse)
	for i, s := range shapes {
		fmt.Fprintf(b, "%s{%d, %d}", []string{"", ", "}[min(i, 1)], s.tiles, s.tokens)
	}
	fmt.Fprintf(b, "}, %s},\n", family)
}

// chooseInt writes the function that picks a kernel by its shape.
func chooseInt(b *bytes.Buffer, family string, sparse bool, all []*intKernel) {
	blocks, bad, needs := "of 32 or 64 inputs", "block != 32 && block != 64", denseInts
	if sparse {
		blocks, bad, needs = "of 64 inputs", "block != 64", sparseInts
	}
	fmt.Fprintf(b, "\n// %s runs the kernel of tiles × 16 rows by tokens, which must exist;\n// k counts blocks %s. See ref.Int.\n", family, blocks)
	fmt.Fprintf(b, "func %s(tiles, tokens int, %s) {\n\tswitch {\n\tcase %s:\n\t\tpanic(\"amd64: no such block\")\n", family, intParams, bad)
	for _, k := range all {
		fmt.Fprintf(b, "\tcase tiles == %d && tokens == %d:\n\t\t%s(w, wstride, x, k, block, y, ldy, add)\n", k.tiles, k.tokens, k.name)
	}
	if sparse { // nothing is gained from tiles side by side: their weights are in use for long
		fmt.Fprintf(b, "\tcase tiles == 2 && tokens == 12:\n")
		for t := range 2 {
			w, y := "w", "y"
			if t > 0 {
				w, y = "unsafe.Add(w, wstride)", "(*float32)(unsafe.Add(unsafe.Pointer(y), 64))"
			}
			fmt.Fprintf(b, "\t\t%sR1M12(%s, wstride, x, k, block, %s, ldy, add)\n", family, w, y)
		}
	}
	fmt.Fprintf(b, "\tdefault:\n\t\tpanic(\"amd64: no such tile shape\")\n\t}\n}\n")
	for _, k := range all {
		fmt.Fprintf(b, "\n// %s computes %d × 16 rows of %d tokens; layouts: package ref. Needs %s.\n//\n//go:noescape\nfunc %s(%s)\n",
			k.name, k.tiles, k.tokens, needs, k.name, intParams)
	}
}

// arg is an argument's place.
func (k *intKernel) arg(name string) string {
	for i, n := range []string{"w", "wstride", "x", "k", "block", "y", "ldy", "add"} {
		if n == name {
			return fmt.Sprintf("%s+%d(FP)", name, 8*i)
		}
	}
	panic("no argument " + name)
}

// constants are dwords that are broadcast.
func constants(b *bytes.Buffer, bits int, sparse bool) {
	if !sparse {
		return
	}
	var shifts []uint32
	for step := range uint32(4) {
		for half := range uint32(2) { // of a qword: two rows
			at := 32*half + 8*step
			shifts = append(shifts, at|(at+2)<<8|(at+4)<<16|(at+6)<<24)
		}
	}
	data(b, "shifts", shifts)
	data(b, "float", []uint32{math.Float32bits(3 << 22)})
	if bits == 4 {
		data(b, "high", []uint32{0xf0f0f0f0})
		data(b, "sixteenth", []uint32{math.Float32bits(1.0 / 16)})
	}
}

func (k *intKernel) p(format string, args ...any)     { fmt.Fprintf(k.out, "\t"+format+"\n", args...) }
func (k *intKernel) label(format string, args ...any) { fmt.Fprintf(k.out, "\n"+format+":\n", args...) }

// take reserves registers.
func (k *intKernel) take(n int) (first int) {
	first = k.free
	if k.free += n; k.free > 32 {
		panic(fmt.Sprintf("%s needs %d registers", k.name, k.free))
	}
	return first
}

// constant fills a register with a dword.
func (k *intKernel) constant(reg int, word uint32) {
	k.p("MOVL $0x%08x, AX", word)
	k.p("VPBROADCASTD AX, Z%d", reg)
}

func (k *intKernel) zero(reg int) { k.p("VPXORD Z%d, Z%d, Z%d", reg, reg, reg) }

func (k *intKernel) emit() {
	frame, split := 0, "NOSPLIT"
	if !k.sparse && k.tokens > 1 {
		frame = 128
	}
	if k.spill {
		frame, split = 128+64*k.tiles*k.tokens, "0"
	}
	fmt.Fprintf(k.out, "\n// func %s(%s)\nTEXT ·%s(SB), %s, $%d-64\n", k.name, intParams, k.name, split, frame)
	if frame > 0 { // R15 is a cache line's start, the sums follow its line
		k.p("LEAQ 63(SP), R15")
		k.p("ANDQ $-64, R15")
	}
	k.p("MOVQ %s, BX", k.arg("w"))
	k.p("MOVQ %s, DI", k.arg("x"))
	k.p("MOVQ %s, CX", k.arg("k"))
	k.p("MOVQ %s, DX", k.arg("wstride"))
	if k.tiles > 2 {
		k.p("LEAQ (DX)(DX*2), R10")
	}
	if k.sparse {
		k.emitSparse()
	} else {
		k.emitDense()
	}
	k.p("VZEROUPPER")
	k.p("RET")
}

// codes points SI behind the scales, which are 32 bytes a block, padded to a
// cache line.
func (k *intKernel) codes() {
	k.p("TESTQ CX, CX")
	k.p("JZ done")
	k.p("LEAQ 1(CX), SI")
	k.p("ANDQ $-2, SI")
	k.p("SHLQ $5, SI")
	k.p("ADDQ BX, SI")
}

// sum is the place of a sum: a register, or the frame.
func (k *intKernel) sum(sums, token, tile int) string {
	if k.spill {
		return fmt.Sprintf("%d(R15)", 64*(token*k.tiles+tile+1))
	}
	return fmt.Sprintf("Z%d", sums+token*k.tiles+tile)
}

// clear zeroes the sums, by way of a register.
func (k *intKernel) clear(sums, temporary int) {
	k.zero(temporary)
	for i := range k.tokens {
		for j := range k.tiles {
			if k.spill {
				k.p("VMOVUPS Z%d, %s", temporary, k.sum(sums, i, j))
			} else {
				k.zero(sums + i*k.tiles + j)
			}
		}
	}
}

// tile is an address in a tile.
func (k *intKernel) tile(base string, j int) string {
	return base + [...]string{"", "(DX*1)", "(DX*2)", "(R10*1)"}[j]
}

// addTo adds the scaled dot product of a block, times a token's scale, to a sum.
func (k *intKernel) addTo(sums, token, tile, acc, scale int) {
	sum := k.sum(sums, token, tile)
	if k.spill {
		k.p("VFMADD213PS %s, Z%d, Z%d", sum, scale, acc)
		k.p("VMOVUPS Z%d, %s", acc, sum)
		return
	}
	k.p("VFMADD231PS Z%d, Z%d, %s", scale, acc, sum)
}

// ahead starts R14, where weights are read ahead. A block moves it by its share
// of the scales, too, so that it goes over all of a tile once and on into the
// next; R13 is where that is of four tiles side by side.
func (k *intKernel) ahead() {
	k.p("LEAQ %d(SI), R14", vnniAhead)
	if k.tiles == 4 {
		k.p("LEAQ (BX)(DX*1), R13")
	}
}

// jump moves R14 from the end of a tile over the three that lie behind it.
func (k *intKernel) jump() {
	if k.tiles < 4 {
		return
	}
	k.p("CMPQ R14, R13")
	k.p("JLO same")
	k.p("ADDQ R10, R14")
	k.p("MOVQ $-1, R13")
	k.label("same")
}

// blockBytes are a block's of 64 inputs, without its scales.
func (k *intKernel) blockBytes() int {
	if k.sparse {
		return 128 + 64*k.bits
	}
	return 128 * k.bits
}

// store puts the sums into y, or adds them, by one register.
func (k *intKernel) store(sums int) {
	k.label("done")
	k.p("MOVQ %s, R8", k.arg("y"))
	k.p("MOVQ %s, R9", k.arg("ldy"))
	k.p("SHLQ $2, R9")
	k.p("MOVQ %s, AX", k.arg("add"))
	for i := range k.tokens {
		for j := range k.tiles {
			k.p("VMOVUPS %s, Z0", k.sum(sums, i, j))
			k.p("TESTQ AX, AX")
			k.p("JZ store%d", i*k.tiles+j)
			k.p("VADDPS %d(R8), Z0, Z0", 64*j)
			k.label("store%d", i*k.tiles+j)
			k.p("VMOVUPS Z0, %d(R8)", 64*j)
		}
		if i < k.tokens-1 {
			k.p("ADDQ R9, R8")
		}
	}
}
