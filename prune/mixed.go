package prune

import (
	"context"
	"errors"
	"math"
	"time"

	"armor/model/armorfmt"
	"armor/prune/report"
	"armor/prune/solve"
)

// held is a module in int4 that may yet become int8.
type held struct {
	module *Module
	layer  []byte // see encodeLayer
	one    report.Module
	diag   []float64 // second moments of its inputs
}

func hold(m *Module, l *solve.Layer, one report.Module, diag []float64) (h held, err error) {
	h = held{module: m, one: one, diag: diag}
	h.layer, err = encodeLayer(l)
	return h, err
}

func (h *held) read() (*solve.Layer, error) { return decodeLayer(h.layer, h.module.Out, h.module.In) }

func (q *Quantization) checkBudget() error {
	if q.MaxPPL == 0 {
		return nil
	}
	b := Budget{MaxPPL: q.MaxPPL, Tokens: q.Tokens}
	switch {
	case q.Types.Core != armorfmt.Int4:
		return errors.New("max_ppl: want core_dtype int4, of which some cores become int8")
	case q.Types.Int8Above > 0:
		return errors.New("max_ppl: want no int8_above beside it, which chooses as well")
	case q.Calib == "":
		return errors.New("max_ppl: want calibration text to measure on")
	}
	return b.check()
}

// mixed writes all modules. Those stay in int4 that cost least for the bytes they
// save, as many as MaxPPL allows.
func (r *requantize) mixed(ctx context.Context, w *armorfmt.Writer, modules []held) (all []report.Module, err error) {
	int8s, err := r.choose(ctx, modules)
	if err != nil {
		return nil, err
	}
	for i := range modules {
		h := &modules[i]
		l, err := h.read()
		if err != nil {
			return nil, err
		}
		one := h.one
		if int8s[h.module.Name] {
			grid := r.Types.grid(h.module.In)
			grid.Core = armorfmt.Bits(armorfmt.Int8)
			if l, one, err = r.module(ctx, h.module, h.diag, grid); err != nil {
				return nil, err
			}
			one.Seconds += h.one.Seconds
		}
		if err := r.store(w, h.module, l, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// choose gives the modules that become int8. What int4 does to each is measured on
// the source, with that module alone in int4.
func (r *requantize) choose(ctx context.Context, modules []held) (map[string]bool, error) {
	var list []Module
	of := map[string]*held{}
	for i := range modules {
		h := &modules[i]
		l, err := h.read()
		if err != nil {
			return nil, err
		}
		if l.Core != nil { // else its inputs have no groups
			list = append(list, *h.module)
			of[h.module.Name] = h
		}
	}
	windows := probeWindows(r.windows, r.Tokens)
	p, err := newProbe(r.ck, r.shape, r.Compute, len(windows[0]))
	if err != nil {
		return nil, err
	}
	defer p.close()
	weights := r.Compute.products(func(m *Module) (*solve.Layer, error) { return of[m.Name].read() })
	began, kl := time.Now(), map[string][]float64{}
	err = sensitivities(ctx, p, list, windows, weights, kl, func(done, all int) error {
		if r.Progress != nil {
			r.Progress(Event{Phase: "sensitivity", Done: int64(done), All: int64(all), Seconds: time.Since(began).Seconds()})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]Sensitivity, len(list))
	for i, m := range list {
		all[i] = Sensitivity{Module: m, KL: meanKL(kl[m.Name]), Saved: m.Weights() / 4}
	}
	perKL, err := lossPerKL(ctx, p, list, probeWindows(r.windows, wholeWindows*probeWindow), weights)
	if err != nil {
		return nil, err
	}
	b := Budget{MaxPPL: r.MaxPPL}
	choice := b.Choose(all, perKL)
	r.Predicted = math.Expm1(choice.Loss)
	return choice.Dense, nil
}
