package prune

import (
	"fmt"
	"hash/fnv"
	"slices"

	"armor/prune/solve"
)

// Recipe is every setting that decides the bytes of a pruned model.
type Recipe struct {
	Method     solve.Method `json:"method" yaml:"method"`
	Solver     solve.Solver `json:"solver,omitempty" yaml:"solver,omitempty"`
	Block      int          `json:"block" yaml:"block"`           // the largest block; halved until it divides both dimensions
	Sweeps     int          `json:"sweeps" yaml:"sweeps"`         // of bcd
	Iterations int          `json:"iterations" yaml:"iterations"` // of adam
	Statistics Statistics   `json:"statistics" yaml:"statistics"`
	Samples    int          `json:"samples" yaml:"samples"`
	SeqLen     int          `json:"seqlen" yaml:"seqlen"`
	Seed       uint64       `json:"seed" yaml:"seed"`
	Budget     Budget       `json:"budget,omitzero" yaml:"budget,omitempty"`
	Types      `yaml:",inline"`
}

// DefaultRecipe is what armor-prune run does without flags.
func DefaultRecipe() Recipe {
	return Recipe{Method: solve.Armor, Solver: solve.BCD, Block: 128, Sweeps: 20, Iterations: 20000,
		Statistics: Diagonal, Samples: 32, SeqLen: 1024, Types: DefaultTypes()}
}

// Check refuses settings that no model can be pruned with.
func (r *Recipe) Check() error {
	one := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf(format, args...)
	}
	contains := func(ok bool, name string, got, want any) error {
		return one(ok, "%s: got %v, want one of %v", name, got, want)
	}
	for _, err := range []error{
		contains(slices.Contains(solve.Methods, r.Method), "method", r.Method, solve.Methods),
		contains(r.Method != solve.Armor || slices.Contains(solve.Solvers, r.Solver), "solver", r.Solver, solve.Solvers),
		contains(slices.Contains([]Statistics{Diagonal, Blocks}, r.Statistics), "statistics", r.Statistics, []Statistics{Diagonal, Blocks}),
		one(r.Block >= 4 && r.Block <= 1024 && r.Block&(r.Block-1) == 0, "block: got %d, want a power of two from 4 to 1024", r.Block),
		one(r.Sweeps >= 1 && r.Sweeps <= 1e5, "sweeps: got %d, want 1 or more", r.Sweeps),
		one(r.Iterations >= 1 && r.Iterations <= 1e7, "iterations: got %d, want 1 or more", r.Iterations),
		one(r.Samples >= 1 && r.Samples <= 1e6, "samples: got %d, want 1 or more", r.Samples),
		one(r.SeqLen >= 8 && r.SeqLen <= 1<<20, "seqlen: got %d tokens, want 8 or more", r.SeqLen),
		r.Budget.check(), r.Types.check(),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// blocks are the sides of A's and B's blocks for a module.
func (r *Recipe) blocks(m *Module) (out, in int) {
	b := r.Block
	for b > 4 && (m.Out%b != 0 || m.In%b != 0) {
		b /= 2
	}
	return b, b
}

// options are the solver's settings for a module.
func (r *Recipe) options(m *Module) solve.Options {
	out, in := r.blocks(m)
	return solve.Options{Method: r.Method, Solver: r.Solver, BlockOut: out, BlockIn: in,
		Sweeps: r.Sweeps, Iterations: r.Iterations, Seed: r.Seed ^ hash(m.Name)}
}

// hash makes each module draw other random numbers.
func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}
