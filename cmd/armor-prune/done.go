package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"armor/internal/cli"
	"armor/model/armorfmt"
	"armor/prune"
	"armor/prune/report"
)

// printQuantized says how large the new folder is.
func printQuantized(w io.Writer, target string, predicted float64) error {
	r, err := readReport(target)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %.1f MB of %.1f MB dense, %v\n", target, float64(r.BytesPacked)/1e6, float64(r.BytesDense)/1e6, took(r))
	if predicted > 0 {
		wider := 0
		for i := range r.Modules {
			if r.Modules[i].CoreDType == armorfmt.Int8 {
				wider++
			}
		}
		fmt.Fprintf(w, "%d of %d cores in int8; predicted perplexity × %.3f of bf16's\n", wider, len(r.Modules), 1+predicted)
	}
	_, err = fmt.Fprintf(w, "report: %s\n", filepath.Join(target, "armor_report.html"))
	return err
}

func readReport(target string) (*report.Report, error) {
	data, err := os.ReadFile(filepath.Join(target, "armor_report.json"))
	if err != nil {
		return nil, err
	}
	return report.Read(data)
}

// took is how long it was made for, to tenths of a second.
func took(r *report.Report) time.Duration {
	return time.Duration(r.Seconds * float64(time.Second)).Round(time.Second / 10)
}

// done says what a job has made.
func (f *runFlags) done(w io.Writer, j *prune.Job) error {
	r, err := readReport(j.Target)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(w, "layers %d to %d are pruned, in %s; armor-prune merge joins them with the others\n", j.First, j.End-1, j.Partial())
	}
	if err != nil || r == nil {
		return err
	}
	fmt.Fprintf(w, "%s: %.1f MB of %.1f MB, %v", j.Target, float64(r.BytesPacked)/1e6, float64(r.BytesDense)/1e6, took(r))
	if peak := cli.PeakMemory(); peak > 0 {
		fmt.Fprintf(w, ", peak memory %d MiB", peak>>20)
	}
	fmt.Fprintln(w)
	if p := r.Prediction; p != nil {
		fmt.Fprintf(w, "%d modules pruned, %d dense; predicted perplexity × %.3f\n", len(r.Modules), r.KeptDense(), p.PredictedPPLRatio)
	}
	if e := r.Eval; e != nil {
		fmt.Fprintf(w, "perplexity %.3f → %.3f (× %.3f) on %d windows of %d tokens of %s\n", e.PPLDense, e.PPLPacked, e.PPLPacked/e.PPLDense, e.Windows, e.Window, e.File)
	}
	_, err = fmt.Fprintf(w, "report: %s\n", filepath.Join(j.Target, "armor_report.html"))
	return err
}
