package main

import (
	"bytes"
	"fmt"
)

// Kernels of 2:4 weights. A step is a group of four inputs: each token's four
// are broadcast, and a shuffle picks for every row, a lane, the two it keeps.

// sparseShapes512 hold what fits in 32 registers beside one part's weights.
var sparseShapes512 = []shape{{1, 1}, {4, 1}, {1, 4}, {4, 4}, {1, 12}, {2, 12}}

var sparseFamilies = []family{
	{"sparse_bf16bf16_avx512bf16_amd64", "SparseBF16BF16AVX512BF16", "Z", 16, 16, true, sparseShapes512, "AVX512F, AVX512BW, AVX512_BF16", "avx512bf16"},
	{"sparse_bf16f32_avx512_amd64", "SparseBF16F32AVX512", "Z", 16, 16, false, sparseShapes512, "AVX512F", "avx512"},
	{"sparse_f32f32_avx512_amd64", "SparseF32F32AVX512", "Z", 16, 32, false, sparseShapes512, "AVX512F", "avx512"},
	{"sparse_bf16f32_avx2_amd64", "SparseBF16F32AVX2", "Y", 8, 16, false, shapes256, "AVX2, FMA", "avx2"},
	{"sparse_f32f32_avx2_amd64", "SparseF32F32AVX2", "Y", 8, 32, false, shapes256, "AVX2, FMA", "avx2"},
}

func (f *family) sparseAssembly() []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, header, "#include \"textflag.h\"\n")
	// Lane r's positions are in the low dword of the tile's eight bytes where r is
	// even, else in the high one, 4·(r/2) bits up.
	var shifts, words []uint32
	for lane := range uint32(16) {
		shifts = append(shifts, lane/2*4)
		first, second := lane&3, lane>>2 // for positions lane: bytes of two bf16
		words = append(words, 2*first|(2*first+1)<<8|2*second<<16|(2*second+1)<<24)
	}
	data(&b, "shifts", shifts)
	if f.pairs {
		data(&b, "words", words)
	} else if f.bits == 16 {
		data(&b, "high", bytesOf(0xffff0000, f.width))
	}
	for _, s := range f.shapes {
		k := &kernel{family: f, shape: s, out: &b}
		k.emitSparse()
	}
	return b.Bytes()
}

func bytesOf(word uint32, n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = word
	}
	return all
}

