package main

import (
	"bytes"
	"fmt"
)

func (f *family) assembly() []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, header, "#include \"textflag.h\"\n")
	for _, s := range f.shapes {
		k := &kernel{family: f, shape: s, out: &b}
		k.emit()
	}
	return b.Bytes()
}

// A kernel is being written. Accumulators are the first registers, token-major:
// token i, part j (a register of rows) is i·parts+j.
type kernel struct {
	*family
	shape
	out *bytes.Buffer
}

func (k *kernel) p(format string, args ...any) { fmt.Fprintf(k.out, "\t"+format+"\n", args...) }
func (k *kernel) reg(n int) string             { return fmt.Sprintf("%s%d", k.vec, n) }
func (k *kernel) parts() int                   { return k.tiles * 16 / k.width }
func (k *kernel) acc(token, part int) string   { return k.reg(token*k.parts() + part) }

// mask is the register of 0xffff0000 lanes that keeps the second of a bf16 pair.
func (k *kernel) mask() string {
	if k.vec == "Z" {
		return "Z31"
	}
	return "Y15"
}

func (k *kernel) emit() {
	fmt.Fprintf(k.out, "\n// func %s(%s)\nTEXT ·%s(SB), NOSPLIT, $0-56\n", k.fn(k.shape), params, k.fn(k.shape))
	k.p("MOVQ w+0(FP), SI")
	k.p("MOVQ wstride+8(FP), DX")
	k.p("MOVQ x+16(FP), DI")
	k.p("MOVQ k+24(FP), CX")
	if k.tiles > 2 {
		k.p("LEAQ (DX)(DX*2), R10")
	}
	if k.bits == 16 && !k.pairs {
		k.p("MOVL $0xffff0000, AX")
		k.p("VMOVD AX, X15")
		if k.vec == "Z" {
			k.p("VPBROADCASTD X15, %s", k.mask())
		} else {
			k.p("VPBROADCASTD X15, Y15")
		}
	}
	k.clear()
	k.p("TESTQ CX, CX")
	k.p("JZ done")
	if k.bits < 16 { // scales first, 32 bytes a group, padded to a cache line
		k.p("MOVQ SI, BX")
		k.p("LEAQ 1(CX), AX")
		k.p("ANDQ $-2, AX")
		k.p("SHLQ $5, AX")
		k.p("ADDQ AX, SI")
	}
	fmt.Fprint(k.out, "\nloop:\n")
	switch {
	case k.pairs:
		k.stepPairs()
	case k.bits == 16:
		k.stepWide()
	case k.bits < 16:
		k.group()
	default:
		k.stepF32()
	}
	fmt.Fprint(k.out, "\ndone:\n")
	k.store()
	k.p("VZEROUPPER")
	k.p("RET")
}

// clear zeroes the accumulators.
func (k *kernel) clear() {
	for i := range k.tokens * k.parts() {
		if k.vec == "Z" {
			k.p("VPXORD Z%d, Z%d, Z%d", i, i, i)
		} else {
			k.p("VPXOR Y%d, Y%d, Y%d", i, i, i)
		}
	}
}

// weights is the address of a part: tiles lie wstride apart, the registers of
// one tile 4·width bytes apart.
func (k *kernel) weights(part int) string {
	per := 16 / k.width
	index := [...]string{"", "(DX*1)", "(DX*2)", "(R10*1)"}[part/per]
	return fmt.Sprintf("%d(SI)%s", part%per*4*k.width, index)
}

// scales is the address of a part's scales, f16.
func (k *kernel) scales(part int) string {
	per := 16 / k.width
	index := [...]string{"", "(DX*1)", "(DX*2)", "(R10*1)"}[part/per]
	return fmt.Sprintf("%d(BX)%s", part%per*2*k.width, index)
}

func (k *kernel) next(x int) {
	k.p("ADDQ $64, SI")
	k.p("ADDQ $%d, DI", x)
	k.p("DECQ CX")
	k.p("JNZ loop")
}

