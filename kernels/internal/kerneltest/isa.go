// Package kerneltest holds what the tests of kernels share: operands between
// pages that must not be touched, size tables, tolerances, instruction sets.
package kerneltest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// ISA names an instruction set; each contains those before it.
type ISA string

const (
	AVX2       ISA = "avx2"       // AVX2, FMA3, F16C, BMI2
	AVX512     ISA = "avx512"     // AVX-512 F, BW, VL, DQ
	AVX512BF16 ISA = "avx512bf16" // AVX512_BF16
	AMX        ISA = "amx"        // AVX512VNNI, AMX_TILE, AMX_BF16, AMX_INT8, and Linux's permission
)

// AVX512VNNI is AVX512 with AVX512_VNNI and AVX512_VBMI. It is beside the others,
// not among them.
const AVX512VNNI ISA = "avx512vnni"

var all = []ISA{AVX2, AVX512, AVX512BF16, AMX}

// requireEnv lists, with commas, the instruction sets that must be tested.
const requireEnv = "ARMOR_REQUIRE_ISA"

// ISAs are the instruction sets that this processor and build have. It fails
// the test where requireEnv names another.
func ISAs(tb testing.TB) []ISA {
	tb.Helper()
	var have []ISA
	for _, isa := range all {
		if isa.has() {
			have = append(have, isa)
		}
	}
	for _, isa := range required() {
		if isa != AVX512VNNI && !slices.Contains(all, isa) {
			tb.Fatalf("%s: unknown instruction set %q, want some of %q", requireEnv, isa, all)
		}
		if !isa.has() {
			tb.Fatalf("%s: this processor or build lacks %s", requireEnv, isa)
		}
	}
	return have
}

// Need skips the test where isa is missing, and fails it where requireEnv
// names isa.
func Need(tb testing.TB, isa ISA) {
	tb.Helper()
	ISAs(tb)
	if !isa.has() {
		tb.Skipf("this processor or build lacks %s", isa)
	}
}

// Run runs f as a subtest for each instruction set that there is.
func Run(t *testing.T, f func(t *testing.T, isa ISA)) {
	t.Helper()
	for _, isa := range ISAs(t) {
		t.Run(string(isa), func(t *testing.T) { f(t, isa) })
	}
}

func required() []ISA {
	var names []ISA
	for name := range strings.SplitSeq(os.Getenv(requireEnv), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, ISA(name))
		}
	}
	return names
}
