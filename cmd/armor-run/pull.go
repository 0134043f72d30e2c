package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"armor/internal/cli"
	"armor/model/hub"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

type pullFlags struct {
	revision string
	quiet    bool
}

func newPull() *cobra.Command {
	f := &pullFlags{}
	c := &cobra.Command{
		Use:   "pull [flags] ORG/NAME[:FILE.gguf]",
		Short: "Download a model from the Hugging Face hub",
		Long: `Download a model from the Hugging Face hub (HF_ENDPOINT, HF_TOKEN) into its ordinary
cache (HF_HUB_CACHE, HF_HOME), where Python's libraries find it too, and print its path.
A pull that was stopped goes on where it was.`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error { return f.run(c, a[0]) },
	}
	c.Flags().StringVar(&f.revision, "revision", "", "branch, tag or commit (default: main)")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but the path")
	return c
}

func (f *pullFlags) run(c *cobra.Command, name string) error {
	if _, err := hub.ParseName(name); err != nil {
		return cli.Usage(err)
	}
	o, err := cli.HubOptions(os.Getenv)
	if err != nil {
		return err
	}
	o.Revision = f.revision
	path, err := pull(c.Context(), name, o, f.quiet)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), path)
	return err
}

// pull downloads a model and shows how far it is on standard error.
func pull(ctx context.Context, name string, o hub.Options, quiet bool) (string, error) {
	if v := os.Getenv("HF_HUB_OFFLINE"); v != "" && v != "0" {
		return "", fmt.Errorf("%s: not pulled, as HF_HUB_OFFLINE=%s asks for no network", name, v)
	}
	show := newPullProgress(os.Stderr, term.IsTerminal(int(os.Stderr.Fd())), quiet)
	path, err := hub.Pull(ctx, name, o, show.event)
	show.close()
	if errors.Is(err, context.Canceled) {
		if !quiet {
			fmt.Fprintln(os.Stderr, "armor-run: interrupted; the same command goes on from here")
		}
		return "", cli.ErrInterrupted
	}
	return path, err
}

// findModel turns a model argument into a path: what is on disk as it is, and
// ORG/NAME[:FILE.gguf] as it lies in the cache of the hub. If it is not there, a
// terminal is offered to pull it; else the error names the command.
func findModel(ctx context.Context, argument string) (string, error) {
	path, err := cli.FindModel(argument)
	var absent *hub.NotCachedError
	if !errors.As(err, &absent) {
		return path, err
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stderr.Fd())) {
		return "", fmt.Errorf("%w, nor is there such a file; to download it: armor-run pull %s", err, argument)
	}
	fmt.Fprintf(os.Stderr, "%v.\nDownload it from the Hugging Face hub? [Y/n] ", err)
	yes, err := readYes(ctx, os.Stdin)
	if err != nil {
		return "", err
	}
	if !yes {
		return "", fmt.Errorf("%s: not downloaded", argument)
	}
	o, err := cli.HubOptions(os.Getenv)
	if err != nil {
		return "", err
	}
	return pull(ctx, argument, o, false)
}

// readYes reads one line, of which an empty one means yes, until Ctrl-C.
func readYes(ctx context.Context, r io.Reader) (bool, error) {
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		a := answer{err: errors.New("internal error: no answer")}
		defer func() { _ = recover(); answers <- a }()
		a.line, a.err = bufio.NewReader(r).ReadString('\n')
	}()
	select {
	case <-ctx.Done():
		return false, cli.ErrInterrupted
	case a := <-answers:
		if a.err != nil {
			return false, fmt.Errorf("no answer: %w", a.err)
		}
		word := strings.ToLower(strings.TrimSpace(a.line))
		return word == "" || word == "y" || word == "yes", nil
	}
}

const (
	pullLines  = 5 * time.Second // between two lines where there is no terminal
	pullOwnBar = 1 << 20         // smaller files have no bar
)

// pullProgress shows a pull: bars on a terminal, else lines.
type pullProgress struct {
	out     io.Writer
	quiet   bool
	bars    *mpb.Progress // nil without a terminal
	total   *mpb.Bar
	files   map[string]*pulledFile
	size    int64
	begin   time.Time    // of the first byte
	line    time.Time    // of the last line
	fetched atomic.Int64 // bytes that came; a bar reads it
}

