//go:build amd64 && !noasm

package amd64

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sets are what a processor has where the kernels with this in their names run: see
// kernels.BestISA, and hasVNNI there. BMI2 comes with BMI1, AVX2 with POPCNT.
var sets = map[string]string{
	"AVX2":       "AVX2 FMA F16C BMI",
	"AVX512":     "AVX2 FMA F16C BMI F VL BW DQ",
	"AVX512VNNI": "AVX2 FMA F16C BMI F VL BW DQ VNNI VBMI",
	"AVX512BF16": "AVX2 FMA F16C BMI F VL BW DQ BF16",
	"AMX":        "AVX2 FMA F16C BMI F VL BW DQ VNNI VBMI BF16 AMX",
	"":           "", // any processor of 64 bits
}

var setName = regexp.MustCompile(`(AVX512BF16|AVX512VNNI|AVX512|AVX2|AMX)(?:B\d+)?(?:R\d+M\d+|V\d+)?$`)

// setOf is the instruction set that a function's or a file's name ends with.
func setOf(name string) string {
	if m := setName.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// instructions says what each needs, "" what all have. Those that AVX2 or F have in
// registers of less than 512 bits, too, are of both.
var instructions = func() map[string]string {
	of := map[string]string{}
	for needs, names := range map[string]string{
		"": `ADDL ADDQ ANDL ANDQ BSFL BSFQ CMOVLEQ CMOVQEQ CMOVQGT CMOVQLE CMOVQLT CMPL CMPQ DECL DECQ DIVQ IMUL3Q IMULL
			IMULQ INCQ JA JAE JB JBE JE JEQ JG JGE JGT JHI JLE JLO JLS JLT JMP JNE JNZ JZ LEAQ MOVB MOVBLSX MOVBLZX MOVL
			MOVQ MOVW MOVWLZX NEGQ NOTQ ORQ PAUSE PREFETCHT0 PREFETCHT1 PREFETCHNTA RET SETNE SHLL SHLQ SHRL SHRQ SUBL SUBQ
			TESTL TESTQ XCHGQ XORL XORQ`,
		"BMI": "POPCNTL RORXQ SHRXL SHRXQ TZCNTL",
		// With AVX-512, F has them in 512 bits.
		"AVX2|F": `VADDPD VADDPS VADDSD VADDSS VBROADCASTSD VBROADCASTSS VCMPPS VCVTDQ2PS VCVTPS2DQ VCVTPS2PD VCVTSS2SI
			VDIVPS VDIVSS VEXTRACTPS VMAXPS VMAXSS VMINPS VMOVAPS VMOVD VMOVHLPS VMOVHPS VMOVLPS VMOVQ VMOVSD VMOVSHDUP
			VMOVSS VMOVUPS VMULPS VMULSS VPADDD VPBROADCASTD VPBROADCASTQ VPCMPEQD VPCMPEQQ VPCMPGTD VPERMD VPERMILPS VPERMPS
			VPERMQ VPMAXSD VPMAXUD VPMOVSXBD VPMOVZXBD VPMOVZXBQ VPMOVZXWD VPSHUFD VPSLLD VPSRAD VPSRLD VPSRLVD VPSUBD
			VPUNPCKLDQ VSQRTPS VSHUFPS VSUBPS VUNPCKHPD VUNPCKHPS VUNPCKLPD VUNPCKLPS`,
		"AVX2|BW": `VPABSB VPACKSSDW VPACKSSWB VPACKUSDW VPADDB VPADDW VPBROADCASTB VPEXTRW VPMADDUBSW VPMADDWD VPSHUFB
			VPSLLW VPSRAW VPSRLW VPSUBW`,
		"AVX2|DQ": "VANDPD VANDPS VORPS VXORPD VXORPS",
		"AVX2": `VBLENDPS VBLENDVPS VBROADCASTF128 VEXTRACTF128 VEXTRACTI128 VINSERTF128 VMASKMOVPS VMOVDQA VMOVDQU
			VMOVMSKPS VPAND VPERM2F128 VPOR VPSIGNB VPXOR VZEROUPPER`,
		"FMA|F":  "VFMADD213PS VFMADD231PS VFMSUB213PS VFNMADD231PS",
		"F16C|F": "VCVTPH2PS VCVTPS2PH",
		"F": `KANDW KMOVW KORTESTW KXORW VBROADCASTF32X4 VBROADCASTF64X4 VBROADCASTI32X4 VCOMPRESSPS VEXPANDPS
			VEXTRACTF32X4 VEXTRACTF64X4 VEXTRACTI64X4 VINSERTF64X4 VINSERTI64X4 VMOVDQA64 VMOVDQU32 VMOVDQU64 VPANDD
			VPANDND VPANDQ VPBLENDMD VPCMPD VPCMPUD VPERMI2PS VPMOVDB VPMOVDW VPORD VPTERNLOGD VPTESTMD VPXORD VPXORQ
			VSHUFI64X2`,
		"BW":   "KMOVD KMOVQ VMOVDQU16 VMOVDQU8",
		"DQ":   "VPMOVD2M",
		"VNNI": "VPDPBUSD",
		"VBMI": "VPERMB VPERMI2B VPMULTISHIFTQB",
		"BF16": "VCVTNE2PS2BF16 VCVTNEPS2BF16 VDPBF16PS",
		"AMX":  "LDTILECFG TDPBF16PS TDPBSSD TILELOADD TILERELEASE TILESTORED TILEZERO",
	} {
		for name := range strings.FieldsSeq(names) {
			of[name] = needs
		}
	}
	return of
}()

var (
	define   = regexp.MustCompile(`#define (\w+)(?:\([^)]*\))?`)
	wide     = regexp.MustCompile(`\b(Z\d+|K[0-7])\b`)
	evexOnly = regexp.MustCompile(`\b[XY](1[6-9]|2\d|3[01])\b`)
	short    = regexp.MustCompile(`\b[XY]\d+\b`)
	general  = regexp.MustCompile(`^(R\d+|[A-D]X|[SD]I|BP),`)
	textOf   = regexp.MustCompile(`^TEXT ·(\w+)\(SB\)`)
	// Macros are checked where they are defined, and their operands where they are used.
	statement = regexp.MustCompile(`^([A-Z][A-Z0-9_]*)(\.[A-Z.]+)?\b(?:[ \t(]+(.*))?$`)
)

var (
	avx512     = map[string]bool{"F": true, "BW": true, "DQ": true, "VNNI": true, "VBMI": true, "BF16": true}
	directives = map[string]bool{"TEXT": true, "DATA": true, "GLOBL": true}
	macros     = map[string]bool{}
)

// needs are the features of a line's instruction; ok is whether it is known.
func needs(name, suffix, operands string) (features []string, ok bool) {
	either, ok := instructions[name]
	first, other, both := strings.Cut(either, "|")
	if macros[name] {
		ok = true
	}
	evex := wide.MatchString(operands) || evexOnly.MatchString(operands) || suffix != "" || avx512[first] ||
		strings.HasPrefix(name, "VPBROADCAST") && general.MatchString(operands)
	switch {
	case !evex && first == "":
	case !evex:
		features = []string{first}
	case first == "AVX2" && !both: // has no form of AVX-512
		return nil, false
	case both:
		features = []string{"F", other}
	case first != "":
		features = []string{"F", first}
	default:
		features = []string{"F"}
	}
	if evex && first != "AMX" && !wide.MatchString(operands) && short.MatchString(operands) {
		features = append(features, "VL")
	}
	return features, ok
}

// TestInstructions: each is one that the processors have on which its function runs.
func TestInstructions(t *testing.T) {
	seen := 0
	for file, source := range assembly(t) {
		at := strings.ToUpper(strings.NewReplacer("_amd64.h", "", "_amd64.s", "").Replace(file))
		number := 0
		for line := range strings.Lines(source) {
			number++
			if m := textOf.FindStringSubmatch(line); m != nil {
				at = m[1]
			}
			line = strings.TrimRight(define.ReplaceAllString(line, ""), "\\ \n")
			code, comment, _ := strings.Cut(line, "//")
			if code := strings.TrimSpace(code); strings.HasPrefix(code, "LONG") || strings.HasPrefix(code, "WORD") || strings.HasPrefix(code, "BYTE") {
				line = comment // names what is in bytes
			} else {
				line = code
			}
			for text := range strings.SplitSeq(line, ";") {
				m := statement.FindStringSubmatch(strings.TrimSpace(text))
				if m == nil || directives[m[1]] {
					continue
				}
				seen++
				features, ok := needs(m[1], m[2], m[3])
				if !ok {
					t.Errorf("%s:%d: %s: not an instruction known here", file, number, text)
				}
				for _, f := range features {
					if !slices.Contains(strings.Fields(sets[setOf(at)]), f) {
						t.Errorf("%s:%d: %s has no %s for %s", file, number, at, f, text)
					}
				}
			}
		}
	}
	if seen < 50_000 {
		t.Errorf("only %d instructions were read", seen)
	}
}

// assembly is all of it by file, and makes macros known.
func assembly(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob("*_amd64.[sh]")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(source)
		for _, m := range define.FindAllStringSubmatch(all[file], -1) {
			if _, taken := instructions[m[1]]; taken {
				t.Fatalf("%s: macro %s is named as an instruction", file, m[1])
			}
			macros[m[1]] = true
		}
	}
	return all
}

