// Package solve prunes one weight matrix in memory to the 2:4 pattern: two kept
// in each aligned group of four along the input. Method armor (arXiv 2510.05528)
// makes Ŵ = A·S·B with a 2:4 core S and block-diagonal A and B; the others are
// the baselines it is compared with.
package solve

import (
	"context"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"
	"time"

	"armor/kernels/block"
)

// Method is what is done to a layer.
type Method string

const (
	Armor     Method = "armor"     // A·S·B, the default
	Magnitude Method = "magnitude" // keeps the largest |w|
	Wanda     Method = "wanda"     // keeps the largest |w|·‖x‖ (arXiv 2306.11695)
	NoWagP    Method = "nowag-p"   // keeps the largest w̄²·h, w̄ normalized (arXiv 2504.14569)
	SparseGPT Method = "sparsegpt" // second-order updates (arXiv 2301.00774)
)

// Methods are all methods, the default first.
var Methods = []Method{Armor, Magnitude, Wanda, NoWagP, SparseGPT}

// Solver is how the armor method finds A, S and B.
type Solver string

const (
	BCD  Solver = "bcd"  // closed-form block coordinate descent, the default
	Adam Solver = "adam" // the paper's algorithm
)

// Solvers are all solvers, the default first.
var Solvers = []Solver{BCD, Adam}

// Hessian is Σ x·xᵀ over the calibration tokens, or parts of it.
type Hessian struct {
	Diag   []float64 // [In], always there; what is not finite and positive is replaced by the mean
	Block  int       // side of Blocks, a multiple of BlockIn
	Blocks []float32 // [In/Block, Block, Block], the diagonal blocks, or nil; bcd uses them
	Full   []float32 // [In, In], or nil; sparsegpt needs it
}

// Problem is one linear layer to prune, y = W·x. Nothing of it is modified.
type Problem struct {
	Out, In int       // In is a multiple of 4
	W       []float32 // [Out, In], finite
	Hessian Hessian
}

// Options say how to prune. The zero value is ARMOR by bcd.
type Options struct {
	Method Method
	Solver Solver

	// BlockOut and BlockIn are the heights and widths of A's and B's blocks:
	// divisors of Out and In, BlockIn a multiple of 4. 0 is DefaultBlocks'.
	BlockOut, BlockIn int

	Sweeps     int           // of bcd over A, B and core; 0 is 20
	Iterations int           // of adam; 0 is 20,000
	Limit      time.Duration // adam stops after it where > 0: the result then depends on the machine
	Seed       uint64        // of adam's draws
	Threads    int           // 0 is one for each processor; results do not depend on it
	Math       block.Math

	// Progress is told the relative loss after each sweep or iteration.
	Progress func(step int, loss float64)
}

// Layer is a pruned layer as it is stored: Ŵ = A·S·B, all values exact in bf16 or
// where there are codes equal to scale·code.
type Layer struct {
	Out, In           int
	BlockOut, BlockIn int       // 0 where A and B are nil
	A                 []float32 // [Out/BlockOut, BlockOut, BlockOut], nil for the identity
	B                 []float32 // [In/BlockIn, BlockIn, BlockIn], nil for the identity
	Values            []float32 // [Out, In/2], the kept values, ascending in column
	Core              *Codes    // of Values, a scale for a row and 64 inputs, or nil in bf16
	CodesA, CodesB    *Codes    // of A and B, a scale for each row of a block, or nil in bf16
	Mask              []uint8   // [Out, In/4], which two are kept: {0,1} {0,2} {0,3} {1,2} {1,3} {2,3} are 0 … 5
}

// Result is a pruned layer and how it came about. Losses are relative: Loss of
// the layer, so 0 is the dense layer and 1 is all zero.
type Result struct {
	Layer       Layer
	LossStart   float64   // of NoWag-P
	LossEnd     float64   // of the factors in f32
	LossRounded float64   // of Layer
	Curve       []float64 // LossStart, then the loss after each sweep or iteration; empty for baselines
	Steps       int       // sweeps or iterations
	Rises       int       // sweeps taken back because rounding errors raised the loss
	FellBack    bool      // the rounded factors were worse than rounded NoWag-P, which Layer is
	Seconds     float64
}

