package prune

import (
	"armor/internal/parallel"
	"armor/kernels/block"
)

// Statistics says how much of H = Σ x·xᵀ is gathered for a module's input.
type Statistics string

const (
	Diagonal Statistics = "diag"
	Blocks   Statistics = "block" // the diagonal blocks of the module's B
	Full     Statistics = "full"
)

// gram is H of one input. Sums run over the tokens in order, so they do not
// depend on the number of threads.
type gram struct {
	in     int
	tokens int
	diag   []float64 // [in]
	block  int       // 0 without blocks; in for a full matrix
	blocks []float32 // [in/block, block, block]

}

func newGram(in, block int) *gram {
	g := &gram{in: in, diag: make([]float64, in), block: block}
	if block > 0 {
		g.blocks = make([]float32, in*block)
	}
	return g
}

// diagColumns is how many columns of the diagonal a task adds up.
const diagColumns = 64

// add adds the rows of x [rows, in].
func (g *gram) add(m block.Math, threads int, x []float32) error {
	rows := len(x) / g.in
	g.tokens += rows
	err := parallel.Do(threads, (g.in+diagColumns-1)/diagColumns, func(_, task int) error {
		first := task * diagColumns
		sum := g.diag[first:min(first+diagColumns, g.in)]
		for r := range rows {
			for i, v := range x[r*g.in+first:][:len(sum)] {
				sum[i] += float64(v) * float64(v)
			}
		}
		return nil
	})
	if err != nil || g.block == 0 {
		return err
	}
	// Tasks are strips of rows of H's blocks.
	const strip = 64
	b := g.block
	strips := (b + strip - 1) / strip
	return parallel.Do(threads, g.in/b*strips, func(_, task int) error {
		k, first := task/strips, task%strips*strip
		at := x[k*b:]
		m.Mul(g.blocks[(k*b+first)*b:], b, block.Add, at[first:], 1, g.in, at, g.in, min(strip, b-first), b, rows)
		return nil
	})
}
