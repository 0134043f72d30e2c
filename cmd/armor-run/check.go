package main

import (
	"fmt"
	"math"

	"armor/internal/cli"
	"armor/internal/parallel"
	"armor/kernels"
	"armor/model"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "check [flags] [MODEL]",
		Short: "Read all of a model and say whether it is sound",
		Long:  "Read all of a model (config, tokenizer, every weight) and say whether it is sound: exit status 0, or 1 and one line that says why not.",
		Args:  cli.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if len(a) > 0 {
				path = a[0]
			}
			path, err := modelPath(c.Context(), path)
			if err != nil {
				return err
			}
			b := &scanner{}
			m, err := model.Load(path, b, model.Options{})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s, %.1f M weights, all finite; tokenizer of %d\n",
				path, m.Architecture, float64(b.weights)/1e6, m.Tokenizer.VocabSize())
			return err
		},
	}
	addModelFlag(c, &path)
	return c
}

// scanner is a Backend that keeps nothing: it reads what it is given and looks
// for values that are not finite.
type scanner struct {
	kernels.Backend // nil: a loader calls only what is below
	weights         int64
}

func (s *scanner) Compute() kernels.DType { return kernels.BF16 }

// scanned stands for what a Backend would have packed.
type scanned struct{ kernels.Group }

func (s *scanner) NewGroup(parts ...kernels.Part) (kernels.Group, error) {
	for i := range parts {
		p := &parts[i]
		for _, m := range []kernels.Matrix{p.W, p.A, p.B} {
			if m == nil {
				continue
			}
			if err := scanMatrix(m); err != nil {
				return nil, fmt.Errorf("tensor %s: %w", p.Name, err)
			}
			s.weights += int64(m.Rows()) * int64(m.Cols())
		}
		if p.Core != nil {
			if err := scanCore(p.Core); err != nil {
				return nil, fmt.Errorf("tensor %s: %w", p.Name, err)
			}
			s.weights += int64(p.Core.Rows()) * int64(p.Core.Cols()) / 2
		}
		if at := notFinite(p.Bias); at >= 0 {
			return nil, fmt.Errorf("tensor %s: bias %d is %v", p.Name, at, p.Bias[at])
		}
		s.weights += int64(len(p.Bias))
	}
	return scanned{}, nil
}

func (s *scanner) Upload(_, _ int, data []float32) (kernels.Buf, error) {
	if at := notFinite(data); at >= 0 {
		return nil, fmt.Errorf("element %d is %v", at, data[at])
	}
	s.weights += int64(len(data))
	return nil, nil
}

// scanElements is how many elements a worker reads at a time.
const scanElements = 1 << 18

// scan calls read for all rows of a matrix, a part on each processor, and
// releases them.
func scan(m rowed, read func(row, n int) error) error {
	step := max(1, scanElements/max(1, m.Cols()))
	return parallel.Do(0, (m.Rows()+step-1)/step, func(_, task int) error {
		row := task * step
		n := min(step, m.Rows()-row)
		if err := read(row, n); err != nil {
			return err
		}
		m.Release(row, n)
		return nil
	})
}

// rowed is what a kernels.Matrix and a kernels.Sparse have in common.
type rowed interface {
	Rows() int
	Cols() int
	Release(row, n int)
}

func scanMatrix(m kernels.Matrix) error {
	cols := m.Cols()
	return scan(m, func(row, n int) error {
		buf := make([]float32, n*cols)
		if err := m.ReadRows(buf, row, n); err != nil {
			return err
		}
		if at := notFinite(buf); at >= 0 {
			return fmt.Errorf("row %d, column %d is %v", row+at/cols, at%cols, buf[at])
		}
		return nil
	})
}

// scanCore reads a 2:4 matrix, which checks itself.
func scanCore(m kernels.Sparse) error {
	cols := m.Cols()
	return scan(m, func(row, n int) error {
		return m.ReadCore(make([]float32, n*cols/2), make([]uint8, n*cols/4), row, n)
	})
}

// notFinite is the index of the first NaN or infinity, or -1.
func notFinite(x []float32) int {
	for i, v := range x {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return i
		}
	}
	return -1
}
