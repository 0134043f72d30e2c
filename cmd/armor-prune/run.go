package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"armor/internal/cli"
	"armor/kernels"
	"armor/prune"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// runFlags are the settings of a job.
type runFlags struct {
	recipe  prune.Recipe
	file    string // recipe
	calib   string
	eval    string
	windows int
	sparse  string
	maxPPL  string
	layers  string
	memory  string
	threads int
	logFile string
	dryRun  bool
	quiet   bool
}

func newRun() *cobra.Command {
	f := &runFlags{recipe: prune.DefaultRecipe()}
	c := &cobra.Command{
		Use:   "run [flags] --calib FILE MODEL OUT",
		Short: "Prune a model into a new folder",
		Long: `Prune the linear layers of MODEL, a folder or ORG/NAME, into the new folder OUT.

Work in progress is kept in OUT.partial: after Ctrl-C, or a crash, armor-prune
resume goes on from the last module. MODEL is only read.

With --max-kl, --max-ppl or --sparse, what each module costs is measured first, and
those that cost most for the bytes they save stay dense.`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error { return f.run(c, a[0], a[1]) },
	}
	f.add(c)
	return c
}

func (f *runFlags) add(c *cobra.Command) {
	r, flags := &f.recipe, c.Flags()
	flags.StringVar(&f.calib, "calib", "", "calibration text: a `file` .txt, .jsonl, either with .gz, or .parquet")
	flags.StringVar((*string)(&r.Method), "method", string(r.Method), "`armor|magnitude|wanda|nowag-p|sparsegpt`")
	flags.StringVar((*string)(&r.Solver), "solver", string(r.Solver), "`bcd|adam`: how armor finds its factors")
	flags.IntVar(&r.Block, "block", r.Block, "side of the wrappers' blocks, halved where it does not divide a module")
	flags.IntVar(&r.Sweeps, "sweeps", r.Sweeps, "of bcd")
	flags.IntVar(&r.Iterations, "iterations", r.Iterations, "of adam")
	flags.StringVar((*string)(&r.Statistics), "statistics", string(r.Statistics), "`diag|block`: what is gathered of the activations")
	addTypes(flags, &r.Types)
	flags.IntVar(&r.Samples, "samples", r.Samples, "windows of calibration text")
	flags.IntVar(&r.SeqLen, "seqlen", r.SeqLen, "tokens of each window")
	flags.Uint64Var(&r.Seed, "seed", r.Seed, "chooses the windows, and adam's steps")
	flags.Float64Var(&r.Budget.MaxKL, "max-kl", 0, "keep modules dense so that KL(dense‖pruned) stays below, in `nats` a token")
	flags.StringVar(&f.maxPPL, "max-ppl", "", "keep modules dense so that perplexity grows at most so much, such as `+5%`")
	flags.StringVar(&f.sparse, "sparse", "", "prune this share of the weights, such as `75%`, where it costs least")
	flags.IntVar(&r.Budget.Tokens, "sensitivity-tokens", 1024, "tokens that the cost of each module is measured on")
	flags.StringVar(&f.file, "recipe", "", "read method, solver, block … from a YAML `file`; flags go before it")
	flags.StringVar(&f.layers, "layers", "", "prune only layers `A:B`; armor-prune merge joins the parts")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what the job will need, and do nothing")
	f.addWork(c)
}

// addTypes adds what numbers a folder is stored in.
func addTypes(flags *pflag.FlagSet, t *prune.Types) {
	flags.StringVar(&t.Core, "core-dtype", t.Core, "store cores as `bf16|int8|int4`")
	flags.StringVar(&t.Wrappers, "wrapper-dtype", t.Wrappers, "store A and B as `bf16|int8`")
	flags.StringVar(&t.Head, "head-dtype", t.Head, "store embedding and head as `bf16|int8|int4`, bf16 being what they were")
	flags.StringVar((*string)(&t.Rounding), "rounding", string(t.Rounding), "`descent|refit|plain`: how codes are found")
	flags.Float64Var(&t.Int8Above, "int8-above", t.Int8Above, "keep a core in int8 where int4 would raise its loss by more than this `factor`, such as 1.5")
}

// addWork adds the flags that do not change what comes out.
func (f *runFlags) addWork(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.memory, "max-memory", "", "refuse to need more, such as `12GiB`")
	flags.StringVar(&f.eval, "eval", "", "measure perplexity on a text `file` before and after")
	flags.IntVar(&f.windows, "eval-windows", 0, "measure the first `N` windows of 1024 tokens (default: all)")
	flags.IntVar(&f.threads, "threads", 0, "worker threads (default: one for each processor)")
	flags.StringVar(&f.logFile, "log-file", "", "append events as JSON lines to a `file`")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
}

// readRecipe takes the settings of the file that flags have not set. Its keys are
// those that armor_report.json has under recipe.
func (f *runFlags) readRecipe(flags *pflag.FlagSet) error {
	if f.file == "" {
		return nil
	}
	in, err := os.Open(f.file)
	if err != nil {
		return err
	}
	defer in.Close()
	given := map[string]string{} // the flags write into the recipe, which the file does next
	flags.Visit(func(g *pflag.Flag) { given[g.Name] = g.Value.String() })
	const most = 1 << 20
	tokens := f.recipe.Budget.Tokens
	f.recipe = prune.DefaultRecipe()
	f.recipe.Budget.Tokens = tokens
	if err := yaml.NewDecoder(io.LimitReader(in, most), yaml.Strict()).Decode(&f.recipe); err != nil && !errors.Is(err, io.EOF) {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%s: %s", f.file, line)
	}
	for name, value := range given {
		if err := flags.Lookup(name).Value.Set(value); err != nil {
			return err
		}
	}
	return nil
}

