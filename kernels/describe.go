package kernels

import (
	"fmt"
	"slices"
	"strings"
)

func (t denseTypes) String() string {
	switch t {
	case f32f32:
		return "f32·f32"
	case bf16f32:
		return "bf16·f32"
	case bf16bf16, bf16amx:
		return "bf16·bf16"
	case int8f32:
		return "int8·f32"
	case int4f32:
		return "int4·f32"
	case int8int8:
		return "int8·int8"
	case int4int8:
		return "int4·int8"
	}
	return fmt.Sprintf("denseTypes(%d)", uint8(t))
}

// bits is the width of a weight.
func (t denseTypes) bits() int {
	switch t {
	case f32f32:
		return 32
	case int8f32, int8int8:
		return 8
	case int4f32, int4int8:
		return 4
	default:
		return 16
	}
}

// Kernel names what multiplies a group's weights: the instruction sets that the
// kernels are written in, which may be older than the backend's, and the types of
// weights and activations.
func (c *CPU) Kernel(of Group) string {
	g := of.(*group)
	var names []string
	for _, s := range g.sections {
		if name := g.c.kernel(s.w.types); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func (c *CPU) kernel(t denseTypes) string {
	isa := c.isa
	switch {
	case t == bf16amx:
	case t.integers() && (isa == AVX512 || isa == AVX512BF16):
		return fmt.Sprintf("avx512vnni %v", t)
	case t.integers():
	case t == bf16bf16:
		isa = min(isa, AVX512BF16)
	default:
		isa = min(isa, AVX512)
	}
	return fmt.Sprintf("%v %v", isa, t)
}
