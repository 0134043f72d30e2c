// Package prune makes 2:4 models: it runs calibration text through a dense model
// a layer at a time, prunes each linear layer (package solve), keeps what is done
// on disk, and writes the result as a folder with a report.
package prune

import (
	"fmt"

	"armor/model/nn"
)

// input says which activations a module reads.
type input int

const (
	attentionInput input = iota // of q, k and v
	outputInput                 // of o
	mlpInput                    // of gate and up
	downInput                   // of down
	inputs
)

// kind is one of the linear layers of a decoder layer.
type kind struct {
	name  string // after "model.layers.N."
	input input
	shape func(c *nn.Config) (out, in int)
}

var kinds = [...]kind{
	{"self_attn.q_proj", attentionInput, func(c *nn.Config) (int, int) { return c.Heads * c.HeadDim, c.Dim }},
	{"self_attn.k_proj", attentionInput, func(c *nn.Config) (int, int) { return c.KVHeads * c.HeadDim, c.Dim }},
	{"self_attn.v_proj", attentionInput, func(c *nn.Config) (int, int) { return c.KVHeads * c.HeadDim, c.Dim }},
	{"self_attn.o_proj", outputInput, func(c *nn.Config) (int, int) { return c.Dim, c.Heads * c.HeadDim }},
	{"mlp.gate_proj", mlpInput, func(c *nn.Config) (int, int) { return c.FF, c.Dim }},
	{"mlp.up_proj", mlpInput, func(c *nn.Config) (int, int) { return c.FF, c.Dim }},
	{"mlp.down_proj", downInput, func(c *nn.Config) (int, int) { return c.Dim, c.FF }},
}

// Module is one linear layer of a model.
type Module struct {
	Name    string // model.layers.N.mlp.gate_proj
	Layer   int
	Out, In int
	kind    *kind
}

// Weights is how many there are.
func (m *Module) Weights() int64 { return int64(m.Out) * int64(m.In) }

// Modules lists the modules that are pruned: the linear layers of all decoder
// layers. Embedding and head stay dense.
func Modules(c *nn.Config) []Module {
	var all []Module
	for layer := range c.Layers {
		for i := range kinds {
			out, in := kinds[i].shape(c)
			all = append(all, Module{fmt.Sprintf("model.layers.%d.%s", layer, kinds[i].name), layer, out, in, &kinds[i]})
		}
	}
	return all
}
