package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"armor/model"
	"armor/model/tokenizer"
	"armor/runtime"
	"armor/runtime/sample"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

type generateFlags struct {
	modelFlags
	prompt, file string
	tokens, ctx  int
	temp, topP   float32
	topK         int
	seed         uint64
	stop         []string
	ignoreEOS    bool
	quiet        bool
	verbose      bool
}

func newGenerate() *cobra.Command {
	f := &generateFlags{}
	c := &cobra.Command{
		Use:   "generate [flags] [PROMPT]",
		Short: "Continue a prompt",
		Long:  "Continue a prompt: an argument, --prompt, --file, or standard input. The text goes to standard output, everything else to standard error.",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE:  func(c *cobra.Command, a []string) error { return f.run(c, a) },
	}
	f.add(c)
	c.Flags().StringVarP(&f.prompt, "prompt", "p", "", "the prompt")
	c.Flags().StringVarP(&f.file, "file", "f", "", "read the prompt from a `file`")
	c.Flags().IntVarP(&f.tokens, "tokens", "n", 256, "most tokens to generate, 0: to the end of the context")
	c.Flags().IntVar(&f.ctx, "ctx", 0, "positions of context (default: the model's, at most 8192)")
	c.Flags().Float32Var(&f.temp, "temp", 0.8, "temperature, 0: always the most likely token (default: the model's, else 0.8)")
	c.Flags().IntVar(&f.topK, "top-k", 40, "choose among the K most likely tokens, 0: all (default: the model's, else 40)")
	c.Flags().Float32Var(&f.topP, "top-p", 0.95, "choose among the tokens that hold this mass (default: the model's, else 0.95)")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the choice (default: random)")
	c.Flags().StringArrayVar(&f.stop, "stop", nil, "end before this `text` (repeatable)")
	c.Flags().BoolVar(&f.ignoreEOS, "ignore-eos", false, "go on after the model's end token")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but the text")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print what runs")
	for _, name := range []string{"temp", "top-k", "top-p", "seed"} {
		c.Flag(name).DefValue = "" // the text says it
	}
	return c
}

func (f *generateFlags) run(c *cobra.Command, a []string) error {
	if f.tokens < 0 || f.ctx < 0 {
		return usageError{errors.New("--tokens and --ctx: want 0 or more")}
	}
	if err := needModel(f.model); err != nil {
		return err
	}
	prompt, err := f.readPrompt(c, a)
	if err != nil {
		return err
	}
	begin := time.Now()
	m, err := f.load()
	if err != nil {
		return err
	}
	defer m.Backend.Close()
	e, err := runtime.New(m, runtime.Options{Context: f.ctx, Seqs: 1})
	if err != nil {
		return err
	}
	g := runtime.Generation{
		Prompt:    m.Tokenizer.Encode(prompt, tokenizer.Options{AddSpecial: true, ParseSpecial: true}),
		Sampling:  f.sampling(c, &m.Generation),
		MaxTokens: f.tokens,
		Stop:      f.stop,
		Logprobs:  -1,
		IgnoreEOS: f.ignoreEOS,
	}
	if err := g.Sampling.Check(); err != nil {
		return usageError{err}
	}
	if f.verbose {
		fmt.Fprintf(os.Stderr, "%s: %s, %s, loaded in %.2f s, weights %s, context %d\n", m.Path, m.Architecture,
			m.Backend.Name(), time.Since(begin).Seconds(), mebibytes(m.Decoder.WeightBytes()), e.Context())
	}
	out := os.Stdout
	r, err := e.Generate(c.Context(), g, func(text string) error {
		_, err := io.WriteString(out, text)
		return err
	})
	if err != nil {
		return err
	}
	return f.finish(r, g.Sampling.Seed)
}

// finish ends the text with a line break on a terminal and reports.
func (f *generateFlags) finish(r runtime.Result, seed uint64) error {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		fmt.Println()
	}
	if !f.quiet {
		if !term.IsTerminal(int(os.Stdout.Fd())) {
			fmt.Fprintln(os.Stderr)
		}
		fmt.Fprintf(os.Stderr, "prompt %d tokens %.1f/s · generated %d tokens %.1f/s · peak memory %s · seed %d · %s\n",
			r.Prompt, rate(r.Prompt, r.Prefill), len(r.Tokens), rate(len(r.Tokens)-1, r.Decode), peakMemory(), seed, reasons[r.Reason])
	}
	if r.Reason == runtime.ReasonCancel {
		return errInterrupted
	}
	return nil
}

var reasons = map[runtime.Reason]string{
	runtime.ReasonStop:    "stopped",
	runtime.ReasonLength:  "length reached (--tokens)",
	runtime.ReasonContext: "context full (--ctx)",
	runtime.ReasonCancel:  "interrupted",
}

func rate(n int, d time.Duration) float64 {
	if n <= 0 || d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// sampling takes flags first, then the model's generation_config.json.
func (f *generateFlags) sampling(c *cobra.Command, g *model.Generation) sample.Params {
	p := sample.Params{Temperature: f.temp, TopK: f.topK, TopP: f.topP, Seed: f.seed}
	set := c.Flags().Changed
	if !set("temp") && g.Temperature != nil {
		p.Temperature = *g.Temperature
	}
	if !set("temp") && g.DoSample != nil && !*g.DoSample {
		p.Temperature = 0
	}
	if !set("top-k") && g.TopK != nil {
		p.TopK = *g.TopK
	}
	if !set("top-p") && g.TopP != nil {
		p.TopP = *g.TopP
	}
	if !set("seed") {
		p.Seed = rand.Uint64() & math.MaxUint32
	}
	return p
}

// maxPrompt bounds what is read as a prompt; no context is as long.
const maxPrompt = 64 << 20

func (f *generateFlags) readPrompt(c *cobra.Command, a []string) (string, error) {
	given := 0
	for _, is := range []bool{len(a) > 0, c.Flags().Changed("prompt"), f.file != ""} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return "", usageError{errors.New("more than one prompt: give an argument, --prompt or --file")}
	case len(a) > 0:
		return a[0], nil
	case c.Flags().Changed("prompt"):
		return f.prompt, nil
	case f.file != "":
		in, err := os.Open(f.file)
		if err != nil {
			return "", err
		}
		defer in.Close()
		return readAll(in, f.file)
	case term.IsTerminal(int(os.Stdin.Fd())):
		return "", usageError{errors.New("no prompt: give an argument, --prompt, --file or standard input")}
	default:
		return readAll(os.Stdin, "standard input")
	}
}

func readAll(r io.Reader, name string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(bufio.NewReader(r), maxPrompt+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxPrompt {
		return "", fmt.Errorf("%s: more than %d MiB", name, maxPrompt>>20)
	}
	return string(data), nil
}
