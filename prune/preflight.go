package prune

import (
	"fmt"

	"armor/prune/solve"
)

// Preflight is what a job will need, known before any work.
type Preflight struct {
	Memory  int64 // bytes at most, with the residual stream in memory
	Spilled int64 // bytes at most, with it in a file
	Disk    int64 // bytes of the unfinished job and of the folder
	Weights int64 // that are pruned
	Tokens  int   // of calibration text
}

// solverBytes is what solving takes for each weight of a module: the weight and
// its scaled copy, the core and its transpose, and three products, in f32; a
// few percent more for blocks.
const solverBytes = 40

// base is the program, its tables, and what the collector lets lie.
const base = 192 << 20

func (r *run) preflight() Preflight {
	c := &r.shape.Config
	var p Preflight
	var widest, layer int64
	for _, m := range r.modules {
		p.Weights += m.Weights()
		widest = max(widest, m.Weights())
		full := int64(0)
		if r.Recipe.Method == solve.SparseGPT {
			full = 12 * int64(m.In) * int64(m.In)
		}
		widest = max(widest, m.Weights()+full/solverBytes)
	}
	for _, m := range Modules(c)[:len(kinds)] {
		layer += m.Weights()
	}
	rows := int64(r.Recipe.SeqLen)
	p.Tokens = r.Recipe.Samples * r.Recipe.SeqLen
	stream := 4 * int64(p.Tokens) * int64(c.Dim)
	// A step's activations: the residual stream, qkv, gate and up, panels of them.
	step := 4 * rows * int64(4*c.Dim+2*(c.Heads+2*c.KVHeads)*c.HeadDim+6*c.FF)
	p.Spilled = base + 4*layer + step + solverBytes*widest
	p.Memory = p.Spilled + stream
	p.Disk = p.Weights*5/2 + stream
	return p
}

// check refuses a job that cannot keep within most bytes; 0 is no bound.
func (p Preflight) check(most int64) error {
	if most > 0 && p.Spilled > most {
		return fmt.Errorf("memory: the job needs %d MiB, the bound is %d MiB: shorter samples need less", p.Spilled>>20, most>>20)
	}
	return nil
}
