package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"armor/kernels"
	"armor/model"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// modelFlags are those of every command that loads a model.
type modelFlags struct {
	model   string
	dtype   string
	weights string
	threads int
}

func (f *modelFlags) add(c *cobra.Command) {
	addModelFlag(c, &f.model)
	c.Flags().StringVar(&f.dtype, "dtype", "bf16", "compute in `bf16|f32`: how activations are rounded, and weights kept")
	c.Flags().StringVar(&f.weights, "weights", "auto", "keep matrices as `auto|bf16|f32`: auto keeps quantized ones quantized")
	c.Flags().IntVar(&f.threads, "threads", 0, "worker threads (default: one for each processor)")
}

func addModelFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "model", "m", os.Getenv("ARMOR_MODEL"), "model: a `folder`, a .gguf file or ORG/NAME (default: $ARMOR_MODEL)")
}

// modelPath turns a model argument into a path: of a folder, of a GGUF file, or
// of what the hub's cache holds for ORG/NAME.
func modelPath(ctx context.Context, argument string) (string, error) {
	if argument == "" {
		return "", usageError{errors.New("no model: give one with --model or ARMOR_MODEL")}
	}
	return findModel(ctx, argument)
}

// backend makes the backend that the flags and ARMOR_ISA ask for.
func (f *modelFlags) backend() (kernels.Backend, error) {
	var o kernels.Options
	switch f.dtype {
	case "bf16":
		o.Compute = kernels.BF16
	case "f32":
		o.Compute = kernels.F32
	default:
		return nil, usageError{fmt.Errorf("--dtype: got %q, want bf16 or f32", f.dtype)}
	}
	if f.threads < 0 || f.threads > kernels.MaxThreads {
		return nil, usageError{fmt.Errorf("--threads: got %d, want 1 to %d", f.threads, kernels.MaxThreads)}
	}
	o.Threads = f.threads
	var err error
	if o.ISA, err = kernels.ParseISA(os.Getenv("ARMOR_ISA")); err != nil {
		return nil, fmt.Errorf("ARMOR_ISA: %w", err)
	}
	return kernels.NewCPU(o)
}

// load opens the model on a new backend; closing the backend frees both.
// Without a model argument it is the built-in one, and standard error says so.
func (f *modelFlags) load(ctx context.Context) (*model.Model, error) {
	path := ""
	if f.model != "" {
		var err error
		if path, err = findModel(ctx, f.model); err != nil {
			return nil, err
		}
	}
	b, err := f.backend()
	if err != nil {
		return nil, err
	}
	m, err := f.open(path, b)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return m, nil
}

func (f *modelFlags) open(path string, b kernels.Backend) (*model.Model, error) {
	o := model.Options{Weights: f.weights}
	if path != "" {
		return model.Load(path, b, o)
	}
	fmt.Fprintln(os.Stderr, "armor-run: no --model: this is the built-in one, a small teller of stories")
	return model.LoadBuiltin(b, o)
}

// suggestFlag names the flag nearest to one that does not exist.
func suggestFlag(c *cobra.Command, err error) string {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return ""
	}
	best, at := "", 3
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < at {
			best, at = f.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean --%s?)", best)
}

// distance is the number of letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