// stepPairs: two inputs a step, VDPBF16PS.
func (k *kernel) stepPairs() {
	w0, b0 := k.tokens*k.parts(), k.tokens*k.parts()+k.parts()
	for j := range k.parts() {
		k.p("VMOVDQU64 %s, Z%d", k.weights(j), w0+j)
	}
	for i := range k.tokens {
		b := b0 + i%min(4, 32-b0)
		k.p("VPBROADCASTD %d(DI), Z%d", 4*i, b)
		for j := range k.parts() {
			k.dpbf16(i*k.parts()+j, w0+j, b)
		}
	}
	k.next(4 * k.tokens)
}

// dpbf16 emits VDPBF16PS, which the Go assembler does not know:
// EVEX.512.F3.0F38.W0 52 /r, dst in reg, a in vvvv, b in rm.
func (k *kernel) dpbf16(dst, a, b int) {
	bit := func(n, i int) byte { return byte(^n >> i & 1) } // EVEX keeps these inverted
	p0 := bit(dst, 3)<<7 | bit(b, 4)<<6 | bit(b, 3)<<5 | bit(dst, 4)<<4 | 2
	p1 := byte(^a&15)<<3 | 1<<2 | 2
	p2 := byte(2<<5) | bit(a, 4)<<3
	modrm := byte(3<<6 | dst&7<<3 | b&7)
	k.p("LONG $0x%02x%02x%02x62; WORD $0x%02x52 // VDPBF16PS Z%d, Z%d, Z%d", p2, p1, p0, modrm, b, a, dst)
}

// stepWide: two inputs a step. A pair of bf16 is one f32 lane twice: shifted up
// it is the first input, masked the second.
func (k *kernel) stepWide() {
	n := k.tokens * k.parts()
	and := "VPAND"
	load := "VMOVDQU"
	if k.vec == "Z" {
		and, load = "VPANDD", "VMOVDQU64"
	}
	if k.tokens == 1 { // one pass over the weights, both inputs' broadcasts held
		x0, x1, raw, tmp := n, n+1, n+2, n+3
		k.p("VBROADCASTSS (DI), %s", k.reg(x0))
		k.p("VBROADCASTSS 4(DI), %s", k.reg(x1))
		for j := range k.parts() {
			k.p("%s %s, %s", load, k.weights(j), k.reg(raw))
			k.p("VPSLLD $16, %s, %s", k.reg(raw), k.reg(tmp))
			k.p("VFMADD231PS %s, %s, %s", k.reg(x0), k.reg(tmp), k.acc(0, j))
			k.p("%s %s, %s, %s", and, k.mask(), k.reg(raw), k.reg(raw))
			k.p("VFMADD231PS %s, %s, %s", k.reg(x1), k.reg(raw), k.acc(0, j))
		}
		k.next(8)
		return
	}
	for half := range 2 {
		for j := range k.parts() {
			w := k.reg(n + j)
			if half == 0 {
				k.p("%s %s, %s", load, k.weights(j), w)
				k.p("VPSLLD $16, %s, %s", w, w)
			} else {
				k.p("%s %s, %s, %s", and, k.weights(j), k.mask(), w)
			}
		}
		k.tokensF32(n, half*4*k.tokens)
	}
	k.next(8 * k.tokens)
}

// stepF32: one input a step.
func (k *kernel) stepF32() {
	n := k.tokens * k.parts()
	if k.tokens == 1 { // each weight is used once: straight from memory
		k.p("VBROADCASTSS (DI), %s", k.reg(n))
		for j := range k.parts() {
			k.p("VFMADD231PS %s, %s, %s", k.weights(j), k.reg(n), k.acc(0, j))
		}
		k.next(4)
		return
	}
	for j := range k.parts() {
		k.p("VMOVUPS %s, %s", k.weights(j), k.reg(n+j))
	}
	k.tokensF32(n, 0)
	k.next(4 * k.tokens)
}

