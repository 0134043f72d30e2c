package main

import (
	"bytes"
	"fmt"
)

// Kernels of integers on AVX2. A register is 8 rows, a dword 4 inputs of a row;
// half is which 8 of a tile's 16 rows.
//
//   - int8: VPMADDUBSW takes one side without its signs and the other with both
//     sides' (VPSIGNB). Of two products no sum is above 2·127²: of more it would
//     not fit, so VPMADDWD follows at once. Dense weights of several tokens are
//     widened, and VPMADDWD alone multiplies.
//   - int4: sums of 16 bits hold a block's, or 32 inputs' where the codes are
//     unsigned.
//
// The f32 sums are in the frame. Weights are fetched ahead: a tile's arithmetic
// leaves the hardware too few reads on their way.

// avx2Int is a kernel that is being written.
type avx2Int struct {
	bits                 int
	sparse               bool
	tiles, tokens, block int
	out                  *bytes.Buffer
}

const (
	avx2IntParams  = "tiles, tokens int, w unsafe.Pointer, wstride int, x unsafe.Pointer, k, block int, y *float32, ldy, add int"
	avx2IntGuard   = "AVX2, FMA, F16C"
	avx2IntFrame   = 1280 // from R15, a cache line's start, and 64 to align it
	avx2Sums       = 0    // f32 [tiles or tokens][half][8]
	avx2Dwords     = 384  // int32, the same, of the first 32 inputs of a block
	avx2Inputs     = 384  // activations in another form
	avx2SparseMeta = 128  // bytes of positions of a block
)

func avx2IntFamily(bits int, sparse bool) (kernels []*avx2Int) {
	blocks := []int{32, 64}
	if sparse {
		blocks = []int{64}
	}
	for _, s := range shapes256 {
		for _, block := range blocks {
			kernels = append(kernels, &avx2Int{bits: bits, sparse: sparse, tiles: s.tiles, tokens: s.tokens, block: block})
		}
	}
	return kernels
}

func (k *avx2Int) family() string {
	if k.sparse {
		return fmt.Sprintf("SparseInt%dAVX2", k.bits)
	}
	return fmt.Sprintf("DenseInt%dAVX2", k.bits)
}

func (k *avx2Int) name() string {
	return fmt.Sprintf("%sB%dR%dM%d", k.family(), k.block, k.tiles, k.tokens)
}

func emitIntAVX2() {
	var stubs, table bytes.Buffer
	fmt.Fprint(&stubs, header, "package amd64\n\nimport \"unsafe\"\n")
	fmt.Fprint(&table, header, "package amd64\n\nvar intAVX2Kernels = []intKernel{\n")
	for _, sparse := range []bool{false, true} {
		for _, bits := range []int{8, 4} {
			kernels := avx2IntFamily(bits, sparse)
			var out, body bytes.Buffer
			for _, k := range kernels {
				k.out = &body
				k.emit()
			}
			fmt.Fprint(&out, header, "#include \"textflag.h\"\n")
			avx2IntConstants(&out, body.Bytes())
			out.Write(body.Bytes())
			avx2IntStubs(&stubs, kernels)
			intRow(&table, kernels[0].family(), "avx2", bits, sparse, shapes256)
			kind := "dense"
			if sparse {
				kind = "sparse"
			}
			write(fmt.Sprintf("%s_int%d_avx2_amd64.s", kind, bits), out.Bytes())
		}
	}
	fmt.Fprint(&table, "}\n")
	write("int_avx2_amd64.go", stubs.Bytes())
	write("int_avx2_table_amd64_test.go", table.Bytes())
}