// budget reads the flags that are not plain numbers.
func (f *runFlags) budget() (err error) {
	b := &f.recipe.Budget
	if f.sparse != "" {
		if b.Sparse, err = percent(f.sparse); err != nil {
			return fmt.Errorf("--sparse: %w", err)
		}
	}
	if f.maxPPL != "" {
		if b.MaxPPL, err = growth(f.maxPPL); err != nil {
			return err
		}
	}
	if !b.Set() {
		*b = prune.Budget{}
	}
	return f.recipe.Check()
}

// growth reads the flag --max-ppl: "+5%", "5%" or "0.05".
func growth(s string) (float64, error) {
	share, err := percent(strings.TrimPrefix(s, "+"))
	if err != nil {
		return 0, fmt.Errorf("--max-ppl: %w", err)
	}
	return share, nil
}

// percent reads "75%" or "0.75".
func percent(s string) (float64, error) {
	digits, isPercent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(v > 0) || v > 1e4 {
		return 0, fmt.Errorf("got %q, want a share such as 75%%", s)
	}
	if isPercent {
		v /= 100
	}
	return v, nil
}

// bytesOf reads "12GiB", "500M" or a number of bytes.
func bytesOf(s string) (int64, error) {
	number := strings.TrimRight(s, "KMGTiB")
	unit := strings.TrimSuffix(strings.TrimSuffix(s[len(number):], "B"), "i")
	shift := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
	bits, ok := shift[unit]
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(v > 0) || v*float64(int64(1)<<bits) > 1<<60 {
		return 0, fmt.Errorf("got %q, want a size such as 12GiB", s)
	}
	return int64(v * float64(int64(1)<<bits)), nil
}

// job turns the flags into a job.
func (f *runFlags) job(source, target string) (j *prune.Job, err error) {
	if err := f.budget(); err != nil {
		return nil, cli.Usage(err)
	}
	if f.calib == "" {
		return nil, cli.Usage(errors.New("no calibration text: give one with --calib"))
	}
	j = &prune.Job{Target: target, Calib: f.calib, Recipe: f.recipe}
	if j.Source, err = cli.FindModel(source); err != nil {
		return nil, err
	}
	if f.layers != "" {
		if n, err := fmt.Sscanf(f.layers, "%d:%d", &j.First, &j.End); n != 2 || err != nil || j.First < 0 || j.End <= j.First {
			return nil, cli.Usage(fmt.Errorf("--layers: got %q, want A:B, such as 0:12", f.layers))
		}
	}
	return j, f.work(j)
}

// compute is what the flag --threads and the environment say.
func compute(threads int) (c prune.Compute, err error) {
	if threads < 0 || threads > kernels.MaxThreads {
		return c, cli.Usage(fmt.Errorf("--threads: got %d, want 1 to %d", threads, kernels.MaxThreads))
	}
	if c.ISA, err = kernels.ParseISA(os.Getenv("ARMOR_ISA")); err != nil {
		return c, fmt.Errorf("ARMOR_ISA: %w", err)
	}
	c.Threads = threads
	return c, nil
}

// work takes the flags that do not change what comes out.
func (f *runFlags) work(j *prune.Job) (err error) {
	if f.memory != "" {
		if j.Memory, err = bytesOf(f.memory); err != nil {
			return cli.Usage(fmt.Errorf("--max-memory: %w", err))
		}
	}
	if j.Compute, err = compute(f.threads); err != nil {
		return err
	}
	j.Version, j.Peak = versionString(), cli.PeakMemory
	if f.eval != "" {
		j.Evaluate = f.evaluate
	}
	return nil
}

func (f *runFlags) run(c *cobra.Command, source, target string) error {
	if err := f.readRecipe(c.Flags()); err != nil {
		return err
	}
	j, err := f.job(source, target)
	if err != nil {
		return err
	}
	if f.dryRun {
		p, err := j.Preflight()
		if err != nil {
			return err
		}
		return printPreflight(c.OutOrStdout(), p, j.Memory)
	}
	return f.start(c, j)
}

func (f *runFlags) start(c *cobra.Command, j *prune.Job) error {
	if f.logFile != "" {
		out, err := os.OpenFile(f.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer out.Close()
		j.Log = slog.New(slog.NewJSONHandler(out, nil))
	}
	if !f.quiet {
		j.Progress = progress{os.Stderr}.event
	}
	if err := j.Run(c.Context()); err != nil {
		return err
	}
	return f.done(c.OutOrStdout(), j)
}

func newResume() *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "resume [flags] OUT",
		Short: "Go on with a job that was stopped",
		Long: `Go on with the job that was to write OUT, from what it left in OUT.partial. The
folder is the same, byte for byte, as if the job had not been stopped. The model and
the calibration text must be where they were, and the same.`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			j, err := prune.Unfinished(a[0])
			if err != nil {
				return err
			}
			return f.goOn(c, j)
		},
	}
	f.addWork(c)
	return c
}

// goOn runs a job that has its settings already.
func (f *runFlags) goOn(c *cobra.Command, j *prune.Job) error {
	if err := f.work(j); err != nil {
		return err
	}
	return f.start(c, j)
}
