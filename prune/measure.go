package prune

import (
	"context"
	"errors"
	"fmt"

	"armor/model"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/prune/calib"
	"armor/prune/solve"
)

// Measurement asks for the sensitivities of a folder that has been pruned.
type Measurement struct {
	Dense   string // folder of the model it was made of
	Pruned  string // ARMOR folder
	Calib   string // text, see calib.Open
	Tokens  int
	Seed    uint64
	Compute Compute

	Progress func(Event) // nil: none
}

// Measure gives the sensitivity of each pruned module of a folder.
func (m *Measurement) Measure(ctx context.Context) (all []Sensitivity, err error) {
	r := &run{Job: &Job{Source: m.Dense, Recipe: DefaultRecipe(), Compute: m.Compute}}
	r.Recipe.SeqLen = probeWindow
	r.Recipe.Samples = (m.Tokens + probeWindow - 1) / probeWindow
	if err := r.open(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.ck.Close()) }()
	pruned, err := checkpoint.OpenFolder(m.Pruned)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pruned.Close()) }()
	config, err := armorfmt.ReadConfig(pruned)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, fmt.Errorf("%s: is not an ARMOR folder", m.Pruned)
	}
	shape, err := model.ShapeOf(pruned)
	if err != nil {
		return nil, err
	}
	if shape.Config != r.shape.Config {
		return nil, fmt.Errorf("%s: was not made of %s: their sizes differ", m.Pruned, m.Dense)
	}
	docs, err := calib.Open(m.Calib)
	if err != nil {
		return nil, err
	}
	defer docs.Close()
	windows, _, err := calib.Sample(docs, r.tok, calib.Options{Samples: r.Recipe.Samples, SeqLen: r.Recipe.SeqLen, Seed: m.Seed})
	if err != nil {
		return nil, err
	}
	saved := map[string]int64{}
	var modules []Module
	for _, mod := range r.modules {
		if !config.Pruned(mod.Name) {
			continue
		}
		a, err := armorfmt.Open(pruned, config, mod.Name, mod.Out, mod.In)
		if err != nil {
			return nil, err
		}
		b := a.Bytes()
		saved[mod.Name] = b.Dense - b.Packed()
		modules = append(modules, mod)
	}
	p, err := newProbe(r.ck, r.shape, m.Compute, len(windows[0]))
	if err != nil {
		return nil, err
	}
	defer p.close()
	kl := map[string][]float64{}
	weights := m.Compute.products(func(mod *Module) (*solve.Layer, error) {
		a, err := armorfmt.Open(pruned, config, mod.Name, mod.Out, mod.In)
		if err != nil {
			return nil, err
		}
		return readLayer(a)
	})
	err = sensitivities(ctx, p, modules, windows, weights, kl, func(done, all int) error {
		if m.Progress != nil {
			m.Progress(Event{Phase: "sensitivity", Done: int64(done), All: int64(all)})
		}
		return nil
	})
	for _, mod := range modules {
		all = append(all, Sensitivity{Module: mod, KL: meanKL(kl[mod.Name]), Saved: saved[mod.Name]})
	}
	return all, err
}

// readLayer reads a module of a folder.
func readLayer(m *armorfmt.Module) (*solve.Layer, error) {
	l := &solve.Layer{Out: m.Out, In: m.In, Values: make([]float32, m.Out*m.In/2), Mask: make([]uint8, m.Out*m.In/4)}
	if err := m.Core.ReadCore(l.Values, l.Mask, 0, m.Out); err != nil {
		return nil, err
	}
	if m.A == nil {
		return l, nil
	}
	l.BlockOut, l.BlockIn = m.Layout.BlockOut, m.Layout.BlockIn
	l.A, l.B = make([]float32, m.Out*l.BlockOut), make([]float32, m.In*l.BlockIn)
	if err := m.A.ReadRows(l.A, 0, m.Out); err != nil {
		return nil, err
	}
	return l, m.B.ReadRows(l.B, 0, m.In)
}
