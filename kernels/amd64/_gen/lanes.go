package main

import (
	"bytes"
	"fmt"
)

// Kernels of 2:4 weights with tokens in the lanes. A weight that is kept is
// broadcast, and its position is the address of the inputs that it multiplies:
// nothing is shuffled. Layouts and order of sums: ref.Lanes.

// lanesGroups are the groups of four inputs that one call multiplies at most,
// whose activations stay in L1.
const lanesGroups = 16

// A lanesShape is vectors of 16 tokens, and rows that are summed at once.
type lanesShape struct{ vectors, rows int }

var (
	lanes512 = []lanesShape{{1, 4}, {2, 4}, {3, 4}, {4, 2}, {6, 2}}
	lanes256 = []lanesShape{{1, 4}, {2, 2}, {3, 2}, {4, 1}, {6, 1}}
)

// lanesFamily is family of these kernels.
type lanesFamily struct {
	file, name string
	vec        string
	width      int
	bits       int
	pairs      bool
	shapes     []lanesShape
	guard, isa string
}

var lanesFamilies = []lanesFamily{
	{"lanes_bf16bf16_avx512bf16_amd64", "LanesBF16BF16AVX512BF16", "Z", 16, 16, true, lanes512[:4], "AVX512F, AVX512_BF16, BMI2", "avx512bf16"},
	{"lanes_bf16f32_avx512_amd64", "LanesBF16F32AVX512", "Z", 16, 16, false, lanes512, "AVX512F, BMI2", "avx512"},
	{"lanes_f32f32_avx512_amd64", "LanesF32F32AVX512", "Z", 16, 32, false, lanes512, "AVX512F, BMI2", "avx512"},
	{"lanes_bf16f32_avx2_amd64", "LanesBF16F32AVX2", "Y", 8, 16, false, lanes256, "AVX2, FMA, BMI2", "avx2"},
	{"lanes_f32f32_avx2_amd64", "LanesF32F32AVX2", "Y", 8, 32, false, lanes256, "AVX2, FMA, BMI2", "avx2"},
}

const lanesParams = "w unsafe.Pointer, wstride, values int, x unsafe.Pointer, k, tiles int, y *float32, add int"

func (f *lanesFamily) fn(s lanesShape) string { return fmt.Sprintf("%sV%d", f.name, s.vectors) }

func emitLanes() {
	var stubs, list bytes.Buffer
	fmt.Fprint(&stubs, header, "package amd64\n\nimport \"unsafe\"\n")
	fmt.Fprintf(&list, "%spackage amd64\n\nvar lanesKernels = []lanesKernel{\n", header)
	for _, f := range lanesFamilies {
		write(f.file+".s", f.assembly())
		fmt.Fprintf(&stubs, "\n// %s runs the kernel of so many vectors of 16 tokens, which must exist.\n", f.name)
		fmt.Fprintf(&stubs, "func %s(vectors int, %s) {\n\tswitch vectors {\n", f.name, lanesParams)
		for _, s := range f.shapes {
			fmt.Fprintf(&stubs, "\tcase %d:\n\t\t%s(w, wstride, values, x, k, tiles, y, add)\n", s.vectors, f.fn(s))
			fmt.Fprintf(&list, "\t{%q, %q, %d, %v, %d, %s},\n", f.fn(s), f.isa, f.bits, f.pairs, s.vectors, f.fn(s))
		}
		fmt.Fprint(&stubs, "\tdefault:\n\t\tpanic(\"amd64: no such vectors\")\n\t}\n}\n")
		for _, s := range f.shapes {
			fmt.Fprintf(&stubs, "\n// %s is for %d tokens; layouts: ref.Lanes. Needs %s.\n//\n//go:noescape\nfunc %s(%s)\n",
				f.fn(s), 16*s.vectors, f.guard, f.fn(s), lanesParams)
		}
		if f.pairs {
			fmt.Fprintf(&stubs, "\n// %s\n//\n//go:noescape\nfunc %s(%s)\n", pairsDoc, pairsName, pairsParams)
		}
	}
	fmt.Fprint(&list, "}\n")
	write("lanes_amd64.go", stubs.Bytes())
	write("lanes_table_amd64_test.go", list.Bytes())
}

