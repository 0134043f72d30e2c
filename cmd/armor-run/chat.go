package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"time"

	"armor/internal/cli"
	"armor/model"
	"armor/model/tokenizer/chat"
	"armor/runtime"
	"armor/runtime/sample"

	"github.com/spf13/cobra"
)

type chatFlags struct {
	modelFlags
	samplingFlags
	engineFlags
	system  string
	quiet   bool
	verbose bool
}

func newChat() *cobra.Command {
	f := &chatFlags{}
	c := &cobra.Command{
		Use:   "chat [flags]",
		Short: "Talk with a model",
		Long:  "Talk with a model. A line that begins with / is a command: /help lists them. Ctrl-C ends an answer, Ctrl-D the conversation.",
		Args:  cli.Args(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.modelFlags.add(c)
	f.samplingFlags.add(c)
	c.Flags().StringVar(&f.system, "system", "", "a system message")
	f.engineFlags.add(c)
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but the answers")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print tokens and speed after each answer")
	return c
}

func (f *chatFlags) run(c *cobra.Command) error {
	options, err := f.options()
	if err != nil {
		return err
	}
	begin := time.Now()
	m, err := f.load(c.Context())
	if err != nil {
		return err
	}
	defer m.Backend.Close()
	if m.Template == nil {
		return fmt.Errorf("%w; use armor-run generate", m.TemplateError)
	}
	params, err := f.params(c, &m.Generation)
	if err != nil {
		return err
	}
	e, err := runtime.New(m, options)
	if err != nil {
		return err
	}
	log, closer, err := f.logger()
	if err != nil {
		return err
	}
	defer closer.Close()
	logLoaded(log, m, e, time.Since(begin), f.verbose)
	in, err := newLines(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	if !f.quiet && in.interactive() {
		fmt.Fprintf(os.Stderr, "%s, context %d. /help lists commands, Ctrl-D ends.\n", m.Path, e.Context())
	}
	// Each answer has its own Ctrl-C; the first one must not end them all.
	ctx := context.WithoutCancel(c.Context())
	s := &session{f: f, cmd: c, m: m, e: e, chat: runtime.NewChat(e, f.system), params: params, out: os.Stdout, log: log}
	for {
		line, err := in.read("> ")
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.handle(ctx, line); errors.Is(err, errExit) {
			return nil
		} else if err != nil {
			fmt.Fprintf(os.Stderr, "%s\n", cli.OneLine(err))
			if !in.interactive() {
				return err
			}
		}
	}
}

var errExit = errors.New("exit")

// session is one run of chat.
type session struct {
	f      *chatFlags
	cmd    *cobra.Command
	m      *model.Model
	e      *runtime.Engine
	chat   *runtime.Chat
	params sample.Params
	last   runtime.Result
	out    io.Writer
	log    *slog.Logger
}

func (s *session) handle(ctx context.Context, line string) error {
	switch {
	case strings.TrimSpace(line) == "":
		return nil
	case strings.HasPrefix(line, "/"):
		return s.command(ctx, line)
	}
	s.chat.Messages = append(s.chat.Messages, chat.Text("user", line))
	if err := s.answer(ctx); err != nil {
		s.chat.Messages = s.chat.Messages[:len(s.chat.Messages)-1] // as if it had not been said
		return err
	}
	return nil
}

func (s *session) answer(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program
	g := runtime.Generation{Sampling: s.params, MaxTokens: s.f.tokens, Stop: s.f.stop, IgnoreEOS: s.f.ignoreEOS, Logprobs: -1}
	r, err := s.chat.Answer(ctx, g, func(piece string) error {
		_, err := io.WriteString(s.out, piece)
		return err
	})
	if err != nil {
		if errors.Is(err, runtime.ErrPrompt) {
			return fmt.Errorf("%w; /clear begins anew", err)
		}
		return err
	}
	fmt.Fprintln(s.out)
	s.last = r
	logGenerated(s.log, &r, s.params.Seed)
	s.params.Seed++ // the next answer draws otherwise
	if r.Reason == runtime.ReasonContext {
		fmt.Fprintln(os.Stderr, "the context is full (--ctx); /clear begins anew")
	}
	if s.f.verbose {
		s.stats()
	}
	return nil
}

func (s *session) stats() {
	r := &s.last
	read := r.Prompt - r.Reused
	fmt.Fprintf(os.Stderr, "read %d new of %d tokens %.1f/s · generated %d tokens %.1f/s · context %d of %d · peak memory %s\n",
		read, r.Prompt, rate(read, r.Prefill), len(r.Tokens), rate(len(r.Tokens)-1, r.Decode), r.Prompt+len(r.Tokens), s.e.Context(), peakMemory())
}
