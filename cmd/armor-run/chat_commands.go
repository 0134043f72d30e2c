package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"armor/model/atomicfile"
	"armor/model/tokenizer/chat"
	"armor/runtime"
)

const chatHelp = `/help               this list
/clear              begin a new conversation
/regen              answer again
/save FILE          write the conversation as JSON
/load FILE          go on with a saved conversation
/set NAME VALUE     an option of the command line: temp, top-k, top-p, min-p, seed, tokens …
/stats              tokens and speed of the last answer
/exit               end (also Ctrl-D)
Lines pasted together are one message. Ctrl-C ends an answer.
`

func (s *session) command(ctx context.Context, line string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "/help":
		_, err := io.WriteString(os.Stderr, chatHelp)
		return err
	case "/clear":
		s.chat.Close()
		s.chat = runtime.NewChat(s.e, s.f.system)
		return nil
	case "/regen":
		return s.regenerate(ctx)
	case "/save":
		return s.save(rest)
	case "/load":
		return s.load(rest)
	case "/set":
		return s.set(rest)
	case "/stats":
		s.stats()
		return nil
	case "/exit", "/quit":
		return errExit
	}
	return fmt.Errorf("no command %s; /help lists them", name)
}

func (s *session) regenerate(ctx context.Context) error {
	n := len(s.chat.Messages)
	if n == 0 || s.chat.Messages[n-1].Role() != "assistant" {
		return errors.New("there is no answer yet")
	}
	old := s.chat.Messages
	s.chat.Messages = slices.Clone(old[:n-1])
	if err := s.answer(ctx); err != nil {
		s.chat.Messages = old
		return err
	}
	return nil
}

// set changes a sampling option as its flag would.
func (s *session) set(rest string) error {
	name, value, ok := strings.Cut(rest, " ")
	name = strings.TrimLeft(name, "-")
	flag := s.cmd.Flags().Lookup(name)
	fixed := []string{"model", "dtype", "weights", "threads", "ctx", "system", "quiet", "verbose", "help"}
	if !ok || flag == nil || slices.Contains(fixed, name) {
		return errors.New("/set NAME VALUE, where NAME is temp, top-k, top-p, min-p, repeat-penalty, presence-penalty, frequency-penalty, seed, tokens, stop or ignore-eos")
	}
	old := flag.Value.String()
	if err := s.cmd.Flags().Set(name, strings.TrimSpace(value)); err != nil {
		return err
	}
	p, err := s.f.params(s.cmd, &s.m.Generation)
	if err != nil {
		return errors.Join(err, flag.Value.Set(old))
	}
	if name != "seed" {
		p.Seed = s.params.Seed
	}
	s.params = p
	return nil
}

// saved is the file of /save.
type saved struct {
	Messages []chat.Message `json:"messages"`
}

func (s *session) save(path string) error {
	if path == "" {
		return errors.New("/save FILE")
	}
	data, err := json.MarshalIndent(saved{s.chat.Messages}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(append(data, '\n')))
}

func (s *session) load(path string) error {
	if path == "" {
		return errors.New("/load FILE")
	}
	text, err := readFile(path, maxPrompt)
	if err != nil {
		return err
	}
	var v saved
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.chat.Close()
	s.chat = runtime.NewChat(s.e, "")
	s.chat.Messages = v.Messages
	for _, m := range v.Messages {
		fmt.Fprintf(os.Stderr, "%s: %s\n", m.Role(), printable(m.Content()))
	}
	return nil
}

// printable keeps a file's control characters from the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}
