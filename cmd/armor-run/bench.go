package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"armor/bench/latency"
	"armor/internal/cli"
	"armor/kernels"
	"armor/model"
	"armor/model/armorfmt"
	"armor/model/builtin"
	"armor/model/checkpoint"
	"armor/model/nn"
	"armor/runtime"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

type benchFlags struct {
	models      []string
	against     string
	weights     string
	shape       string
	dense       []string
	armor       []string
	layers      int
	block       int
	shareB      bool
	prompt      int
	generate    int
	batch       []int
	repetitions int
	threads     []int
	dtype       string
	kv          string
	output      string
	noStream    bool
	quiet       bool
	bars        bool
	config      bool
}

func newBench() *cobra.Command {
	f := &benchFlags{}
	c := &cobra.Command{
		Use:   "bench [flags]",
		Short: "Measure how fast models run, ARMOR and dense in turns",
		Long: `Measure prefill of -p tokens, and decoding of -n more for each of -b sequences at
once, of several models in turns, beside what memory streams in the same minute.

With models (-m, repeatable), --against names the model that they are compared
with, or bf16, f32, int8 or int4: a dense one of the first model's shape with
random weights. With --shape all weights are random: dense models in the types
of --dense and ARMOR ones in those of --armor, of that shape, a name or a
config.json. Speed does not depend on what the weights are.`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	n := c.Flags()
	n.StringArrayVarP(&f.models, "model", "m", nil, "a model, repeatable: a `folder`, a .gguf file or ORG/NAME (default: $ARMOR_MODEL)")
	n.StringVar(&f.against, "against", "", "compare with a `model`, or with random weights in bf16, f32, int8 or int4")
	n.StringVar(&f.weights, "weights", "auto", "keep the models' matrices as `auto|bf16|f32|int8|int4`")
	n.StringVar(&f.shape, "shape", "", "measure random weights of a `shape`: "+strings.Join(latency.ShapeNames(), ", ")+", or a config.json")
	n.StringSliceVar(&f.dense, "dense", []string{"bf16", "f32", "int8", "int4"}, "with --shape: the dense models, the first of them in CSV and JSONL")
	n.StringSliceVar(&f.armor, "armor", []string{"bf16", "int8", "int4"}, "with --shape: the ARMOR models, by the type of their cores (int8 and int4: A and B are int8, the head as the core)")
	n.BoolVar(&f.config, "config", false, "with --shape: print its config.json, and measure nothing")
	n.IntVar(&f.layers, "layers", 0, "with --shape: take so many layers (default: all)")
	n.IntVar(&f.block, "block", 128, "with --shape: the largest block of A and B, 0 for a 2:4 core without them")
	n.BoolVar(&f.shareB, "share-b", false, "with --shape: one B for q, k and v, and one for gate and up")
	n.IntVarP(&f.prompt, "prompt", "p", 512, "tokens of a prefill, and before each decode (0: no prefill)")
	n.IntVarP(&f.generate, "generate", "n", 128, "tokens that a decode generates for each sequence (0: no decodes)")
	n.IntSliceVarP(&f.batch, "batch", "b", []int{1, 4, 16, 64}, "sequences that decode at once")
	n.IntVarP(&f.repetitions, "repetitions", "r", 5, "repetitions of each test")
	n.IntSliceVar(&f.threads, "threads", nil, "worker threads, several for several measurements (default: one for each processor)")
	n.BoolVar(&f.bars, "bars", false, "measure what the kernels are held to, shapes of Llama 3.2 1B and 3.1 8B, and say what is met")
	n.StringVar(&f.dtype, "dtype", "bf16", "compute in `bf16|f32`")
	addKVFlag(c, &f.kv)
	n.StringVarP(&f.output, "output", "o", "md", "print `md|csv|json|jsonl`")
	n.BoolVar(&f.noStream, "no-stream", false, "do not measure what memory streams, which takes 1 GiB of it")
	n.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	return c
}

func (f *benchFlags) run(c *cobra.Command) error {
	o, err := f.options()
	if err != nil {
		return cli.Usage(err)
	}
	isa, err := kernels.ParseISA(os.Getenv("ARMOR_ISA"))
	if err != nil {
		return fmt.Errorf("ARMOR_ISA: %w", err)
	}
	compute := dtypes[f.dtype]
	o.Backend = func(threads int) (kernels.Backend, error) {
		return kernels.NewCPU(kernels.Options{ISA: isa, Compute: compute, Threads: threads})
	}
	o.Progress = f.progress
	if f.noStream {
		o.StreamBytes = -1
	}
	if f.bars {
		return f.runBars(c, o)
	}
	title := ""
	if f.shape != "" {
		var config []byte
		if title, config, err = f.shapeConfig(); err == nil && f.config {
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", bytes.TrimSpace(config))
			return err
		}
		o.Subjects = f.random(f.shape, config)
	} else {
		title, o.Subjects, err = f.loadable(c.Context())
	}
	if err != nil {
		return err
	}
	r, err := latency.Run(c.Context(), title, o)
	f.clearProgress()
	if err != nil {
		if c.Context().Err() != nil {
			return cli.ErrInterrupted
		}
		return err
	}
	return r.Write(c.OutOrStdout(), f.output)
}

var dtypes = map[string]kernels.DType{"bf16": kernels.BF16, "f32": kernels.F32}

// denseTypes are those that a dense model can be kept in.
var denseTypes = []string{"bf16", "f32", "int8", "int4"}

// options checks the flags; what is wrong with them is an error of usage.
func (f *benchFlags) options() (o latency.Options, err error) {
	o = latency.Options{Prompt: f.prompt, Generate: f.generate, Batch: f.batch, Repetitions: f.repetitions, Threads: f.threads}
	if len(o.Threads) == 0 {
		o.Threads = []int{goruntime.GOMAXPROCS(0)}
	}
	kv, err := runtime.ParseKV(f.kv)
	if err != nil {
		return o, fmt.Errorf("--kv: %w", err)
	}
	o.KV = kv.DType(dtypes[f.dtype])
	outside := func(values []int, least, most int) bool {
		return slices.ContainsFunc(values, func(v int) bool { return v < least || v > most })
	}
	one := func(name, got string, of []string) error {
		if slices.Contains(of, got) {
			return nil
		}
		return fmt.Errorf("--%s: got %q, want one of %s", name, got, strings.Join(of, ", "))
	}
	for _, err := range []error{one("dtype", f.dtype, []string{"bf16", "f32"}),
		one("output", f.output, latency.Formats), one("weights", f.weights, append([]string{"auto"}, denseTypes...))} {
		if err != nil {
			return o, err
		}
	}
	for _, d := range f.dense {
		if err := one("dense", d, denseTypes); err != nil {
			return o, err
		}
	}
	for _, a := range f.armor {
		if err := one("armor", a, denseTypes); err != nil {
			return o, err
		}
	}
	switch {
	case f.prompt < 0 || f.prompt > latency.MaxTokens || f.generate < 0 || f.generate > latency.MaxTokens || f.prompt+f.generate == 0:
		return o, fmt.Errorf("-p and -n: got %d and %d, want 0 to %d, and one of them above 0", f.prompt, f.generate, latency.MaxTokens)
	case len(f.batch) == 0 || outside(f.batch, 1, latency.MaxBatch):
		return o, fmt.Errorf("-b: got %v, want 1 to %d", f.batch, latency.MaxBatch)
	case f.repetitions < 1:
		return o, fmt.Errorf("-r: got %d, want 1 or more", f.repetitions)
	case outside(f.threads, 1, kernels.MaxThreads):
		return o, fmt.Errorf("--threads: got %v, want 1 to %d", f.threads, kernels.MaxThreads)
	case f.bars && (f.shape != "" || len(f.models) > 0 || f.against != "" || len(f.threads) > 1):
		return o, errors.New("--bars chooses models itself: give it without --shape, -m, --against and at most one --threads")
	case f.shape != "" && (len(f.models) > 0 || f.against != ""):
		return o, errors.New("--shape makes its own models: give it without -m and --against")
	case f.shape == "" && (f.layers != 0 || f.shareB || f.config):
		return o, errors.New("--config, --layers and --share-b belong to --shape")
	case f.layers < 0 || f.layers > nn.MaxLayers:
		return o, fmt.Errorf("--layers: got %d, want 1 to %d", f.layers, nn.MaxLayers)
	case f.block < 0 || f.block > 1024 || f.block&(f.block-1) != 0 || f.block > 0 && f.block < 4:
		return o, fmt.Errorf("--block: got %d, want 0 or a power of two from 4 to 1024", f.block)
	}
	return o, nil
}

// shapeConfig is the config.json of --shape, and a title for what is measured.
func (f *benchFlags) shapeConfig() (title string, config []byte, err error) {
	config, err = latency.ShapeConfig(f.shape)
	if strings.HasSuffix(f.shape, ".json") {
		text, readErr := readFile(f.shape, 1<<20)
		config, err = []byte(text), readErr
	}
	if err != nil {
		return "", nil, cli.Usage(fmt.Errorf("--shape: %w", err))
	}
	whole, err := latency.ParseShape(f.shape, config)
	if err != nil {
		return "", nil, err
	}
	title = f.shape + ", random weights"
	if f.layers > whole.Layers {
		return "", nil, cli.Usage(fmt.Errorf("--layers: got %d, %s has %d", f.layers, f.shape, whole.Layers))
	}
	if f.layers > 0 && f.layers < whole.Layers {
		if config, err = latency.WithLayers(config, f.layers); err != nil {
			return "", nil, err
		}
		title = fmt.Sprintf("%s, %d of %d layers (so the head counts for more than in the whole), random weights", f.shape, f.layers, whole.Layers)
	}
	return title, config, nil
}

// random are the models of --dense and --armor of a shape.
func (f *benchFlags) random(shape string, config []byte) (all []latency.Subject) {
	for _, d := range f.dense {
		all = append(all, randomDense(shape, config, d, "dense "+d))
	}
	p := &latency.Pruning{Block: f.block, ShareB: f.shareB}
	for _, a := range f.armor {
		name := fmt.Sprintf("ARMOR %s, block %d", a, f.block)
		if f.block == 0 {
			name = "2:4 " + a
		} else if f.shareB {
			name += ", shared B"
		}
		all = append(all, latency.Subject{Name: name, Weights: nn.Weights(a), Type: a,
			Open: func() (*checkpoint.Checkpoint, error) { return latency.RandomModel(shape, config, p) }})
	}
	return all
}

func randomDense(shape string, config []byte, kept, name string) latency.Subject {
	return latency.Subject{Name: name, Weights: nn.Weights(kept), Type: kept, Against: true,
		Open: func() (*checkpoint.Checkpoint, error) { return latency.RandomModel(shape, config, nil) }}
}

// loadable are the models of -m and --against.
func (f *benchFlags) loadable(ctx context.Context) (title string, all []latency.Subject, err error) {
	names := f.models
	if v := os.Getenv("ARMOR_MODEL"); len(names) == 0 && v != "" {
		names = []string{v}
	}
	if len(names) == 0 {
		fmt.Fprintln(os.Stderr, "armor-run: no --model: this is the built-in one, a small teller of stories")
		all = append(all, latency.Subject{Name: "built-in", Weights: nn.Weights(f.weights), Open: builtin.Open})
	}
	for _, n := range names {
		s, err := f.subject(ctx, n)
		if err != nil {
			return "", nil, err
		}
		all = append(all, s)
	}
	title = all[0].Name
	switch {
	case f.against == "":
		return title, all, nil
	case slices.Contains(denseTypes, f.against):
		config, err := denseConfig(&all[0])
		if err != nil {
			return "", nil, err
		}
		all = append(all, randomDense(all[0].Name, config, f.against, "random dense "+f.against))
	default:
		s, err := f.subject(ctx, f.against)
		if err != nil {
			return "", nil, err
		}
		s.Against = true
		all = append(all, s)
	}
	return title + " against " + all[len(all)-1].Name, all, nil
}

// subject is a model of the disk, called as its folder or file is.
func (f *benchFlags) subject(ctx context.Context, argument string) (latency.Subject, error) {
	path, err := findModel(ctx, argument)
	if err != nil {
		return latency.Subject{}, err
	}
	name := filepath.Base(filepath.Clean(path))
	if path != argument {
		name = argument // ORG/NAME lies in a folder named by a hash
	}
	return latency.Subject{Name: name, Weights: nn.Weights(f.weights),
		Open: func() (*checkpoint.Checkpoint, error) { return model.Open(path) }}, nil
}

// denseConfig is the config of a model, or of what it was pruned from.
func denseConfig(s *latency.Subject) (config []byte, err error) {
	ck, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	if ck.GGUF() != nil {
		return nil, cli.Usage(fmt.Errorf("--against: %s is a GGUF file: name a model to compare it with", s.Name))
	}
	pruned, err := armorfmt.ReadConfig(ck)
	if err != nil || pruned == nil {
		return ck.Config(), err
	}
	return armorfmt.BaseConfig(ck.Config())
}

// progress is one line that changes on a terminal.
func (f *benchFlags) progress(s latency.Step) {
	if f.quiet || !term.IsTerminal(int(os.Stderr.Fd())) {
		return
	}
	fmt.Fprintf(os.Stderr, "\r%s × %d, %d threads, repetition %d of %d: %s \x1b[K", s.Test, s.Batch, s.Threads, s.Repetition+1, f.repetitions, s.Model)
}

func (f *benchFlags) clearProgress() {
	if !f.quiet && term.IsTerminal(int(os.Stderr.Fd())) {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