func (f *lanesFamily) assembly() []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, header, "#include \"textflag.h\"\n")
	if f.pairs {
		var offsets [16]uint32 // of the vector of a pair, by its positions
		for i, p := range [...][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}} {
			offsets[p[0]|p[1]<<2] = 64 * uint32(i)
		}
		data(&b, "offsets", offsets[:])
	}
	for _, s := range f.shapes {
		k := &lanes{lanesFamily: f, lanesShape: s, kernel: kernel{out: &b}}
		k.emit()
	}
	if f.pairs {
		emitPairs(&b)
	}
	return b.Bytes()
}

// lanes is a kernel being written. Accumulators are the first registers: vector
// v of row i is i·parts+v.
//
// BX positions of the tile   R11 of the group   CX 4·(row/2), what they are shifted by
// R13 values of the row      SI of the group    DI activations of the group
// R10 groups left            R12 sums           R8 address of first inputs, R9 … of second
type lanes struct {
	*lanesFamily
	lanesShape
	kernel
}

var lanesSecond = [...]string{"R9", "AX", "DX", "R15"}

func (k *lanes) vreg(n int) string       { return fmt.Sprintf("%s%d", k.vec, n) }
func (k *lanes) vparts() int             { return k.vectors * 16 / k.width }
func (k *lanes) vacc(row, v int) string  { return k.vreg(row*k.vparts() + v) }
func (k *lanes) weight(row, n int) int   { return k.lanesShape.rows*k.vparts() + (2*row+n)%k.spare() }
func (k *lanes) lanesMask() string       { return k.vreg(k.registers() - 1) }
func (k *lanes) registers() int          { return map[string]int{"Z": 32, "Y": 16}[k.vec] }
func (k *lanes) spare() int              { return min(8, k.registers()-1-k.lanesShape.rows*k.vparts()) }
func (k *lanes) inputs(v int) (disp int) { return v*k.width/16*lanesGroups*k.group() + v*k.width%16*4 }

// group is the bytes of a group's activations of 16 tokens.
func (k *lanes) group() int {
	if k.pairs {
		return 6 * 64
	}
	return 4 * 64
}

func (k *lanes) emit() {
	name := k.fn(k.lanesShape)
	fmt.Fprintf(k.out, "\n// func %s(%s)\nTEXT ·%s(SB), NOSPLIT, $8-64\n", name, lanesParams, name)
	k.p("MOVQ w+0(FP), BX")
	k.p("MOVQ tiles+40(FP), AX")
	k.p("MOVQ AX, left-8(SP)")
	k.p("MOVQ y+48(FP), R12")
	if k.pairs {
		k.p("LEAQ offsets<>(SB), R9")
	} else if k.bits == 16 {
		k.p("MOVL $0xffff0000, AX")
		k.p("VMOVD AX, X15")
		k.p("VPBROADCASTD X15, %s", k.lanesMask())
	}
	fmt.Fprint(k.out, "\ntile:\n")
	k.p("XORL CX, CX")
	k.p("MOVQ values+16(FP), R13")
	k.p("ADDQ BX, R13")
	k.p("MOVQ wstride+8(FP), R8")
	k.p("PREFETCHT0 (BX)(R8*1)")
	k.p("PREFETCHT0 64(BX)(R8*1)")
	fmt.Fprint(k.out, "\nrows:\n")
	k.prefetch()
	for copy := range max(1, 2/k.lanesShape.rows) {
		k.rowsOf(copy)
	}
	k.p("ADDQ $%d, CX", 4*max(1, k.lanesShape.rows/2))
	k.p("CMPQ CX, $32")
	k.p("JLT rows")
	k.p("ADDQ wstride+8(FP), BX")
	k.p("DECQ left-8(SP)")
	k.p("JNZ tile")
	k.p("VZEROUPPER")
	k.p("RET")
}

