package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Kernels on AMX tiles. Up to 16 tokens are an A tile, rows of bf16 as they lie;
// weight tiles are B tiles as they are packed; sums are C tiles.
//
//	T0, T1 sums of 16 tokens by two B tiles, T4 their activations
//	T2, T3 sums of the tokens from the 17th on, T5 their activations;
//	       or of the first 16 by two more B tiles
//	T6     weights
//
// Few tiles hold something at a time: four, or six where memory is waited for. A
// processor has more registers for tiles than there are names, and every tile that
// is written takes a free one. Where they are few, probably because the core's other
// thread has the rest, a product takes 45 cycles with eight tiles in use, and loads
// wait for it; with four it takes 16 (measured). A zeroed tile takes none.
//
// The Go assembler has none of the instructions: they are emitted as bytes.

// A tileKernel is being written.
type tileKernel struct {
	name   string
	kind   tileKind
	doc    string
	params string
	panel  bool // for many tokens, see panels
	out    bytes.Buffer
}

type tileKind int

const (
	tileDense  tileKind = iota // k steps of 32 inputs, and what remains
	tileSparse                 // the same of 2:4 weights, expanded into slots
	tileSum                    // pieces of 16 inputs
)

const (
	tileParams = "w *unsafe.Pointer, tiles, tokens int, x unsafe.Pointer, ldx, k int, y *float32, ldy, add int"
	sumParams  = "w *unsafe.Pointer, pieces, last, tiles, tokens int, x unsafe.Pointer, ldx int, y *float32, ldy, add int"
)

// Within the frame, from R15, a cache line's start: the tile configuration, the last
// inputs of 32 tokens, and tiles for weights on their way, of 2:4 ones of four steps.
const (
	tailRows = 64
	slots    = tailRows + 2*1024
	slotStep = 4 * 1024
	ring     = 4 * slotStep
	// Weights are read so many bytes ahead, into L1 and into L2.
	ahead, far = 2048, 8192
	// From so many steps on weights come from memory, which is read faster in four
	// places at once than in two.
	longSteps = 8
)

// frame is its size, with what aligns it and locals.
func (k *tileKernel) frame() int {
	size := slots + 1024
	switch {
	case k.panel && k.kind == tileSparse:
		size = panelSlots + 2*panelBytes
	case k.panel:
		size = panelSlots
	case k.kind == tileSparse:
		size = slots + ring
	}
	return size + 64 + 24
}

func tileKernels() []*tileKernel {
	return []*tileKernel{
		{name: "DenseBF16BF16AMX", kind: tileDense, params: tileParams,
			doc: "multiplies dense weight tiles, w[tiles], by up to 32 tokens;\n// k counts pairs of inputs. See ref.DenseBF16BF16"},
		{name: "SparseBF16BF16AMX", kind: tileSparse, params: tileParams,
			doc: "multiplies 2:4 weight tiles, w[tiles], by up to 32 tokens;\n// k counts groups of inputs. See ref.DenseBF16BF16 and SparseTile"},
		{name: "DensePanelBF16BF16AMX", kind: tileDense, panel: true, params: panelParams,
			doc: "multiplies dense weight tiles, w[tiles], by many tokens, best more than 16;\n// inputs are whole steps, of 32. sums, like y, has room for what is not yet summed up\n// if there are more than 8 steps; it may be y unless add is set. See ref.DenseBF16BF16"},
		{name: "SparsePanelBF16BF16AMX", kind: tileSparse, panel: true, params: panelParams,
			doc: "does so with 2:4 weight tiles. See DensePanelBF16BF16AMX and SparseTile"},
		{name: "SumBF16BF16AMX", kind: tileSum, params: sumParams,
			doc: "multiplies pieces of 16 inputs: of piece i tile t is at\n// w[i] + 512·t, and the last has so many pairs of inputs. See ref.SumBF16BF16"},
	}
}

func emitTiles() {
	var stubs bytes.Buffer
	fmt.Fprint(&stubs, header, "package amd64\n\nimport \"unsafe\"\n")
	for _, k := range tileKernels() {
		k.emit()
		write(strings.ToLower(snake(k.name))+"_amd64.s", k.out.Bytes())
		k.stub(&stubs, "AMX_TILE, AMX_BF16, AVX512F, AVX512BW")
	}
	emitDiagonals(&stubs)
	write("amx_amd64.go", stubs.Bytes())
}

// snake is the file of a kernel: dense_bf16bf16_amx.
func snake(name string) string {
	name, _ = strings.CutSuffix(name, "AMX")
	kind, types, _ := strings.Cut(name, "BF16")
	if kind, ok := strings.CutSuffix(kind, "Panel"); ok {
		return kind + "_panel_bf16" + types + "_amx"
	}
	return kind + "_bf16" + types + "_amx"
}

func (k *tileKernel) p(format string, args ...any) { fmt.Fprintf(&k.out, "\t"+format+"\n", args...) }
func (k *tileKernel) label(format string, args ...any) {
	fmt.Fprintf(&k.out, "\n"+format+":\n", args...)
}