// TestTested: a test of this package, or the dispatch of package block, which is
// tested for every instruction set, uses each assembly function.
func TestTested(t *testing.T) {
	uses := map[string]map[string]bool{} // identifiers by function
	var all []string
	reach := map[string]bool{"Pause": true} // has no result
	read := func(pattern string, root func(name string) bool) {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range parsed.Decls {
				name, of := "", map[string]bool{}
				if f, ok := decl.(*ast.FuncDecl); ok {
					name = f.Name.Name
					if f.Body == nil {
						all = append(all, name)
						continue
					}
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok && id.Name != name {
						of[id.Name] = true
					}
					return true
				})
				if root(name) {
					maps.Copy(reach, of)
				} else {
					uses[name] = of
				}
			}
		}
	}
	read("*_amd64.go", func(string) bool { return false })
	read("*_test.go", func(name string) bool { return !strings.HasPrefix(name, "Benchmark") })
	delete(uses, "") // what is outside of functions
	read("../block/dispatch_amd64.go", func(string) bool { return true })
	for grown := true; grown; {
		grown = false
		for name, of := range uses {
			if reach[name] {
				before := len(reach)
				maps.Copy(reach, of)
				delete(uses, name)
				grown = grown || len(reach) > before
			}
		}
	}
	texts := 0
	for _, source := range assembly(t) {
		texts += strings.Count("\n"+source, "\nTEXT ·")
	}
	if texts != len(all) || texts < 200 {
		t.Errorf("%d functions in assembly, %d declared", texts, len(all))
	}
	for _, name := range all {
		if !reach[name] {
			t.Errorf("no test uses %s", name)
		}
	}
}