// group: 32 inputs a step, of 16 rows each a dword at a time. A code is moved to
// the top of its lane and back, so that its sign fills it, and multiplied by its
// scale before the product: the sums are those of the dequantized weights.
func (k *kernel) group() {
	n, per := k.tokens*k.parts(), 32/k.bits
	load := "VMOVDQU"
	if k.vec == "Z" {
		load = "VMOVDQU64"
	}
	// With registers to spare scales and codes stay in them; AVX2 has none.
	spare := k.vec == "Z"
	parts, at := k.parts(), n+k.parts()
	if k.vec == "Y" && k.tokens == 1 {
		parts = 0 // part by part
	}
	if spare {
		for j := range parts {
			k.p("VCVTPH2PS %s, %s", k.scales(j), k.reg(at+j))
		}
	}
	k.p("MOVQ $%d, AX", 32/per)
	fmt.Fprint(k.out, "\nword:\n")
	if spare {
		for j := range parts {
			k.p("%s %s, %s", load, k.weights(j), k.reg(at+parts+j))
		}
	}
	for code := range per {
		x := 4 * k.tokens * code
		if parts == 0 {
			k.codesAVX2(code, x)
			continue
		}
		for j := range parts {
			w, raw := k.reg(n+j), k.reg(at+parts+j)
			if !spare {
				k.p("%s %s, %s", load, k.weights(j), w)
				raw = w
			}
			k.extend(code, raw, w)
			if spare {
				k.p("VMULPS %s, %s, %s", k.reg(at+j), w, w)
			} else {
				k.p("VCVTPH2PS %s, %s", k.scales(j), k.reg(14))
				k.p("VMULPS %s, %s, %s", k.reg(14), w, w)
			}
		}
		k.tokensF32(n, x)
	}
	k.p("ADDQ $64, SI")
	k.p("ADDQ $%d, DI", 4*per*k.tokens)
	k.p("DECQ AX")
	k.p("JNZ word")
	k.p("ADDQ $32, BX")
	k.p("DECQ CX")
	k.p("JNZ loop")
}

// codesAVX2 is one code of one token, with eight parts and two registers.
func (k *kernel) codesAVX2(code, x int) {
	n := k.parts()
	w, b, s := k.reg(n), k.reg(n+1), k.reg(n+2)
	k.p("VBROADCASTSS %d(DI), %s", x, b)
	for j := range n {
		k.p("VMOVDQU %s, %s", k.weights(j), w)
		k.extend(code, w, w)
		k.p("VCVTPH2PS %s, %s", k.scales(j), s)
		k.p("VMULPS %s, %s, %s", s, w, w)
		k.p("VFMADD231PS %s, %s, %s", b, w, k.acc(0, j))
	}
}

// extend makes the code at place of each lane a float.
func (k *kernel) extend(code int, raw, w string) {
	if up := 32 - k.bits*(code+1); up > 0 {
		k.p("VPSLLD $%d, %s, %s", up, raw, w)
		raw = w
	}
	k.p("VPSRAD $%d, %s, %s", 32-k.bits, raw, w)
	k.p("VCVTDQ2PS %s, %s", w, w)
}

// tokensF32 multiplies the weights in registers w… with each token's broadcast.
func (k *kernel) tokensF32(w, off int) {
	b0, last := w+k.parts(), 16
	if k.bits < 16 && k.vec == "Z" {
		b0 += 2 * k.parts() // scales and codes
	}
	if k.vec == "Z" {
		last = 32
	}
	if k.bits == 16 {
		last-- // the mask
	}
	for i := range k.tokens {
		b := b0 + i%min(4, last-b0)
		k.p("VBROADCASTSS %d(DI), %s", off+4*i, k.reg(b))
		for j := range k.parts() {
			k.p("VFMADD231PS %s, %s, %s", k.reg(b), k.reg(w+j), k.acc(i, j))
		}
	}
}

func (k *kernel) store() {
	k.p("MOVQ y+32(FP), R8")
	k.p("MOVQ ldy+40(FP), R9")
	k.p("SHLQ $2, R9")
	k.p("CMPQ add+48(FP), $0")
	k.p("JEQ store")
	k.p("MOVQ R8, R11")
	for i := range k.tokens {
		for j := range k.parts() {
			k.p("VADDPS %d(R11), %s, %s", 4*k.width*j, k.acc(i, j), k.acc(i, j))
		}
		if i < k.tokens-1 {
			k.p("ADDQ R9, R11")
		}
	}
	fmt.Fprint(k.out, "\nstore:\n")
	for i := range k.tokens {
		for j := range k.parts() {
			k.p("VMOVUPS %s, %d(R8)", k.acc(i, j), 4*k.width*j)
		}
		if i < k.tokens-1 {
			k.p("ADDQ R9, R8")
		}
	}
}