type pulledFile struct {
	done int64
	bar  *mpb.Bar
}

func newPullProgress(out io.Writer, terminal, quiet bool) *pullProgress {
	p := &pullProgress{out: out, quiet: quiet, files: map[string]*pulledFile{}, begin: time.Now()}
	if terminal && !quiet {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh())
		p.out = p.bars // lines go above the bars
	}
	return p
}

// event is what hub.Pull calls, never twice at a time.
func (p *pullProgress) event(e hub.Event) {
	if p.quiet {
		return
	}
	if e.Note != "" {
		fmt.Fprintf(p.out, "armor-run: %s\n", strings.TrimPrefix(e.File+": "+e.Note, ": "))
	}
	if e.File == "" {
		return
	}
	f := p.files[e.File]
	if f == nil {
		f = &pulledFile{done: e.Done}
		p.files[e.File] = f
		p.size += e.Size
	} else if e.Done != f.done || e.Finished {
		p.step(f, e)
	}
	if p.bars != nil {
		p.drawTotal()
	}
}

func (p *pullProgress) step(f *pulledFile, e hub.Event) {
	if p.line.IsZero() {
		p.begin, p.line = time.Now(), time.Now()
		if done := p.done(); done < p.size {
			fmt.Fprintf(p.out, "armor-run: %d files, %s, of which %s are here\n", len(p.files), mebibytes(p.size), mebibytes(done))
		}
	}
	p.fetched.Add(max(e.Done-f.done, 0))
	f.done = e.Done
	switch {
	case p.bars == nil:
		if time.Since(p.line) >= pullLines {
			p.line = time.Now()
			fmt.Fprintf(p.out, "armor-run: %s of %s%s\n", mebibytes(p.done()), mebibytes(p.size), p.rate())
		}
	case f.bar == nil && e.Size >= pullOwnBar && !e.Finished:
		f.bar = p.newBar(0, e.File, "")
		f.bar.SetTotal(e.Size, false)
		fallthrough
	case f.bar != nil:
		f.bar.SetCurrent(f.done)
		if e.Finished {
			f.bar.Abort(true)
		}
	}
}

// done is the bytes on disk.
func (p *pullProgress) done() (n int64) {
	for _, f := range p.files {
		n += f.done
	}
	return n
}

func (p *pullProgress) rate() string {
	seconds := time.Since(p.begin).Seconds()
	if seconds < 1 {
		return ""
	}
	return fmt.Sprintf(", %.1f MiB/s", float64(p.fetched.Load())/seconds/(1<<20))
}

func (p *pullProgress) drawTotal() {
	if p.total == nil {
		p.total = p.newBar(1, "total", " % .1f / % .1f")
	}
	p.total.SetTotal(p.size, false)
	p.total.SetCurrent(p.done())
}

// newBar adds a bar, lower the higher its priority. A bar ends by Abort alone: a
// file may have to begin again.
func (p *pullProgress) newBar(priority int, name, counters string) *mpb.Bar {
	if long := []rune(name); len(long) > 40 {
		name = "…" + string(long[len(long)-39:])
	}
	end := []decor.Decorator{decor.Percentage(decor.WC{W: 5})}
	if counters != "" {
		begin := p.begin
		end = append(end, decor.CountersKibiByte(counters), decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf(" %.1f MiB/s", float64(p.fetched.Load())/max(time.Since(begin).Seconds(), 0.001)/(1<<20))
		}))
	}
	return p.bars.AddBar(0, mpb.BarPriority(priority), mpb.BarWidth(40),
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)), mpb.AppendDecorators(end...))
}

// close leaves the terminal to others.
func (p *pullProgress) close() {
	if p.bars == nil {
		return
	}
	for _, f := range p.files {
		if f.bar != nil {
			f.bar.Abort(true)
		}
	}
	if p.total != nil {
		p.total.Abort(false)
	}
	p.bars.Wait()
}
