package prune

import (
	"fmt"
	"math"
	"slices"
)

// Budget says how much of a model may be lost. At most one of its fields is set;
// the zero Budget prunes every module.
type Budget struct {
	MaxKL  float64 `json:"max_kl,omitempty" yaml:"max_kl,omitempty"`   // nats a token
	MaxPPL float64 `json:"max_ppl,omitempty" yaml:"max_ppl,omitempty"` // growth of perplexity: 0.05 is 5 %
	Sparse float64 `json:"sparse,omitempty" yaml:"sparse,omitempty"`   // share of the weights that becomes sparse
	Tokens int     `json:"tokens,omitempty" yaml:"tokens,omitempty"`   // that sensitivities are measured on
}

// Set reports whether some modules may have to stay dense.
func (b *Budget) Set() bool { return b.MaxKL > 0 || b.MaxPPL > 0 || b.Sparse > 0 }

func (b *Budget) check() error {
	n := 0
	for _, v := range []float64{b.MaxKL, b.MaxPPL, b.Sparse} {
		if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("budget: got %v, want a positive number", v)
		}
		if v > 0 {
			n++
		}
	}
	switch {
	case n > 1:
		return fmt.Errorf("budget: want only one of a largest KL, a largest growth of perplexity and a sparse share")
	case b.Sparse > 1:
		return fmt.Errorf("sparse share: got %v, want at most 1", b.Sparse)
	case b.Set() && b.Tokens < 64:
		return fmt.Errorf("budget: got %d tokens to measure sensitivities on, want 64 or more", b.Tokens)
	}
	return nil
}

// Sensitivity is what pruning one module alone does to the model.
type Sensitivity struct {
	Module Module
	KL     float64 // mean KL(dense ‖ with this module pruned), nats a token
	Saved  int64   // bytes that the module takes less when pruned
}

// rate is KL a byte saved; a module that saves nothing is the first to stay dense.
func (s *Sensitivity) rate() float64 {
	if s.Saved <= 0 {
		return math.Inf(1)
	}
	return max(0, s.KL) / float64(s.Saved)
}

// Choice is which modules are pruned, and what that is predicted to cost.
type Choice struct {
	Dense  map[string]bool // modules that stay dense
	KL     float64         // Σ over the pruned modules, nats a token: what to expect of the whole
	Loss   float64         // ln(PPL/dense) to expect
	Sparse float64         // share of the modules' weights that is pruned
}

// Choose prunes the modules that cost least KL for each byte saved, as many as
// the budget allows. The KLs of single modules add up to that of the whole;
// lossPerKL turns them into ln(PPL/dense).
func (b *Budget) Choose(all []Sensitivity, lossPerKL float64) Choice {
	limit := math.Inf(1)
	switch {
	case b.MaxKL > 0:
		limit = b.MaxKL
	case b.MaxPPL > 0:
		limit = math.Log1p(b.MaxPPL) / lossPerKL
	}
	total := int64(0)
	for i := range all {
		total += all[i].Module.Weights()
	}
	most := float64(total)
	if b.Sparse > 0 {
		most *= b.Sparse
	}
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(x, y Sensitivity) int {
		switch rx, ry := x.rate(), y.rate(); {
		case rx < ry:
			return -1
		case rx > ry:
			return 1
		default:
			return 0
		}
	})
	c := Choice{Dense: map[string]bool{}}
	weights := 0.0
	for i := range order {
		s := &order[i]
		w := float64(s.Module.Weights())
		// A module that does not fit is passed over: a smaller one still may.
		if c.KL+max(0, s.KL) > limit || weights+w > most*(1+1e-9) {
			c.Dense[s.Module.Name] = true
			continue
		}
		c.KL += max(0, s.KL)
		weights += w
	}
	c.Loss = c.KL * lossPerKL
	c.Sparse = weights / float64(max(1, total))
	return c
}
