package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"armor/internal/cli"
	"armor/kernels"
	"armor/prune"

	"github.com/spf13/cobra"
)

func newSensitivity() *cobra.Command {
	m := prune.Measurement{}
	var threads int
	var asJSON, quiet bool
	c := &cobra.Command{
		Use:   "sensitivity [flags] --calib FILE MODEL FOLDER",
		Short: "Measure what each pruned module costs",
		Long: `Measure, for each pruned module of FOLDER, how far the predictions of the dense MODEL
move when that module alone is the pruned one: the mean KL divergence in nats a token.
They add up to about ln(perplexity/dense) of the whole folder.`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) (err error) {
			if m.Calib == "" {
				return cli.Usage(errors.New("no text: give one with --calib"))
			}
			if m.Tokens < 64 || threads < 0 || threads > kernels.MaxThreads {
				return cli.Usage(errors.New("--tokens: want 64 or more; --threads: want 1 or more"))
			}
			if m.Compute.ISA, err = kernels.ParseISA(os.Getenv("ARMOR_ISA")); err != nil {
				return fmt.Errorf("ARMOR_ISA: %w", err)
			}
			m.Compute.Threads = threads
			if m.Dense, err = cli.FindModel(a[0]); err != nil {
				return err
			}
			m.Pruned = a[1]
			if !quiet {
				m.Progress = progress{os.Stderr}.event
			}
			all, err := m.Measure(c.Context())
			if err != nil {
				if c.Context().Err() != nil {
					return cli.ErrInterrupted
				}
				return err
			}
			return printSensitivities(c.OutOrStdout(), all, asJSON)
		},
	}
	c.Flags().StringVar(&m.Calib, "calib", "", "text to measure on: a `file` .txt, .jsonl, either with .gz, or .parquet")
	c.Flags().IntVar(&m.Tokens, "tokens", 1024, "how much of it")
	c.Flags().Uint64Var(&m.Seed, "seed", 0, "chooses the windows")
	c.Flags().IntVar(&threads, "threads", 0, "worker threads (default: one for each processor)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}

// printSensitivities lists the modules, the costliest for what they save first.
func printSensitivities(w io.Writer, all []prune.Sensitivity, asJSON bool) error {
	type row struct {
		Name       string  `json:"name"`
		KL         float64 `json:"kl"`
		BytesSaved int64   `json:"bytes_saved"`
	}
	rows, sum := make([]row, len(all)), 0.0
	for i, s := range all {
		rows[i] = row{s.Module.Name, s.KL, s.Saved}
		sum += s.KL
	}
	if asJSON {
		return json.NewEncoder(w).Encode(rows)
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Compare(b.KL/float64(b.BytesSaved), a.KL/float64(a.BytesSaved))
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "module\tKL, nats a token\tKB saved\tKL/MB\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.5f\t%.0f\t%.5f\t\n", r.Name, r.KL, float64(r.BytesSaved)/1e3, r.KL/float64(r.BytesSaved)*1e6)
	}
	fmt.Fprintf(t, "all\t%.5f\t\t\t\n", sum)
	return t.Flush()
}
