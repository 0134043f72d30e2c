package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"armor/internal/cli"
	"armor/prune"
	"armor/prune/report"

	"github.com/spf13/cobra"
)

func newInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect [flags] FOLDER",
		Short: "Say how a folder was pruned, or how far a job is",
		Args:  cli.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			data, err := os.ReadFile(filepath.Join(a[0], "armor_report.json"))
			if errors.Is(err, fs.ErrNotExist) {
				return inspectJob(c.OutOrStdout(), a[0])
			}
			if err != nil {
				return err
			}
			r, err := report.Read(data)
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			return printReport(c.OutOrStdout(), r)
		},
	}
}

func inspectJob(w io.Writer, target string) error {
	target = strings.TrimSuffix(filepath.Clean(target), ".partial")
	p, err := prune.Inspect(target)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "unfinished: %d of %d modules of %s are done; armor-prune resume %s goes on\n", p.Done, p.All, p.Model, target)
	return err
}

func printReport(out io.Writer, r *report.Report) error {
	type sum struct {
		n, dense      int
		before, after int64
		start, end    float64
	}
	var order []string
	kinds := map[string]*sum{}
	kind := func(name string) *sum {
		k := name[strings.LastIndex(name, ".")+1:]
		if kinds[k] == nil {
			kinds[k] = &sum{}
			order = append(order, k)
		}
		return kinds[k]
	}
	for i := range r.Modules {
		m := &r.Modules[i]
		s := kind(m.Name)
		s.n++
		s.before += m.BytesDense
		s.after += m.BytesPacked()
		s.start += m.LossStart
		s.end += m.LossRounded
	}
	for _, s := range r.Sensitivity {
		if s.KeptDense {
			kind(s.Name).dense++
		}
	}
	var recipe bytes.Buffer
	if err := json.Compact(&recipe, r.Recipe); len(r.Recipe) > 0 && err != nil {
		return err
	}
	fmt.Fprintf(out, "model     %s\nsize      %.1f MB of %.1f MB\nrecipe    %s\n", r.Source.Model, float64(r.BytesPacked)/1e6, float64(r.BytesDense)/1e6, recipe.String())
	if c := r.Calibration; c != nil {
		fmt.Fprintf(out, "text      %s, %d tokens, sha256 %s\n", c.File, c.Tokens, c.SHA256)
	}
	if e := r.Eval; e != nil {
		fmt.Fprintf(out, "perplexity %.3f → %.3f on %d windows of %s\n", e.PPLDense, e.PPLPacked, e.Windows, e.File)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "module\tpruned\tdense\tMB before\tMB after\tloss start\tloss\t")
	for _, k := range order {
		s := kinds[k]
		n := float64(max(1, s.n))
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t%.4f\t%.4f\t\n", k, s.n, s.dense, float64(s.before)/1e6, float64(s.after)/1e6, s.start/n, s.end/n)
	}
	return w.Flush()
}