// prefetch asks for what of the next tile lies where this one has the values that
// these rows, 2 or 4, would have if a row's lay together; and, in the first tiles,
// for as much of the next piece of activations.
func (k *lanes) prefetch() {
	rows := max(2, k.lanesShape.rows)
	k.p("MOVQ wstride+8(FP), R8")
	k.p("ADDQ values+16(FP), R8")
	k.p("ADDQ BX, R8")
	k.p("MOVQ CX, AX")
	k.p("SHLQ $%d, AX", map[int]int{32: 6, 16: 5}[k.bits])
	k.p("ADDQ AX, R8")
	for line := 0; line < lanesGroups*k.bits*4*rows/16; line += 64 {
		k.p("PREFETCHT0 %d(R8)", line)
	}
	k.p("MOVQ tiles+40(FP), AX")
	k.p("SUBQ left-8(SP), AX")
	k.p("SHLQ $5, AX")
	k.p("ADDQ CX, AX")
	k.p("SHLQ $6, AX")
	piece := k.vectors * lanesGroups * k.group()
	k.p("CMPQ AX, $%d", piece)
	k.p("JGE asked")
	k.p("ADDQ x+24(FP), AX")
	for line := 0; line < 128*rows; line += 64 {
		k.p("PREFETCHT1 %d(AX)", piece+line)
	}
	fmt.Fprint(k.out, "\nasked:\n")
}

// rowsOf sums the rows that share a shift, or of a copy of one row the even (0)
// or the odd (1).
func (k *lanes) rowsOf(copy int) {
	n := k.lanesShape.rows * k.vparts()
	k.p("CMPQ add+56(FP), $0")
	k.p("JNE sums%d", copy)
	for i := range n {
		if k.vec == "Z" {
			k.p("VPXORD Z%d, Z%d, Z%d", i, i, i)
		} else {
			k.p("VPXOR Y%d, Y%d, Y%d", i, i, i)
		}
	}
	k.p("JMP start%d", copy)
	fmt.Fprintf(k.out, "\nsums%d:\n", copy)
	for i := range n {
		k.p("VMOVUPS %d(R12), %s", 4*k.width*i, k.vreg(i))
	}
	fmt.Fprintf(k.out, "\nstart%d:\n", copy)
	k.p("MOVQ R13, SI")
	k.p("MOVQ BX, R11")
	k.p("MOVQ x+24(FP), DI")
	k.p("MOVQ k+32(FP), R10")
	fmt.Fprintf(k.out, "\nloop%d:\n", copy)
	for i := range k.lanesShape.rows {
		if k.pairs {
			k.pair(i, copy+i)
		} else {
			k.first(i, copy+i)
		}
	}
	if !k.pairs {
		for i := range k.lanesShape.rows {
			k.broadcastKept(i, 1)
			k.multiply(i, 1, lanesSecond[i])
		}
	}
	k.p("ADDQ $8, R11")
	k.p("ADDQ $%d, SI", 4*k.bits)
	k.p("ADDQ $%d, DI", k.group())
	k.p("DECQ R10")
	k.p("JNZ loop%d", copy)
	for i := range n {
		k.p("VMOVUPS %s, %d(R12)", k.vreg(i), 4*k.width*i)
	}
	k.p("ADDQ $%d, R12", 4*k.width*n)
	k.p("ADDQ $%d, R13", 4*k.lanesShape.rows)
}

// first multiplies the weight that a row keeps first, and leaves the address of
// the inputs for the second. row is its place among those that share a shift.
func (k *lanes) first(i, row int) {
	second := lanesSecond[i]
	k.broadcastKept(i, 0)
	k.p("MOVL %d(R11), R8", row%2*4)
	k.p("SHLQ $%d, R8", 6-row/2*4)
	k.p("SHRXQ CX, R8, R8") // bits 6 and 7 are the first, 8 and 9 the second
	k.p("RORXQ $2, R8, %s", second)
	k.p("ANDL $0xc0, R8")
	k.p("ANDL $0xc0, %s", second)
	k.p("ADDQ DI, R8")
	k.p("ADDQ DI, %s", second)
	k.multiply(i, 0, "R8")
}

// broadcastKept broadcasts the weight of row i kept first (0) or second (1).
func (k *lanes) broadcastKept(i, which int) {
	w, from := k.vreg(k.weight(i, which)), fmt.Sprintf("%d(SI)", 4*i)
	switch {
	case k.bits == 32:
		k.p("VBROADCASTSS %d(SI), %s", 64*which+4*i, w)
	case k.vec == "Z" && which == 0:
		k.p("VPSLLD.BCST $16, %s, %s", from, w)
	case k.vec == "Z":
		k.p("VPANDD.BCST %s, %s, %s", from, k.lanesMask(), w)
	case which == 0:
		k.p("VPBROADCASTD %s, %s", from, w)
		k.p("VPSLLD $16, %s, %s", w, w)
	default:
		k.p("VPBROADCASTD %s, %s", from, w)
		k.p("VPAND %s, %s, %s", k.lanesMask(), w, w)
	}
}

