package main

import (
	"fmt"
	"math"
	goruntime "runtime"
	"sync"

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
		Args:  args(cobra.MaximumNArgs(1)),
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
		if err := scanMatrix(p.W); err != nil {
			return nil, fmt.Errorf("tensor %s: %w", p.Name, err)
		}
		if at := notFinite(p.Bias); at >= 0 {
			return nil, fmt.Errorf("tensor %s: bias %d is %v", p.Name, at, p.Bias[at])
		}
		s.weights += int64(p.W.Rows())*int64(p.W.Cols()) + int64(len(p.Bias))
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

// scanMatrix reads all rows, a part on each processor.
func scanMatrix(m kernels.Matrix) error {
	cols, rows := m.Cols(), m.Rows()
	step := max(1, scanElements/max(1, cols))
	workers := goruntime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					errs[w] = fmt.Errorf("internal error: %v", r)
				}
			}()
			buf := make([]float32, step*cols)
			for row := w * step; row < rows && errs[w] == nil; row += workers * step {
				n := min(step, rows-row)
				if errs[w] = m.ReadRows(buf, row, n); errs[w] != nil {
					return
				}
				if at := notFinite(buf[:n*cols]); at >= 0 {
					errs[w] = fmt.Errorf("row %d, column %d is %v", row+at/cols, at%cols, buf[at])
				}
				m.Release(row, n)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
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
