package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"armor/internal/cli"
	"armor/kernels"
	"armor/model"
	"armor/runtime"

	"github.com/spf13/cobra"
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
	c.Flags().StringVar(&f.weights, "weights", "auto", "keep matrices as `auto|bf16|f32|int8|int4`: auto keeps what is quantized quantized, int8 and int4 quantize")
	c.Flags().IntVar(&f.threads, "threads", 0, "worker threads (default: one for each processor)")
}

func addModelFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "model", "m", os.Getenv("ARMOR_MODEL"), "model: a `folder`, a .gguf file or ORG/NAME (default: $ARMOR_MODEL)")
}

// modelPath turns a model argument into a path: of a folder, of a GGUF file, or
// of what the hub's cache holds for ORG/NAME.
func modelPath(ctx context.Context, argument string) (string, error) {
	if argument == "" {
		return "", cli.Usage(errors.New("no model: give one with --model or ARMOR_MODEL"))
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
		return nil, cli.Usage(fmt.Errorf("--dtype: got %q, want bf16 or f32", f.dtype))
	}
	if f.threads < 0 || f.threads > kernels.MaxThreads {
		return nil, cli.Usage(fmt.Errorf("--threads: got %d, want 1 to %d", f.threads, kernels.MaxThreads))
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

// engineFlags are those of commands that generate.
type engineFlags struct {
	ctx     int
	kv      string
	logFile string
}

func (f *engineFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&f.ctx, "ctx", 0, "positions of context (default: the model's, at most 8192)")
	addKVFlag(c, &f.kv)
	c.Flags().StringVar(&f.logFile, "log-file", "", "append what was loaded and generated, without texts, to a `file`")
}

func addKVFlag(c *cobra.Command, kv *string) {
	c.Flags().StringVar(kv, "kv", "auto", "keep keys and values as `auto|bf16|f32|int8`: auto is --dtype")
}

// options are those of an engine for one sequence.
func (f *engineFlags) options() (runtime.Options, error) {
	o := runtime.Options{Context: f.ctx, Seqs: 1}
	var err error
	if o.KV, err = runtime.ParseKV(f.kv); err != nil {
		return o, cli.Usage(fmt.Errorf("--kv: %w", err))
	}
	if f.ctx < 0 {
		return o, cli.Usage(fmt.Errorf("--ctx: got %d, want 1 or more", f.ctx))
	}
	return o, nil
}

// logger appends to --log-file; without one it discards. Close it at the end.
func (f *engineFlags) logger() (*slog.Logger, io.Closer, error) {
	if f.logFile == "" {
		return slog.New(slog.DiscardHandler), io.NopCloser(nil), nil
	}
	out, err := os.OpenFile(f.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewTextHandler(out, nil)), out, nil
}

// logLoaded says what runs, in the log and with -v on standard error.
func logLoaded(log *slog.Logger, m *model.Model, e *runtime.Engine, took time.Duration, verbose bool) {
	log.Info("loaded", "model", m.Path, "architecture", m.Architecture, "storage", m.Storage, "backend", m.Backend.Name(),
		"seconds", took.Seconds(), "weight_bytes", m.Decoder.WeightBytes(), "context", e.Context())
	if verbose {
		fmt.Fprintf(os.Stderr, "%s: %s, %s, %s, loaded in %.2f s, weights %s, context %d\n", m.Path, m.Architecture,
			m.Storage, m.Backend.Name(), took.Seconds(), mebibytes(m.Decoder.WeightBytes()), e.Context())
	}
}

func logGenerated(log *slog.Logger, r *runtime.Result, seed uint64) {
	log.Info("generated", "prompt", r.Prompt, "reused", r.Reused, "tokens", len(r.Tokens), "reason", r.Reason,
		"prefill_seconds", r.Prefill.Seconds(), "decode_seconds", r.Decode.Seconds(), "seed", seed)
}
