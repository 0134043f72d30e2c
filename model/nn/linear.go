package nn

import (
	"armor/kernels"
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
	Weight *checkpoint.Tensor // [d_out, d_in]
	Bias   []float32          // [d_out] or nil
}

const quantGroup = 32

func (d *Dense) part(compute kernels.DType, w Weights) kernels.Part {
	p := kernels.Part{Name: d.Module, W: d.Weight, Type: kernels.F32, Bias: d.Bias}
	t := d.Weight.DType
	if w == WeightsBF16 || w == WeightsAuto && (compute == kernels.BF16 || t == checkpoint.BF16) {
		p.Type = kernels.BF16
	}
	if w == WeightsAuto && t.Quantized() && d.Weight.Cols()%quantGroup == 0 {
		p.Quant = kernels.Quant{Bits: 8, Group: quantGroup}
		if t == checkpoint.Q40 {
			p.Quant.Bits = 4
		}
	}
	return p
}
