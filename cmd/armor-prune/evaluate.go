package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"armor/bench/quality"
	"armor/kernels"
	"armor/model"
	"armor/model/tokenizer"
	"armor/prune"
)

// evalWindow is the tokens of a window of --eval.
const evalWindow = 1024

// evaluate measures perplexity of the dense model and of the pruned folder on
// the same windows.
func (f *runFlags) evaluate(ctx context.Context, source, folder string, c prune.Compute) (*prune.Evaluation, error) {
	text, err := os.ReadFile(f.eval)
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(text), "\r\n") {
		return nil, fmt.Errorf("%s: has CRLF line ends, which change its tokens", f.eval)
	}
	var models [2]*model.Model
	for i, path := range []string{folder, source} {
		b, err := kernels.NewCPU(kernels.Options{ISA: c.ISA, Compute: kernels.BF16, Threads: c.Threads})
		if err != nil {
			return nil, err
		}
		defer b.Close()
		if models[i], err = model.Load(path, b, model.Options{}); err != nil {
			return nil, err
		}
	}
	ids := models[0].Tokenizer.Encode(string(text), tokenizer.Options{AddSpecial: true})
	o := quality.Options{Window: min(evalWindow, models[0].Decoder.Context), Windows: f.windows, Mode: quality.ModeHF, BOS: -1}
	r, err := quality.Perplexity(ctx, models[0], models[1], ids, o, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.eval, err)
	}
	a := r.Against
	return &prune.Evaluation{File: f.eval, Windows: r.Windows, Window: o.Window, Dense: a.PPL, Pruned: r.PPL, Ratio: a.Ratio,
		RatioError: a.RatioError, KL: a.KL}, nil
}

func printPreflight(w io.Writer, p prune.Preflight, most int64) error {
	const mib = 1 << 20
	memory, how := p.Memory, "calibration states in memory"
	if most > 0 && memory > most {
		memory, how = p.Spilled, "calibration states in a file"
	}
	_, err := fmt.Fprintf(w, "prunes   %.1f M weights on %d tokens\nmemory   %d MiB at most (%s)\ndisk     %d MiB\ntime     about %v\n",
		float64(p.Weights)/1e6, p.Tokens, memory/mib, how, p.Disk/mib, time.Duration(p.Seconds*float64(time.Second)).Round(time.Second))
	return err
}
