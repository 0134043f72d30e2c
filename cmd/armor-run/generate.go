package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"armor/internal/cli"
	"armor/model"
	"armor/model/tokenizer"
	"armor/model/tokenizer/chat"
	"armor/runtime"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

type generateFlags struct {
	modelFlags
	samplingFlags
	engineFlags
	prompt, file string
	logprobs     int
	json         bool
	raw          bool
	system       string
	quiet        bool
	verbose      bool
}

func newGenerate() *cobra.Command {
	f := &generateFlags{}
	c := &cobra.Command{
		Use:   "generate [flags] [PROMPT]",
		Short: "Continue a prompt",
		Long:  "Continue a prompt: an argument, --prompt, --file, or standard input. The text goes to standard output, everything else to standard error.",
		Args:  cli.Args(cobra.MaximumNArgs(1)),
		RunE:  func(c *cobra.Command, a []string) error { return f.run(c, a) },
	}
	f.modelFlags.add(c)
	f.samplingFlags.add(c)
	c.Flags().StringVarP(&f.prompt, "prompt", "p", "", "the prompt")
	c.Flags().StringVarP(&f.file, "file", "f", "", "read the prompt from a `file`")
	c.Flags().BoolVar(&f.raw, "raw", false, "continue the prompt as it is, without the model's chat template")
	c.Flags().StringVar(&f.system, "system", "", "a system message for the chat template")
	f.engineFlags.add(c)
	c.Flags().IntVar(&f.logprobs, "logprobs", -1, "with --json: log-probabilities of each token and of the `N` most likely")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object at the end instead of the text")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but the text")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print what runs")
	return c
}

func (f *generateFlags) run(c *cobra.Command, a []string) error {
	options, err := f.options()
	if err != nil {
		return err
	}
	if f.logprobs >= 0 && !f.json {
		return cli.Usage(errors.New("--logprobs: goes with --json"))
	}
	prompt, err := f.readPrompt(c, a)
	if err != nil {
		return err
	}
	begin := time.Now()
	m, err := f.load(c.Context())
	if err != nil {
		return err
	}
	defer m.Backend.Close()
	e, err := runtime.New(m, options)
	if err != nil {
		return err
	}
	params, err := f.params(c, &m.Generation)
	if err != nil {
		return err
	}
	ids, err := f.encode(m, prompt)
	if err != nil {
		return err
	}
	g := runtime.Generation{
		Prompt:    ids,
		Sampling:  params,
		MaxTokens: f.tokens,
		Stop:      f.stop,
		IgnoreEOS: f.ignoreEOS,
		Logprobs:  f.logprobs,
	}
	log, closer, err := f.logger()
	if err != nil {
		return err
	}
	defer closer.Close()
	logLoaded(log, m, e, time.Since(begin), f.verbose)
	var text strings.Builder
	r, err := e.Generate(c.Context(), g, func(piece string) error {
		if f.json {
			text.WriteString(piece)
			return nil
		}
		_, err := io.WriteString(os.Stdout, piece)
		return err
	})
	if err != nil {
		return err
	}
	logGenerated(log, &r, params.Seed)
	if f.json {
		return f.printJSON(m, text.String(), &r, params.Seed)
	}
	if f.verbose {
		defer printBandwidth(m, &r)
	}
	return f.finish(r, params.Seed)
}

// printBandwidth compares what decoding read with a plain read of memory.
func printBandwidth(m *model.Model, r *runtime.Result) {
	b, ok := m.Backend.(interface{ Bandwidth() float64 })
	if !ok || len(r.Tokens) < 2 {
		return
	}
	stream := b.Bandwidth()
	if stream == 0 {
		return
	}
	bytes := m.Decoder.WeightBytes()
	if m.Decoder.Head != m.Decoder.Embedding { // of which a token reads one row
		bytes -= m.Decoder.Embedding.Bytes()
	}
	moved := float64(bytes) * rate(len(r.Tokens)-1, r.Decode)
	fmt.Fprintf(os.Stderr, "weights read %s a token, %.1f GB/s, %.0f %% of a streaming read (%.1f GB/s)\n", mebibytes(bytes), moved/1e9, 100*moved/stream, stream/1e9)
}

// encode puts the prompt into the model's chat template, if it has one.
func (f *generateFlags) encode(m *model.Model, prompt string) ([]int32, error) {
	if f.raw || errors.Is(m.TemplateError, chat.ErrNoTemplate) {
		if f.system != "" {
			return nil, cli.Usage(errors.New("--system: goes with a chat template"))
		}
		return m.Tokenizer.Encode(prompt, tokenizer.Options{AddSpecial: true, ParseSpecial: true}), nil
	}
	var messages []chat.Message
	if f.system != "" {
		messages = append(messages, chat.Text("system", f.system))
	}
	return runtime.Prompt(m, append(messages, chat.Text("user", prompt)))
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
		return cli.ErrInterrupted
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
		return "", cli.Usage(errors.New("more than one prompt: give an argument, --prompt or --file"))
	case len(a) > 0:
		return a[0], nil
	case c.Flags().Changed("prompt"):
		return f.prompt, nil
	case f.file != "":
		return readFile(f.file, maxPrompt)
	case term.IsTerminal(int(os.Stdin.Fd())):
		return "", cli.Usage(errors.New("no prompt: give an argument, --prompt, --file or standard input"))
	default:
		return readAll(os.Stdin, "standard input", maxPrompt)
	}
}

// readFile reads a file of at most so many bytes.
func readFile(path string, most int64) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	return readAll(in, path, most)
}

// readAll reads at most so many bytes, or fails under that name.
func readAll(r io.Reader, name string, most int64) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(data)) > most {
		return "", fmt.Errorf("%s: more than %d MiB", name, most>>20)
	}
	return string(data), nil
}
