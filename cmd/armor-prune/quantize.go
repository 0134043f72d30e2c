package main

import (
	"errors"
	"os"

	"armor/internal/cli"
	"armor/prune"
	"armor/prune/solve"

	"github.com/spf13/cobra"
)

func newQuantize() *cobra.Command {
	q := prune.Quantization{Types: prune.DefaultTypes()}
	recipe := prune.DefaultRecipe()
	var plain, quiet bool
	var maxPPL string
	c := &cobra.Command{
		Use:   "quantize [flags] MODEL OUT",
		Short: "Store a pruned model in int8 or int4",
		Long: `Store the ARMOR folder MODEL, whose cores are in bf16, in the folder OUT with cores,
wrappers, embedding and head in other numbers. The codes are searched, and A and B
follow them, so that each layer stays near what it was, or near the dense model's:
for inputs like those of the calibration text, or for all alike without one. MODEL is
only read.`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) (err error) {
			if plain {
				if c.Flags().Changed("rounding") && q.Types.Rounding != solve.Plain {
					return cli.Usage(errors.New("want one of --plain and --rounding"))
				}
				q.Types.Rounding = solve.Plain
			}
			if maxPPL != "" {
				if q.MaxPPL, err = growth(maxPPL); err != nil {
					return cli.Usage(err)
				}
			}
			recipe.Types, recipe.Samples, recipe.SeqLen = q.Types, q.Samples, q.SeqLen
			if err := recipe.Check(); err != nil {
				return cli.Usage(err)
			}
			if q.Compute, err = compute(q.Compute.Threads); err != nil {
				return err
			}
			if q.Source, err = cli.FindModel(a[0]); err != nil {
				return err
			}
			if q.Dense != "" {
				if q.Dense, err = cli.FindModel(q.Dense); err != nil {
					return err
				}
			}
			q.Target, q.Version = a[1], versionString()
			if !quiet {
				q.Progress = progress{os.Stderr}.event
			}
			if err := q.Run(c.Context()); err != nil {
				if c.Context().Err() != nil {
					return cli.ErrInterrupted
				}
				return err
			}
			return printQuantized(c.OutOrStdout(), q.Target, q.Predicted)
		},
	}
	addTypes(c.Flags(), &q.Types)
	c.Flags().BoolVar(&plain, "plain", false, "the same as --rounding plain")
	c.Flags().StringVar(&q.Dense, "dense", "", "the `model` that MODEL was made of: come near that instead of MODEL itself")
	c.Flags().StringVar(&maxPPL, "max-ppl", "", "of cores in int4, keep so many in int8 that perplexity grows at most so much from bf16, such as `+5%`")
	c.Flags().IntVar(&q.Tokens, "sensitivity-tokens", 1024, "tokens that --max-ppl measures each module on")
	c.Flags().StringVar(&q.Calib, "calib", "", "calibration text: a `file` .txt, .jsonl, either with .gz, or .parquet")
	c.Flags().IntVar(&q.Samples, "samples", recipe.Samples, "windows of calibration text")
	c.Flags().IntVar(&q.SeqLen, "seqlen", recipe.SeqLen, "tokens of each window")
	c.Flags().Uint64Var(&q.Seed, "seed", 0, "chooses the windows")
	c.Flags().IntVar(&q.Compute.Threads, "threads", 0, "worker threads (default: one for each processor)")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}
