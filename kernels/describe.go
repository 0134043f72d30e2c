package kernels

import "fmt"

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
	}
	return fmt.Sprintf("denseTypes(%d)", uint8(t))
}

// Kernel names what multiplies a group's weights: the instruction set that the
// kernel is written in, which may be older than the backend's, and the types of
// weights and activations.
func (c *CPU) Kernel(g Group) string {
	t := c.denseTypes(g.(*group).bits)
	isa := c.isa
	switch t {
	case bf16amx:
		isa = AMX
	case bf16bf16:
		isa = min(isa, AVX512BF16)
	default:
		isa = min(isa, AVX512)
	}
	return fmt.Sprintf("%v %v", isa, t)
}
