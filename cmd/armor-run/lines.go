package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// lines reads messages: on a terminal with editing, a history and pastes of
// several lines as one message; else line by line.
type lines struct {
	in       *os.File
	terminal *term.Terminal // nil where in is none
	scanner  *bufio.Scanner
}

func newLines(in, out *os.File) (*lines, error) {
	l := &lines{in: in}
	if !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		l.scanner = bufio.NewScanner(in)
		l.scanner.Buffer(nil, maxPrompt)
		return l, nil
	}
	l.terminal = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "")
	return l, nil
}

func (l *lines) interactive() bool { return l.terminal != nil }

// read returns the next message, or io.EOF.
func (l *lines) read(prompt string) (string, error) {
	if l.terminal == nil {
		if l.scanner.Scan() {
			return l.scanner.Text(), nil
		}
		if err := l.scanner.Err(); err != nil {
			return "", fmt.Errorf("standard input: %w", err)
		}
		return "", io.EOF
	}
	// Raw only while a line is edited, so that Ctrl-C interrupts an answer.
	fd := int(l.in.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(fd, old)
	if width, height, err := term.GetSize(fd); err == nil {
		_ = l.terminal.SetSize(width, height)
	}
	l.terminal.SetBracketedPasteMode(true)
	defer l.terminal.SetBracketedPasteMode(false)
	l.terminal.SetPrompt(prompt)
	var pasted []string
	for {
		line, err := l.terminal.ReadLine()
		switch {
		case errors.Is(err, term.ErrPasteIndicator):
			pasted = append(pasted, line)
			l.terminal.SetPrompt("")
			continue
		case err != nil:
			return "", err
		}
		return strings.Join(append(pasted, line), "\n"), nil
	}
}
