package prune

import (
	"context"

	"armor/kernels/block"
	"armor/model/checkpoint"
	"armor/prune/solve"
)

// grams are what the modules to do need to know of their inputs.
func (r *run) grams(todo []Module) [inputs]*gram {
	var grams [inputs]*gram
	for i := range todo {
		m := &todo[i]
		side := 0
		switch {
		case r.Recipe.Method == solve.SparseGPT:
			side = m.In
		case r.Recipe.Method == solve.Armor && r.Recipe.Statistics == Blocks:
			_, side = r.Recipe.blocks(m)
		}
		if g := grams[m.kind.input]; g == nil || side > g.block {
			grams[m.kind.input] = newGram(m.In, side)
		}
	}
	return grams
}

// weight reads the module of a dense model, [out, in].
func (m *Module) weight(ck *checkpoint.Checkpoint) ([]float32, error) {
	t, err := ck.Need(m.Name+".weight", m.Out, m.In)
	if err != nil {
		return nil, err
	}
	defer t.Release(0, m.Out)
	w := make([]float32, m.Out*m.In)
	return w, t.ReadRows(w, 0, m.Out)
}

// solve prunes one module.
func (r *run) solve(m *Module, g *gram) (*solve.Result, error) {
	w, err := m.weight(r.ck)
	if err != nil {
		return nil, err
	}
	p := &solve.Problem{Out: m.Out, In: m.In, W: w, Hessian: solve.Hessian{Diag: g.diag}}
	switch {
	case r.Recipe.Method == solve.SparseGPT:
		p.Hessian.Full = g.blocks
	case g.block > 0:
		p.Hessian.Block, p.Hessian.Blocks = g.block, g.blocks
	}
	o := r.Recipe.options(m)
	o.Threads, o.Math = r.Compute.Threads, block.New(r.Compute.ISA)
	result, err := solve.Prune(context.Background(), p, o)
	grid := r.Recipe.grid(m.In)
	if err != nil || !integers(grid) {
		return result, err
	}
	q, err := r.Recipe.quantize(context.Background(), p, &result.Layer, grid, o)
	if err != nil {
		return nil, err
	}
	result.Layer, result.LossRounded = q.Layer, q.Loss
	result.Seconds += q.Seconds
	return result, nil
}
