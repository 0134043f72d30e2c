package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"armor/bench/quality"
	"armor/internal/cli"
	"armor/model"
	"armor/model/tokenizer"
	"armor/runtime"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

type perplexityFlags struct {
	modelFlags
	file     string
	ctx      int
	stride   int
	windows  int
	mode     string
	against  string
	kv       string
	json     bool
	keepCRLF bool
	quiet    bool
}

func newPerplexity() *cobra.Command {
	f := &perplexityFlags{}
	c := &cobra.Command{
		Use:   "perplexity [flags] -f FILE",
		Short: "Measure how well a model predicts a text",
		Long: `Measure how well a model predicts a text, in windows of --ctx tokens.

Mode hf scores all but the first token of each window; windows do not overlap,
or begin every --stride tokens and score what the one before has not. Mode
llamacpp scores the second half of each window, as llama.cpp's tool does.
With --against, the same windows run through another model, too: KL is the mean
divergence of this model from that one, whose keys and values are kept as --dtype.`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.add(c)
	c.Flags().StringVarP(&f.file, "file", "f", "", "the text")
	c.Flags().IntVar(&f.ctx, "ctx", 512, "tokens of a window")
	c.Flags().IntVar(&f.stride, "stride", 0, "tokens from one window to the next (mode hf; default: --ctx)")
	c.Flags().IntVar(&f.windows, "windows", 0, "score the first N windows (default: all)")
	c.Flags().StringVar(&f.mode, "mode", string(quality.ModeHF), "`hf|llamacpp`: which tokens are scored")
	c.Flags().StringVar(&f.against, "against", "", "compare with another `model`")
	addKVFlag(c, &f.kv)
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.Flags().BoolVar(&f.keepCRLF, "keep-crlf", false, "take a text with CRLF line ends as it is")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	return c
}

func (f *perplexityFlags) run(c *cobra.Command) error {
	o := quality.Options{Window: f.ctx, Stride: f.stride, Windows: f.windows, Mode: quality.Mode(f.mode), BOS: -1}
	switch {
	case f.file == "":
		return cli.Usage(errors.New("no text: give one with --file"))
	case o.Mode != quality.ModeHF && o.Mode != quality.ModeLlamaCPP:
		return cli.Usage(fmt.Errorf("--mode: got %q, want hf or llamacpp", f.mode))
	case f.ctx < 2 || f.stride < 0 || f.stride > f.ctx || f.windows < 0:
		return cli.Usage(errors.New("--ctx: want at least 2; --stride: want 1 to --ctx; --windows: want 1 or more"))
	}
	var err error
	if o.KV, err = runtime.ParseKV(f.kv); err != nil {
		return cli.Usage(fmt.Errorf("--kv: %w", err))
	}
	text, err := f.text()
	if err != nil {
		return err
	}
	m, err := f.load(c.Context())
	if err != nil {
		return err
	}
	defer m.Backend.Close()
	ids := m.Tokenizer.Encode(text, tokenizer.Options{AddSpecial: true})
	var other *model.Model
	if f.against != "" {
		g := f.modelFlags
		g.model = f.against
		if other, err = g.load(c.Context()); err != nil {
			return err
		}
		defer other.Backend.Close()
		if err := sameTokens(m, other, ids, other.Tokenizer.Encode(text, tokenizer.Options{AddSpecial: true})); err != nil {
			return err
		}
	}
	bos := m.Tokenizer.Encode("", tokenizer.Options{AddSpecial: true})
	if len(bos) > 0 {
		o.BOS = bos[0]
	}
	r, err := quality.Perplexity(c.Context(), m, other, ids, o, f.progress)
	if err != nil {
		if c.Context().Err() != nil {
			return cli.ErrInterrupted
		}
		return fmt.Errorf("%s: %w", f.file, err)
	}
	if f.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(struct {
			Model, File, SHA256, Mode, BOS, KV string
			Window, Stride, TextTokens         int
			*quality.Result
		}{m.Path, f.file, digest(text), f.mode, f.bosPolicy(m, &o), o.KV.DType(m.Backend.Compute()).String(), o.Window, o.Stride, len(ids), r})
	}
	return f.print(c.OutOrStdout(), m, &o, r, text, len(ids))
}

func digest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// text reads the file. Line ends change the tokens, so CRLF is not guessed at.
func (f *perplexityFlags) text() (string, error) {
	text, err := readFile(f.file, 1<<30)
	if err != nil {
		return "", err
	}
	if !f.keepCRLF && strings.Contains(text, "\r\n") {
		return "", fmt.Errorf("%s: has CRLF line ends, which change its tokens: convert it, or take it as it is with --keep-crlf", f.file)
	}
	return text, nil
}

// sameTokens refuses to compare models that read a text as different tokens.
func sameTokens(a, b *model.Model, x, y []int32) error {
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Errorf("%s and %s: their tokenizers differ (token %d of the text), so they cannot be compared", a.Path, b.Path, i)
		}
	}
	if len(x) != len(y) || a.Decoder.Vocab != b.Decoder.Vocab {
		return fmt.Errorf("%s and %s: their vocabularies differ, so they cannot be compared", a.Path, b.Path)
	}
	return nil
}

func (f *perplexityFlags) bosPolicy(m *model.Model, o *quality.Options) string {
	name, _ := m.Tokenizer.Token(o.BOS)
	switch {
	case o.BOS < 0:
		return "none"
	case o.Mode == quality.ModeLlamaCPP:
		return name + " in place of each window's first token"
	default:
		return name + " before the text"
	}
}

// progress is one line that changes on a terminal.
func (f *perplexityFlags) progress(done, all int, r *quality.Result) {
	if f.quiet || !term.IsTerminal(int(os.Stderr.Fd())) {
		return
	}
	left := time.Duration(r.Seconds/float64(done)*float64(all-done)) * time.Second
	fmt.Fprintf(os.Stderr, "\r%d/%d windows  PPL %.4f ± %.4f  %v left \x1b[K", done, all, r.PPL, r.Error, left)
	if done == all {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

func (f *perplexityFlags) print(w io.Writer, m *model.Model, o *quality.Options, r *quality.Result, text string, tokens int) error {
	fmt.Fprintf(w, "text      %s, %d tokens, sha256 %s\n", f.file, tokens, digest(text))
	stride := ""
	if o.Stride > 0 {
		stride = fmt.Sprintf(" every %d", o.Stride)
	}
	fmt.Fprintf(w, "windows   %d of %d tokens%s, mode %s, %d tokens scored, BOS: %s\n", r.Windows, o.Window, stride, o.Mode, r.Tokens, f.bosPolicy(m, o))
	fmt.Fprintf(w, "speed     %.0f tokens/s, %s, keys and values in %v\n", float64(r.Windows*o.Window)/r.Seconds, m.Backend.Name(), o.KV.DType(m.Backend.Compute()))
	_, err := fmt.Fprintf(w, "PPL       %.4f ± %.4f\n", r.PPL, r.Error)
	if a := r.Against; a != nil {
		fmt.Fprintf(w, "against   %s, PPL %.4f\n", f.against, a.PPL)
		fmt.Fprintf(w, "KL        %.6f ± %.6f\n", a.KL, a.KLError)
		fmt.Fprintf(w, "top-1     %.3f %%\n", 100*a.Top1)
		_, err = fmt.Fprintf(w, "PPL ratio %.5f ± %.5f\n", a.Ratio, a.RatioError)
	}
	return err
}