func avx2IntStubs(b *bytes.Buffer, kernels []*avx2Int) {
	name, what := kernels[0].family(), "weights"
	if kernels[0].sparse {
		what = "2:4 weights, positions spread,"
	}
	fmt.Fprintf(b, "\n// %s multiplies tiles of 16 rows of %d bit %s by tokens: a shape\n// that exists; k counts blocks, x is not flipped. See ref.Int. Needs %s.\n",
		name, kernels[0].bits, what, avx2IntGuard)
	fmt.Fprintf(b, "func %s(%s) {\n\tswitch {\n", name, avx2IntParams)
	for _, k := range kernels {
		fmt.Fprintf(b, "\tcase tiles == %d && tokens == %d && block == %d:\n\t\t%s(w, wstride, x, k, y, ldy, add)\n", k.tiles, k.tokens, k.block, k.name())
	}
	fmt.Fprintf(b, "\tdefault:\n\t\tpanic(\"amd64: no such tile shape\")\n\t}\n}\n")
	for _, k := range kernels {
		fmt.Fprintf(b, "\n// %s computes %d × 16 rows of %d tokens, blocks of %d. Needs %s.\n//\n//go:noescape\nfunc %s(%s)\n",
			k.name(), k.tiles, k.tokens, k.block, avx2IntGuard, k.name(), params)
	}
}

// avx2IntConstants emits those that the body uses.
func avx2IntConstants(b *bytes.Buffer, body []byte) {
	var signed []uint32 // two's complement of 4 bits
	for i := range uint32(8) {
		var word uint32
		for j := range uint32(4) {
			n := i%4*4 + j
			word |= ((n ^ 8) - 8) & 0xff << (8 * j)
		}
		signed = append(signed, word)
	}
	for _, c := range []struct {
		name  string
		words []uint32
	}{
		{"even", bytesOf(0x33333333, 8)}, // positions of steps 0 and 2
		{"odd", bytesOf(0xcccccccc, 8)},
		{"groups", bytesOf(0x04040000, 8)}, // where the groups of 8 inputs begin
		{"groupsEven", bytesOf(0x44440000, 8)},
		{"groupsOdd", bytesOf(0x10100000, 8)},
		{"one", bytesOf(0x00010001, 8)},
		{"low", bytesOf(0x0f0f0f0f, 8)},
		{"eight", bytesOf(0x08080808, 8)},
		{"eights", bytesOf(0x88888888, 8)},
		{"flip", bytesOf(0x80808080, 8)},
		{"second", bytesOf(0xff00ff00, 8)},
		{"unit", bytesOf(0x3b800000, 8)}, // 2⁻⁸
		{"signed", signed},
	} {
		if bytes.Contains(body, []byte(" "+c.name+"<>(SB)")) {
			data(b, c.name, c.words)
		}
	}
}

func (k *avx2Int) p(format string, args ...any) { fmt.Fprintf(k.out, "\t"+format+"\n", args...) }

func (k *avx2Int) emit() {
	fmt.Fprintf(k.out, "\n// func %s(%s)\nTEXT ·%s(SB), 0, $%d-56\n", k.name(), params, k.name(), avx2IntFrame)
	k.p("MOVQ w+0(FP), BX")
	k.p("MOVQ wstride+8(FP), DX")
	k.p("MOVQ x+16(FP), DI")
	k.p("MOVQ k+24(FP), CX")
	if k.tiles > 2 {
		k.p("LEAQ (DX)(DX*2), R10")
	}
	k.p("LEAQ 63(SP), R15")
	k.p("ANDQ $-64, R15")
	k.p("VPXOR Y0, Y0, Y0")
	for i := range 2 * k.tokens * k.tiles {
		k.p("VMOVDQU Y0, %d(R15)", avx2Sums+32*i)
	}
	if k.sparse {
		k.loadConstants()
	}
	k.p("LEAQ 1(CX), SI") // scales first, padded to a cache line
	k.p("ANDQ $-2, SI")
	k.p("SHLQ $5, SI")
	k.p("ADDQ BX, SI")
	k.p("TESTQ CX, CX")
	k.p("JZ done")
	fmt.Fprint(k.out, "\nloop:\n")
	k.reach()
	switch {
	case k.sparse && k.tokens == 1:
		k.sparseToken()
	case k.sparse:
		k.sparseTokens()
	case k.tokens == 1:
		k.denseToken()
	default:
		k.denseTokens()
	}
	k.p("ADDQ $32, BX")
	k.p("ADDQ $%d, SI", k.blockBytes())
	k.p("ADDQ $%d, DI", k.tokens*(k.block+8))
	k.p("DECQ CX")
	k.p("JNZ loop")
	fmt.Fprint(k.out, "\ndone:\n")
	k.store()
	k.p("VZEROUPPER")
	k.p("RET")
}