// data emits a constant that only this file sees.
func data(b *bytes.Buffer, name string, words []uint32) {
	fmt.Fprintln(b)
	for i, w := range words {
		fmt.Fprintf(b, "DATA %s<>+%d(SB)/4, $0x%08x\n", name, 4*i, w)
	}
	fmt.Fprintf(b, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n", name, 4*len(words))
}

// sparse names the registers beside the accumulators.
type sparse struct {
	x, t           string // a token's four inputs; picked ones
	first, second  string // controls of the shuffles
	w, w2          string // the weights kept first and second, or both in w
	shifts, extras string // constants; extras is what pairs look up, or the mask
}

func (k *kernel) sparseRegisters() sparse {
	n := k.tokens * k.parts()
	if k.vec == "Z" {
		return sparse{"Z24", "Z25", "Z26", "Z27", "Z28", "Z29", "Z30", "Z31"}
	}
	if k.tokens == 1 {
		return sparse{k.reg(n), k.reg(n + 1), k.reg(n + 2), k.reg(n + 2), k.reg(n + 3), k.reg(n + 3), "", ""}
	}
	// All that AVX2 has left: picked inputs replace the broadcast ones.
	return sparse{k.reg(n), k.reg(n), k.reg(n + 1), k.reg(n + 1), k.reg(n + 2), k.reg(n + 2), "", ""}
}

func (k *kernel) emitSparse() {
	fmt.Fprintf(k.out, "\n// func %s(%s)\nTEXT ·%s(SB), NOSPLIT, $0-56\n", k.fn(k.shape), params, k.fn(k.shape))
	k.p("MOVQ w+0(FP), BX")
	k.p("MOVQ wstride+8(FP), DX")
	k.p("MOVQ x+16(FP), DI")
	k.p("MOVQ k+24(FP), CX")
	if k.tiles > 2 {
		k.p("LEAQ (DX)(DX*2), R10")
	}
	r := k.sparseRegisters()
	if k.vec == "Z" {
		k.p("VMOVDQU64 shifts<>(SB), %s", r.shifts)
		if k.pairs {
			k.p("VMOVDQU64 words<>(SB), %s", r.extras)
		} else if k.bits == 16 {
			k.p("VMOVDQU64 high<>(SB), %s", r.extras)
		}
	}
	k.clear()
	k.p("TESTQ CX, CX")
	k.p("JZ done")
	k.p("LEAQ 7(CX), SI") // positions first, 8 bytes a group, padded to a cache line
	k.p("ANDQ $-8, SI")
	k.p("LEAQ (BX)(SI*8), SI")
	fmt.Fprint(k.out, "\nloop:\n")
	x := 16 // bytes of a token's four inputs
	if k.pairs {
		x = 8
	}
	if k.tokens == 1 {
		k.broadcast(0, r.x)
	}
	for part := range k.parts() {
		k.positions(part, r)
		switch {
		case k.pairs:
			k.sparsePairs(part, r)
		case k.vec == "Z":
			k.sparseWide(part, r)
		default:
			k.sparseNarrow(part, r)
		}
	}
	k.p("ADDQ $8, BX")
	k.p("ADDQ $%d, SI", 4*k.bits)
	k.p("ADDQ $%d, DI", x*k.tokens)
	k.p("DECQ CX")
	k.p("JNZ loop")
	fmt.Fprint(k.out, "\ndone:\n")
	k.store()
	k.p("VZEROUPPER")
	k.p("RET")
}

func (k *kernel) broadcast(token int, to string) {
	switch {
	case k.pairs:
		k.p("VPBROADCASTQ %d(DI), %s", 8*token, to)
	case k.vec == "Z":
		k.p("VBROADCASTF32X4 %d(DI), %s", 16*token, to)
	default:
		k.p("VBROADCASTF128 %d(DI), %s", 16*token, to)
	}
}

// positions makes the control of the first shuffle.
func (k *kernel) positions(part int, r sparse) {
	per := 16 / k.width
	index := [...]string{"", "(DX*1)", "(DX*2)", "(R10*1)"}[part/per]
	k.p("VPBROADCASTQ (BX)%s, %s", index, r.first)
	if k.vec == "Z" {
		k.p("VPSRLVD %s, %s, %s", r.shifts, r.first, r.first)
	} else {
		k.p("VPSRLVD shifts<>+%d(SB), %s, %s", 32*(part%per), r.first, r.first)
	}
}

// kept is the address of a part's weights: f32 has the first kept ones of a
// tile's rows and then the second, bf16 both in one lane.
func (k *kernel) kept(part, which int) string {
	if k.bits == 16 {
		return k.weights(part)
	}
	per := 16 / k.width
	index := [...]string{"", "(DX*1)", "(DX*2)", "(R10*1)"}[part/per]
	return fmt.Sprintf("%d(SI)%s", part%per*4*k.width+64*which, index)
}

// load puts a part's weights kept first (0) or second (1) into w as f32.
func (k *kernel) load(part, which int, r sparse, w string) {
	and, move, mask := "VPANDD", "VMOVDQU64", r.extras
	if k.vec == "Y" {
		and, move, mask = "VPAND", "VMOVDQU", "high<>(SB)"
	}
	switch {
	case k.bits == 32:
		k.p("VMOVUPS %s, %s", k.kept(part, which), w)
	case which == 0:
		k.p("%s %s, %s", move, k.kept(part, 0), w)
		k.p("VPSLLD $16, %s, %s", w, w)
	case k.vec == "Y":
		k.p("%s %s, %s", move, k.kept(part, 1), w)
		k.p("%s %s, %s, %s", and, mask, w, w)
	default:
		k.p("%s %s, %s, %s", and, k.kept(part, 1), mask, w)
	}
}

// sparsePairs: the positions look up the bytes of two bf16, and one shuffle and
// one VDPBF16PS do a group.
func (k *kernel) sparsePairs(part int, r sparse) {
	k.p("VPERMD %s, %s, %s", r.extras, r.first, r.first)
	k.p("VMOVDQU64 %s, %s", k.kept(part, 0), r.w)
	for i := range k.tokens {
		if k.tokens > 1 {
			k.broadcast(i, r.x)
		}
		k.p("VPSHUFB %s, %s, %s", r.first, r.x, r.t)
		k.dpbf16(i*k.parts()+part, number(r.w), number(r.t))
	}
}

func number(reg string) (n int) {
	fmt.Sscanf(reg[1:], "%d", &n)
	return n
}

// sparseWide has registers for both controls and both weights.
func (k *kernel) sparseWide(part int, r sparse) {
	k.p("VPSRLD $2, %s, %s", r.first, r.second)
	k.load(part, 0, r, r.w)
	k.load(part, 1, r, r.w2)
	for i := range k.tokens {
		if k.tokens > 1 {
			k.broadcast(i, r.x)
		}
		acc := k.acc(i, part)
		k.p("VPERMILPS %s, %s, %s", r.first, r.x, r.t)
		k.p("VFMADD231PS %s, %s, %s", r.t, r.w, acc)
		k.p("VPERMILPS %s, %s, %s", r.second, r.x, r.t)
		k.p("VFMADD231PS %s, %s, %s", r.t, r.w2, acc)
	}
}

// sparseNarrow does all tokens with the first, then with the second.
func (k *kernel) sparseNarrow(part int, r sparse) {
	for which := range 2 {
		if which == 1 {
			k.p("VPSRLD $2, %s, %s", r.first, r.second)
		}
		k.load(part, which, r, r.w)
		for i := range k.tokens {
			if k.tokens > 1 {
				k.broadcast(i, r.x)
			}
			k.p("VPERMILPS %s, %s, %s", r.first, r.x, r.t)
			k.p("VFMADD231PS %s, %s, %s", r.t, r.w, k.acc(i, part))
		}
	}
}