// DefaultBlocks are the largest of 128, 64, … 4 that divides both dimensions,
// else the largest power of two up to 128 of each.
func DefaultBlocks(out, in int) (blockOut, blockIn int) {
	for b := 128; b >= 4; b /= 2 {
		if out%b == 0 && in%b == 0 {
			return b, b
		}
	}
	largest := func(n int) int {
		b := 128
		for n%b != 0 {
			b /= 2
		}
		return b
	}
	return largest(out), largest(in)
}

// Prune prunes p. It fails if the sizes do not fit, if a weight is not finite,
// or when ctx ends. Armor's loss is never above NoWag-P's (the paper's Theorem
// 3.1), and that holds for the rounded layer.
func Prune(ctx context.Context, p *Problem, o Options) (_ *Result, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("internal error: %v", e)
		}
	}()
	began := time.Now()
	if err := o.complete(p); err != nil {
		return nil, err
	}
	if err := p.check(&o); err != nil {
		return nil, err
	}
	t, err := newTarget(p, &o)
	if err != nil {
		return nil, err
	}
	var r *Result
	switch {
	case o.Method == SparseGPT:
		r, err = t.sparseGPT(ctx)
	case o.Method != Armor:
		r = t.baseline(t.keep(o.Method))
	case o.Solver == Adam:
		r, err = t.solveAdam(ctx, &o)
	default:
		r, err = t.solveBCD(ctx, &o)
	}
	if err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// complete fills in the defaults and checks the options against p's sizes.
func (o *Options) complete(p *Problem) error {
	if p.Out <= 0 || p.In <= 0 || p.In%4 != 0 {
		return fmt.Errorf("weight of %d × %d: the second dimension must be a multiple of 4", p.Out, p.In)
	}
	if o.Method == "" {
		o.Method = Armor
	}
	if o.Solver == "" {
		o.Solver = BCD
	}
	if !slices.Contains(Methods, o.Method) {
		return fmt.Errorf("unknown method %q, want one of %v", o.Method, Methods)
	}
	if !slices.Contains(Solvers, o.Solver) {
		return fmt.Errorf("unknown solver %q, want one of %v", o.Solver, Solvers)
	}
	blockOut, blockIn := DefaultBlocks(p.Out, p.In)
	orDefault(&o.BlockOut, blockOut)
	orDefault(&o.BlockIn, blockIn)
	if o.BlockOut < 0 || p.Out%o.BlockOut != 0 {
		return fmt.Errorf("block %d does not divide the %d outputs", o.BlockOut, p.Out)
	}
	if o.BlockIn < 0 || o.BlockIn%4 != 0 || p.In%o.BlockIn != 0 {
		return fmt.Errorf("block %d is no multiple of 4 that divides the %d inputs", o.BlockIn, p.In)
	}
	orDefault(&o.Sweeps, 20)
	orDefault(&o.Iterations, 20000)
	orDefault(&o.Threads, goruntime.GOMAXPROCS(0))
	if o.Sweeps < 0 || o.Iterations < 0 || o.Threads < 0 {
		return fmt.Errorf("negative number of sweeps, iterations or threads")
	}
	if o.Progress == nil {
		o.Progress = func(int, float64) {}
	}
	return nil
}

func (p *Problem) check(o *Options) error {
	h := &p.Hessian
	if len(p.W) != p.Out*p.In {
		return fmt.Errorf("weight has %d values, want %d × %d", len(p.W), p.Out, p.In)
	}
	if len(h.Diag) != p.In {
		return fmt.Errorf("the Hessian's diagonal has %d values, want %d", len(h.Diag), p.In)
	}
	if h.Blocks != nil {
		if h.Block <= 0 || p.In%h.Block != 0 || len(h.Blocks) != p.In*h.Block {
			return fmt.Errorf("the Hessian's blocks of %d have %d values, want [%d / block, block, block]", h.Block, len(h.Blocks), p.In)
		}
		if h.Block%o.BlockIn != 0 {
			return fmt.Errorf("the Hessian's block %d is no multiple of the layer's, %d", h.Block, o.BlockIn)
		}
	}
	if o.Method == SparseGPT && h.Full == nil {
		return fmt.Errorf("%s needs the full Hessian", o.Method)
	}
	if h.Full != nil && len(h.Full) != p.In*p.In {
		return fmt.Errorf("the full Hessian has %d values, want %d × %d", len(h.Full), p.In, p.In)
	}
	for i, w := range p.W {
		if v := float64(w); math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("weight at row %d, column %d is %v", i/p.In, i%p.In, w)
		}
	}
	return nil
}

func orDefault(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}
