// Package cli is what the two programs' command lines have in common.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitStopped     = 75 // stopped cleanly, the same work can go on
	ExitInterrupted = 130
)

// usageError is a wrong command line.
type usageError struct{ error }

// Usage marks err as a wrong command line.
func Usage(err error) error { return usageError{err} }

// IsUsage reports whether err is a wrong command line.
func IsUsage(err error) bool {
	var usage usageError
	return errors.As(err, &usage)
}

// ErrInterrupted ends a command that the user interrupted, without a message.
var ErrInterrupted = errors.New("interrupted")

// Main runs a program's commands and returns its exit code. The first of signals
// ends the commands' context, the second the program. stopped says whether an
// error is a clean stop.
func Main(root *cobra.Command, arguments []string, stopped func(error) bool, signals ...os.Signal) (code int) {
	name := root.Name()
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "%s: internal error: %v\n", name, r)
			code = ExitFailed
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop)
	defer stop()

	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return Usage(fmt.Errorf("%w%s; see %s --help", err, suggestFlag(c, err), c.CommandPath()))
	})
	root.SetArgs(arguments)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrInterrupted):
		return ExitInterrupted
	case stopped != nil && stopped(err):
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, OneLine(err))
		return ExitStopped
	case IsUsage(err), strings.HasPrefix(err.Error(), "unknown command"):
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return ExitUsage
	default:
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, OneLine(err))
		return ExitFailed
	}
}

// OneLine is the message of an error, on one line.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Args checks the number of arguments as a usage error.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return Usage(fmt.Errorf("%w; see %s --help", err, c.CommandPath()))
		}
		return nil
	}
}

// suggestFlag names the flag nearest to one that does not exist.
func suggestFlag(c *cobra.Command, err error) string {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return ""
	}
	best, at := "", 3
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < at {
			best, at = f.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean --%s?)", best)
}

// distance is the number of letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
