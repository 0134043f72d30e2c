package nn

import (
	"armor/kernels"
	"armor/model/checkpoint"
)

// Linear is one linear layer of a checkpoint. It alone knows how the layer is
// stored; a Loader packs those that read the same x into one Group.
type Linear interface {
	// part describes the layer to a backend that computes in the given type.
	part(compute kernels.DType) kernels.Part
}

// Dense is y = W·x + bias.
type Dense struct {
	Module string
	Weight *checkpoint.Tensor // [d_out, d_in]
	Bias   []float32          // [d_out] or nil
}

func (d *Dense) part(compute kernels.DType) kernels.Part {
	p := kernels.Part{Name: d.Module, W: d.Weight, Type: kernels.F32, Bias: d.Bias}
	if compute == kernels.BF16 || d.Weight.DType == checkpoint.BF16 {
		p.Type = kernels.BF16
	}
	return p
}
