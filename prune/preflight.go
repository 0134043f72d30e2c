package prune

import (
	"fmt"
	goruntime "runtime"
	"time"

	"armor/internal/parallel"
	"armor/kernels"
	"armor/kernels/block"
	"armor/prune/solve"
)

// Preflight is what a job will need, known before any work.
type Preflight struct {
	Memory  int64 // bytes at most, with the residual stream in memory
	Spilled int64 // bytes at most, with it in a file
	Disk    int64 // bytes of the unfinished job and of the folder
	Weights int64 // that are pruned
	Tokens  int   // of calibration text
	Seconds float64
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
	p.Disk = p.Weights * 5 / 2
	if r.Memory > 0 && p.Memory > r.Memory {
		p.Disk += stream
	}
	return p
}

// estimate is the time of the job as some products on this machine
// let expect. The factors were measured on SmolLM2-135M and are right within a third.
func (r *run) estimate(p *Preflight) float64 {
	threads := r.Compute.Threads
	if threads == 0 {
		threads = goruntime.GOMAXPROCS(0)
	}
	rate := products(block.New(r.Compute.ISA), threads) // multiply-adds a second
	forward := 0.7 * rate
	if r.Compute.ISA >= kernels.AMX {
		forward *= 5
	}
	all := int64(0)
	for _, m := range Modules(&r.shape.Config) {
		if m.Layer < r.End {
			all += m.Weights()
		}
	}
	seconds := float64(all) * float64(p.Tokens) / forward
	for i := range r.modules {
		m := &r.modules[i]
		w := float64(m.Weights())
		switch {
		case r.Recipe.Method == solve.SparseGPT:
			seconds += w * float64(m.In) / 1e9
		case r.Recipe.Method != solve.Armor:
			seconds += w * 50e-9
		case r.Recipe.Solver == solve.Adam:
			out, in := r.Recipe.blocks(m)
			seconds += float64(r.Recipe.Iterations) * w * 8 * float64(out+in) / rate
		default:
			out, in := r.Recipe.blocks(m)
			// Products of blocks, and the descent, which waits for itself.
			seconds += float64(r.Recipe.Sweeps) * w * (4.2*float64(out+in)/rate + 1.3*float64(64)/rate)
			seconds += w * 50e-9
		}
		switch g := r.Recipe.grid(m.In); {
		case g.Core > 0 && g.Rounding != solve.Refit && g.Rounding != solve.Plain:
			seconds += w * 700e-9 / float64(threads)
		case integers(g) && g.Rounding != solve.Plain:
			seconds += w * 150e-9 / float64(threads)
		}
	}
	if r.Recipe.Budget.Set() {
		per := float64(r.Recipe.Budget.Tokens) * (float64(all)/2 + float64(r.shape.Config.Vocab*r.shape.Config.Dim))
		seconds += float64(len(r.modules)) * per / forward
	}
	return seconds
}

// products measures how many multiply-adds a second block products do on all
// threads together, in about a tenth of a second.
func products(m block.Math, threads int) float64 {
	const b, tries, reps = 128, 5, 16
	best := time.Duration(1 << 62)
	memory := make([][]float32, threads)
	for i := range memory {
		memory[i] = make([]float32, 3*b*b)
	}
	for range tries {
		began := time.Now()
		_ = parallel.Do(threads, threads, func(_, i int) error {
			x := memory[i]
			for range reps {
				m.Mul(x[2*b*b:], b, block.Set, x, b, 1, x[b*b:], b, b, b, b)
			}
			return nil
		})
		best = min(best, time.Since(began))
	}
	return float64(threads) * reps * b * b * b / best.Seconds()
}

// check refuses a job that cannot keep within most bytes; 0 is no bound.
func (p Preflight) check(most int64) error {
	if most > 0 && p.Spilled > most {
		return fmt.Errorf("memory: the job needs %d MiB, the bound is %d MiB: shorter samples need less", p.Spilled>>20, most>>20)
	}
	return nil
}