func (k *lanes) multiply(i, which int, address string) {
	for v := range k.vparts() {
		k.p("VFMADD231PS %d(%s), %s, %s", k.inputs(v), address, k.vreg(k.weight(i, which)), k.vacc(i, v))
	}
}

// pair multiplies both weights that a row keeps.
func (k *lanes) pair(i, row int) {
	w := k.weight(i, 0)
	k.p("VPBROADCASTD %d(SI), Z%d", 4*i, w)
	k.p("MOVL %d(R11), R8", row%2*4)
	if row > 1 {
		k.p("SHRL $%d, R8", row/2*4)
	}
	k.p("SHRXL CX, R8, R8")
	k.p("ANDL $15, R8")
	k.p("MOVL (R9)(R8*4), R8")
	k.p("ADDQ DI, R8")
	for v := range k.vparts() {
		k.dpbf16At(i*k.vparts()+v, w, k.inputs(v))
	}
}

// dpbf16At is dpbf16 of what lies disp bytes from R8 on.
func (k *lanes) dpbf16At(dst, a, disp int) {
	bit := func(n, i int) byte { return byte(^n >> i & 1) }
	p0 := bit(dst, 3)<<7 | 1<<6 | bit(dst, 4)<<4 | 2 // R8's bit is 0, inverted
	p1 := byte(^a&15)<<3 | 1<<2 | 2
	p2 := byte(2<<5) | bit(a, 4)<<3
	modrm := byte(2<<6 | dst&7<<3)
	k.p("LONG $0x%02x%02x%02x62; WORD $0x%02x52; LONG $0x%08x // VDPBF16PS %d(R8), Z%d, Z%d", p2, p1, p0, modrm, uint32(disp), disp, a, dst)
}

const (
	pairsName   = "LanesPairsAVX512"
	pairsParams = "dst, src unsafe.Pointer, k int"
	pairsDoc    = pairsName + " makes of k groups' inputs, src[2·k][16] pairs, all their pairs, dst[k][6][16],\n// see ref.Lanes. Needs AVX512F."
)

// emitPairs: each pair is the low or high half of one dword and of another.
func emitPairs(b *bytes.Buffer) {
	k := &kernel{out: b}
	fmt.Fprintf(b, "\n// func %s(%s)\nTEXT ·%s(SB), NOSPLIT, $0-24\n", pairsName, pairsParams, pairsName)
	k.p("MOVQ dst+0(FP), DI")
	k.p("MOVQ src+8(FP), SI")
	k.p("MOVQ k+16(FP), CX")
	k.p("MOVL $0xffff0000, AX")
	k.p("VPBROADCASTD AX, Z15")
	fmt.Fprint(b, "\nloop:\n")
	k.p("VMOVDQU64 (SI), Z0") // inputs 0 and 1
	k.p("VMOVDQU64 64(SI), Z1")
	k.p("VPSRLD $16, Z0, Z2")    // 1 below
	k.p("VPANDND Z0, Z15, Z3")   // 0 below
	k.p("VPSLLD $16, Z1, Z4")    // 2 above
	k.p("VPANDD Z1, Z15, Z5")    // 3 above
	k.p("VMOVDQU64 Z0, (DI)")    // 0 1
	k.p("VMOVDQU64 Z1, 320(DI)") // 2 3
	for i, p := range [][2]int{{3, 4}, {3, 5}, {2, 4}, {2, 5}} {
		k.p("VPORD Z%d, Z%d, Z6", p[0], p[1])
		k.p("VMOVDQU64 Z6, %d(DI)", 64*(i+1))
	}
	k.p("ADDQ $128, SI")
	k.p("ADDQ $384, DI")
	k.p("DECQ CX")
	k.p("JNZ loop")
	k.p("VZEROUPPER")
	k.p("RET")
}
