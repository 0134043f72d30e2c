package main

import "fmt"

const expandParams = "dst, w unsafe.Pointer, k int"

// expand is the expansion alone: a tile into memory.
func (k *tileKernel) expand() {
	fmt.Fprintf(&k.out, "\n// func ExpandBF16AVX512(%s)\nTEXT ·ExpandBF16AVX512(SB), NOSPLIT, $0-24\n", expandParams)
	k.p("MOVQ dst+0(FP), DI")
	k.p("MOVQ w+8(FP), R8")
	k.p("MOVQ k+16(FP), CX")
	k.expansion()
	k.p("LEAQ 7(CX), R9")
	k.p("ANDQ $-8, R9")
	k.p("LEAQ (R8)(R9*8), R9")
	k.p("SUBQ $4, CX")
	k.p("JLT rest")
	k.label("four")
	for g := range 4 {
		k.p("PREFETCHT0 %d(R9)", ahead/2+64*g)
	}
	k.p("PREFETCHT0 %d(R8)", ahead/16)
	for g := range 4 {
		k.group("R8", 8*g, "R9", 64*g, "DI", 128*g, g)
	}
	k.p("ADDQ $32, R8")
	k.p("ADDQ $256, R9")
	k.p("ADDQ $512, DI")
	k.p("SUBQ $4, CX")
	k.p("JGE four")
	k.label("rest")
	k.p("ADDQ $4, CX")
	k.p("JZ expanded")
	k.label("one")
	k.group("R8", 0, "R9", 0, "DI", 0, 0)
	k.p("ADDQ $8, R8")
	k.p("ADDQ $64, R9")
	k.p("ADDQ $128, DI")
	k.p("DECQ CX")
	k.p("JNZ one")
	k.label("expanded")
	k.p("VZEROUPPER")
	k.p("RET")
}

// expansion puts its constants into registers.
func (k *tileKernel) expansion() {
	k.p("VMOVDQU64 shifts<>(SB), Z31")
	k.p("VMOVDQU64 lanes<>(SB), Z30")
	k.p("VMOVDQU64 low<>(SB), Z29")
	k.p("VMOVDQU64 high<>(SB), Z28")
}

// group expands four inputs of 16 rows, two lines.
func (k *tileKernel) group(positions string, p int, values string, v int, to string, at, n int) {
	t, lo, hi, w := 4*n, 4*n+1, 4*n+2, 4*n+3
	k.p("VPBROADCASTQ %d(%s), Z%d", p, positions, t)
	k.p("VPSRLVD Z31, Z%d, Z%d", t, t)
	k.p("VPERMD Z29, Z%d, Z%d", t, lo)
	k.p("VPERMD Z28, Z%d, Z%d", t, hi)
	k.p("VPORD Z30, Z%d, Z%d", lo, lo)
	k.p("VPORD Z30, Z%d, Z%d", hi, hi)
	k.p("VMOVDQU64 %d(%s), Z%d", v, values, w)
	k.p("VPSHUFB Z%d, Z%d, Z%d", lo, w, lo)
	k.p("VPSHUFB Z%d, Z%d, Z%d", hi, w, hi)
	k.p("VMOVDQU64 Z%d, %d(%s)", lo, at, to)
	k.p("VMOVDQU64 Z%d, %d(%s)", hi, at+64, to)
}