func (k *avx2Int) blockBytes() int {
	codes := 16 * k.block * k.bits / 8
	if k.sparse {
		return codes/2 + avx2SparseMeta
	}
	return codes
}

// Where a token's scale of activations and the sum of their codes are.
func (k *avx2Int) scaleX(token int) string { return fmt.Sprintf("%d(DI)", k.tokens*k.block+4*token) }
func (k *avx2Int) sumX(token int) string   { return fmt.Sprintf("%d(DI)", k.tokens*(k.block+4)+4*token) }

// avx2At is an address of a tile's.
func avx2At(base string, tile, disp int) string {
	return fmt.Sprintf("%d(%s)%s", disp, base, [...]string{"", "(DX*1)", "(DX*2)", "(R10*1)"}[tile])
}

// product adds the exact sum of a block, dwords in acc, to an f32 sum: scale is
// the rows', and t has the token's. Of i tiles or tokens one is 1.
func (k *avx2Int) product(acc, scale, t string, i, half int) {
	sum := fmt.Sprintf("%d(R15)", avx2Sums+64*i+32*half)
	k.p("VCVTDQ2PS %s, %s", acc, acc)
	k.p("VMULPS %s, %s, %s", scale, acc, acc)
	k.p("VFMADD213PS %s, %s, %s", sum, t, acc)
	k.p("VMOVUPS %s, %s", acc, sum)
}

func (k *avx2Int) store() {
	k.p("MOVQ y+32(FP), R8")
	k.p("MOVQ $64, R9") // from a tile's sums to the next one's
	if k.tokens > 1 {
		k.p("MOVQ ldy+40(FP), R9")
		k.p("SHLQ $2, R9")
	}
	k.p("MOVQ R15, R11")
	k.p("MOVQ $%d, CX", k.tokens*k.tiles)
	k.p("CMPQ add+48(FP), $0")
	k.p("JEQ store")
	for _, label := range []string{"add", "store"} {
		fmt.Fprintf(k.out, "\n%s:\n", label)
		for half := range 2 {
			k.p("VMOVUPS %d(R11), Y%d", avx2Sums+32*half, half)
			if label == "add" {
				k.p("VADDPS %d(R8), Y%d, Y%d", 32*half, half, half)
			}
			k.p("VMOVUPS Y%d, %d(R8)", half, 32*half)
		}
		k.p("ADDQ R9, R8")
		k.p("ADDQ $64, R11")
		k.p("DECQ CX")
		k.p("JNZ %s", label)
		if label == "add" {
			k.p("VZEROUPPER")
			k.p("RET")
		}
	}
}

// ahead is how many bytes ahead a tile's weights are read.
func (k *avx2Int) ahead() int {
	if k.tiles > 1 {
		return 1536
	}
	return 4096
}

// reach points R12 at what is fetched. Towards the end of several tiles it goes on
// where those begin that come after them, as all are one matrix.
func (k *avx2Int) reach() {
	k.p("MOVQ SI, R12")
	if k.tiles > 1 {
		k.p("LEAQ (SI)(R10*1), R13")
		k.p("CMPQ CX, $%d", k.ahead()/k.blockBytes())
		k.p("CMOVQLE R13, R12")
	}
}

// fetch reads ahead a share of a block's lines: all at once would wait for others.
func (k *avx2Int) fetch(tile, step, steps int) {
	lines := k.blockBytes() / 64
	for line := step * lines / steps; line < (step+1)*lines/steps; line++ {
		k.p("PREFETCHT0 %s", avx2At("R12", tile, k.ahead()+64*line))
	}
}

// accumulate adds t to acc, or puts the first of products there.
func (k *avx2Int) accumulate(op string, first bool, t, acc string) {
	if first {
		k.p("VMOVDQA %s, %s", t, acc)
		return
	}
	k.p("%s %s, %s, %s", op, t, acc, acc)
}
