package nn

import (
	"armor/kernels"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

// Weights says how a model's matrices are kept.
type Weights string

const (
	// WeightsAuto keeps quantized matrices as integers: Q4_0 in 4 bits, all others
	// in 8, in groups of 32. Q4_0, Q5_0 and Q8_0 are kept exactly, others rounded.
	// Floats are kept as the backend computes; its F32 keeps bf16 in bf16.
	WeightsAuto Weights = "auto"
	// WeightsBF16 and WeightsF32 keep all matrices as such floats.
	WeightsBF16 Weights = "bf16"
	WeightsF32  Weights = "f32"
	// WeightsInt8 and WeightsInt4 round all matrices to integers in groups of 32,
	// the embedding and the head, too; of 2:4 modules the cores, in groups of 64,
	// with A and B in 8 bits.
	WeightsInt8 Weights = "int8"
	WeightsInt4 Weights = "int4"
)

// Linear is one linear layer of a checkpoint. It alone knows how the layer is
// stored; a Loader packs those that read the same x into one Group.
type Linear interface {
	// part describes the layer to a backend that computes in the given type.
	part(compute kernels.DType, w Weights) kernels.Part
}

// Dense is y = W·x + bias.
type Dense struct {
	Module string
	Weight *checkpoint.Tensor  // [d_out, d_in], or nil
	Codes  *armorfmt.Quantized // [d_out, d_in] in place of Weight, or nil
	Bias   []float32           // [d_out] or nil

	Instead kernels.Matrix // taken in place of Weight, or nil
}

// Armor is y = A·(S·(B·x)) + bias with a 2:4 core S and block-diagonal A and B,
// or S·x + bias.
type Armor struct {
	Module *armorfmt.Module
	Bias   []float32 // [d_out] or nil
}

func (a *Armor) part(compute kernels.DType, w Weights) kernels.Part {
	m := a.Module
	p := kernels.Part{Name: m.Name, Core: m.Core, A: m.A, B: m.B, Type: kernels.BF16, Bias: a.Bias}
	bits, coded := w.bits(checkpoint.BF16), m.Layout.Quant()
	switch {
	case w == WeightsF32, compute == kernels.F32 && bits == 0 && w != WeightsBF16 && coded != kernels.Quant{}:
		p.Type = kernels.F32
	case compute == kernels.F32, w == WeightsBF16:
	case bits == 0:
		p.Quant, p.Wrappers = coded, m.Layout.WrapperQuant()
	case m.Core.Cols()%armorfmt.GroupSize == 0:
		p.Quant, p.Wrappers = kernels.Quant{Bits: bits, Group: armorfmt.GroupSize}, m.Layout.Int8Wrappers()
	}
	return p
}

// quantGroup is the inputs that share a scale where dense weights are rounded to
// integers.
const quantGroup = 32

func (d *Dense) part(compute kernels.DType, w Weights) kernels.Part {
	p := kernels.Part{Name: d.Module, W: d.Weight, Type: kernels.F32, Bias: d.Bias}
	if d.Instead != nil {
		p.W = d.Instead
		if compute == kernels.BF16 && w != WeightsF32 {
			p.Type = kernels.BF16
		}
		return p
	}
	if d.Codes != nil {
		return d.coded(p, w)
	}
	t := d.Weight.DType
	if w != WeightsF32 && (w == WeightsBF16 || compute == kernels.BF16 || t == checkpoint.BF16) {
		p.Type = kernels.BF16
	}
	if bits := w.bits(t); bits > 0 && d.Weight.Cols()%quantGroup == 0 {
		p.Quant = kernels.Quant{Bits: bits, Group: quantGroup}
	}
	return p
}

// coded is the part of a weight that the file has as codes: kept as such unless
// other weights are asked for.
func (d *Dense) coded(p kernels.Part, w Weights) kernels.Part {
	p.W, p.Type, p.Quant = d.Codes, kernels.BF16, kernels.Quant{Bits: d.Codes.Quant().Bits, Group: quantGroup}
	switch w {
	case WeightsF32:
		p.Type, p.Quant = kernels.F32, kernels.Quant{}
	case WeightsBF16:
		p.Quant = kernels.Quant{}
	case WeightsInt8, WeightsInt4:
		p.Quant.Bits = w.bits(0)
	}
	return p
}

// bits is the width of the integers that a matrix of type t becomes, 0 for floats.
func (w Weights) bits(t checkpoint.DType) int {
	switch {
	case w == WeightsInt4, w == WeightsAuto && t == checkpoint.Q40:
		return 4
	case w == WeightsInt8, w == WeightsAuto && t.Quantized():
		return 8
	default:
		return 0
	}
}