var gprs = map[string]int{"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SI": 6, "DI": 7, "R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15}

// emitBytes writes an instruction and its name.
func (k *tileKernel) emitBytes(code []byte, format string, args ...any) {
	var parts []string
	for len(code) >= 4 {
		parts = append(parts, fmt.Sprintf("LONG $0x%02x%02x%02x%02x", code[3], code[2], code[1], code[0]))
		code = code[4:]
	}
	if len(code) >= 2 {
		parts = append(parts, fmt.Sprintf("WORD $0x%02x%02x", code[1], code[0]))
		code = code[2:]
	}
	if len(code) == 1 {
		parts = append(parts, fmt.Sprintf("BYTE $0x%02x", code[0]))
	}
	k.p("%s // %s", strings.Join(parts, "; "), fmt.Sprintf(format, args...))
}

// The prefixes that VEX folds in.
const (
	none = 0
	pF3  = 2
	pF2  = 3
)

// memory is VEX.128.pp.0F38.W0 opcode /reg with base + index + disp32.
func memory(pp, opcode byte, reg int, base, index string, disp int) []byte {
	b := gprs[base]
	i := 4 // no index
	if index != "" {
		i = gprs[index]
	}
	vex1 := byte(1<<7) | byte(^i>>3&1)<<6 | byte(^b>>3&1)<<5 | 2
	return []byte{0xc4, vex1, 0x78 | pp, opcode, byte(2<<6 | reg<<3 | 4), byte(i&7<<3 | b&7),
		byte(disp), byte(disp >> 8), byte(disp >> 16), byte(disp >> 24)}
}

func (k *tileKernel) load(tile int, base, index string, disp int) {
	k.emitBytes(memory(pF2, 0x4b, tile, base, index, disp), "TILELOADD %d(%s)(%s*1), T%d", disp, base, index, tile)
}

func (k *tileKernel) storeTile(tile int, base, index string, disp int) {
	k.emitBytes(memory(pF3, 0x4b, tile, base, index, disp), "TILESTORED T%d, %d(%s)(%s*1)", tile, disp, base, index)
}

func (k *tileKernel) zero(tile int) {
	k.emitBytes([]byte{0xc4, 0xe2, 0x78 | pF2, 0x49, byte(0xc0 | tile<<3)}, "TILEZERO T%d", tile)
}

// dot is VEX.128.F3.0F38.W0 5C: dst in reg, a in rm, b in vvvv.
func (k *tileKernel) dot(dst, a, b int) {
	k.emitBytes([]byte{0xc4, 0xe2, byte(^b&15<<3) | pF3, 0x5c, byte(0xc0 | dst<<3 | a)}, "TDPBF16PS T%d, T%d, T%d", b, a, dst)
}

// release is VEX.128.NP.0F38.W0 49 C0.
func (k *tileKernel) release() {
	k.emitBytes([]byte{0xc4, 0xe2, 0x78, 0x49, 0xc0}, "TILERELEASE")
}

// include begins the kernel's file.
func (k *tileKernel) include() { fmt.Fprint(&k.out, header, "#include \"textflag.h\"\n") }

// text begins the function.
func (k *tileKernel) text(frame int) {
	args := strings.Count(k.params, ",") + 1
	fmt.Fprintf(&k.out, "\n// func %s(%s)\nTEXT ·%s(SB), 0, $%d-%d\n", k.name, k.params, k.name, frame, 8*args)
}

// stub declares it.
func (k *tileKernel) stub(stubs *bytes.Buffer, needs string) {
	fmt.Fprintf(stubs, "\n// %s %s.\n// Needs %s.\n//\n//go:noescape\nfunc %s(%s)\n", k.name, k.doc, needs, k.name, k.params)
}

// wholeTiles is a configuration of seven tiles of 16 rows of 64 bytes: palette 1; bytes of
// a row, then rows.
func wholeTiles() []byte {
	cfg := make([]byte, 64)
	cfg[0] = 1
	for t := range 7 {
		cfg[16+2*t], cfg[48+t] = 64, 16
	}
	return cfg
}

func (k *tileKernel) config(cfg []byte) {
	words := make([]uint32, 16)
	for i, b := range cfg {
		words[i/4] |= uint32(b) << (i % 4 * 8)
	}
	data(&k.out, "config", words)
}

func (k *tileKernel) emit() {
	k.include()
	k.constants()
	k.text(k.frame())
	if k.panel {
		k.panels()
	} else {
		k.prologue()
		if k.kind != tileSum {
			k.shape(4, 1)
			k.label("pairs")
		}
		k.shape(2, 2)
		k.shape(1, 2)
	}
	k.label("done")
	k.release()
	k.p("VZEROUPPER")
	k.p("RET")
}

func (k *tileKernel) constants() {
	cfg := wholeTiles()
	if k.kind == tileSum {
		cfg[16+2*4], cfg[16+2*5], cfg[48+6] = 32, 32, 8
	}
	k.config(cfg)
	if k.kind == tileSparse {
		expansionData(&k.out)
	}
}

func expansionData(out *bytes.Buffer) {
	// For positions p: where the bytes of a pair of inputs come from, 0x80 is 0.
	var shifts, lanes, low, high []uint32
	for i := range uint32(16) {
		shifts = append(shifts, i/2*4)
		lanes = append(lanes, i%4*4*0x01010101)
		first, second := i&3, i>>2
		word := func(input uint32) uint32 {
			switch input {
			case first:
				return 0x0100
			case second:
				return 0x0302
			}
			return 0x8080
		}
		low = append(low, word(0)|word(1)<<16)
		high = append(high, word(2)|word(3)<<16)
	}
	data(out, "shifts", shifts)
	data(out, "lanes", lanes)
	data(out, "low", low)
	data(out, "high", high)
}

// beginFrame points R15 at the frame and puts the configuration there.
func (k *tileKernel) beginFrame() {
	k.p("LEAQ 63(SP), R15")
	k.p("ANDQ $-64, R15")
	k.p("VMOVDQU64 config<>(SB), Z0")
	k.p("VMOVDQU64 Z0, (R15)")
}

// tileDown sets to to 16 rows below from, rows being by apart.
func (k *tileKernel) tileDown(from, by, to string) {
	k.p("LEAQ (%s)(%s*8), %s", from, by, to)
	k.p("LEAQ (%s)(%s*8), %s", to, by, to)
}

// prologue configures the tiles and copies the last inputs, filled up with zeros.
func (k *tileKernel) prologue() {
	k.beginFrame()
	k.p("MOVQ tokens+%d(FP), R8", k.arg("tokens"))
	k.p("MOVQ R8, R9")
	k.p("SUBQ $16, R9")
	k.p("JGT two")
	k.p("MOVQ R8, R9")
	k.p("JMP rows")
	k.label("two")
	k.p("MOVQ $16, R8")
	k.label("rows")
	for t, r := range []string{"R8", "R8", "R9", "R9", "R8", "R9"} {
		k.p("MOVB %s, %d(R15)", r, 48+t)
	}
	k.emitBytes(memory(none, 0x49, 0, "R15", "", 0), "LDTILECFG (R15)")
	k.p("MOVQ x+%d(FP), DI", k.arg("x"))
	k.p("MOVQ ldx+%d(FP), BX", k.arg("ldx"))
	k.p("MOVQ y+%d(FP), R13", k.arg("y"))
	k.ldy()
	k.p("MOVQ $64, AX")
	if k.kind == tileSum {
		k.p("MOVQ $0, offset-8(SP)")
	}
	if k.kind == tileSparse {
		k.expansion()
	}
	if k.kind != tileSum {
		k.remainder("CX")
		k.p("JZ start")
		if k.kind == tileSparse {
			k.p("ADDQ CX, CX") // pairs
		}
		k.p("MOVQ $-1, DX")
		k.p("SHLQ CX, DX")
		k.p("NOTQ DX")
		k.p("KMOVW DX, K1")
		k.steps("DX")
		k.p("SHLQ $6, DX")
		k.p("ADDQ DI, DX")
		k.p("LEAQ %d(R15), R8", tailRows)
		k.p("MOVQ tokens+%d(FP), CX", k.arg("tokens"))
		k.label("tail")
		k.p("VMOVDQU32.Z (DX), K1, Z0")
		k.p("VMOVDQU64 Z0, (R8)")
		k.p("ADDQ BX, DX")
		k.p("ADDQ $64, R8")
		k.p("DECQ CX")
		k.p("JNZ tail")
	}
	k.label("start")
	if k.kind != tileSum {
		k.p("CMPQ tokens+%d(FP), $16", k.arg("tokens"))
		k.p("JGT pairs")
		k.p("CMPQ k+%d(FP), $%d", k.arg("k"), longSteps*k.perStep())
		k.p("JLT pairs")
	}
}

// ldy puts the bytes from a token's sums to the next's into R14.
func (k *tileKernel) ldy() {
	k.p("MOVQ ldy+%d(FP), R14", k.arg("ldy"))
	k.p("SHLQ $2, R14")
}

// arg is the offset of an argument.
func (k *tileKernel) arg(name string) int {
	at := 0
	for p := range strings.SplitSeq(k.params, ", ") {
		if first, _, _ := strings.Cut(p, " "); first == name {
			return at
		}
		at += 8
	}
	panic(name)
}

// remainder puts what is left of k after whole steps into reg, and sets the flags.
func (k *tileKernel) remainder(reg string) {
	k.p("MOVQ k+%d(FP), %s", k.arg("k"), reg)
	k.p("ANDQ $%d, %s", k.perStep()-1, reg)
}

// steps puts the whole steps into reg, and sets the flags.
func (k *tileKernel) steps(reg string) {
	k.p("MOVQ k+%d(FP), %s", k.arg("k"), reg)
	if k.kind == tileSparse {
		k.p("SHRQ $3, %s", reg)
	} else {
		k.p("SHRQ $4, %s", reg)
	}
}

func (k *tileKernel) perStep() int {
	if k.kind == tileSparse {
		return 8
	}
	return 16
}
