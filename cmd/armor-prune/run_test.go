package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/internal/cli"
	"armor/prune"

	"github.com/spf13/cobra"
)

const tiny = "../../testdata/golden/tiny-llama"

// text is enough words for a few windows.
func text(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, "%d words and %d more; ", i*i, i)
	}
	path := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func execute(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetArgs(arguments)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

var quick = []string{"--samples", "3", "--seqlen", "64", "--sweeps", "2", "--block", "16", "--quiet"}

// TestCommands goes the way of a user: run with a budget and an evaluation, look
// at what it cost, export, and pack what was exported.
func TestCommands(t *testing.T) {
	text, dir := text(t), t.TempDir()
	out, exported, packed := filepath.Join(dir, "out"), filepath.Join(dir, "dense"), filepath.Join(dir, "packed")
	log := filepath.Join(dir, "log.jsonl")
	got, err := execute(t, append([]string{"run", "--calib", text, "--sparse", "50%", "--sensitivity-tokens", "64",
		"--eval", text, "--eval-windows", "2", "--log-file", log, tiny, out}, quick...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"modules pruned, ", " dense; predicted perplexity × ", "perplexity ", "on 2 windows of 512 tokens of text.txt", "armor_report.html"} {
		if !strings.Contains(got, words) {
			t.Errorf("run printed %q, want %q in it", got, words)
		}
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log: %q is not JSON", line)
		}
	}
	if got, err = execute(t, "sensitivity", "--calib", text, "--tokens", "64", "-q", tiny, out); err != nil || !strings.Contains(got, "mlp.") || !strings.Contains(got, "all") {
		t.Errorf("sensitivity: %q, %v", got, err)
	}
	if got, err := execute(t, "inspect", out); err != nil || !strings.Contains(got, "down_proj") || !strings.Contains(got, "text.txt") {
		t.Errorf("inspect: %q, %v", got, err)
	}
	if _, err := execute(t, "export", "--dense", out, exported); err != nil {
		t.Error(err)
	}
	plain := filepath.Join(dir, "plain")
	if _, err := execute(t, append([]string{"run", "--calib", text, "--method", "magnitude", tiny, plain}, quick...)...); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(t, "export", "--dense", plain, filepath.Join(dir, "zeros")); err != nil {
		t.Fatal(err)
	}
	if got, err := execute(t, "pack", filepath.Join(dir, "zeros"), packed); err != nil || !strings.Contains(got, "14 modules are 2:4") {
		t.Errorf("pack: %q, %v", got, err)
	}
}

// TestIntegers: a folder in integers by run or by quantize is inspected and exported
// like any other, and what cannot be is one line.
func TestIntegers(t *testing.T) {
	text, dir := text(t), t.TempDir()
	out, base, quantized := filepath.Join(dir, "out"), filepath.Join(dir, "base"), filepath.Join(dir, "quantized")
	if _, err := execute(t, append([]string{"run", "--calib", text, "--core-dtype", "int8", "--wrapper-dtype", "int8", "--head-dtype", "int4", tiny, out}, quick...)...); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(t, append([]string{"run", "--calib", text, tiny, base}, quick...)...); err != nil {
		t.Fatal(err)
	}
	got, err := execute(t, "quantize", "--core-dtype", "int4", "--head-dtype", "int8", "--calib", text, "--samples", "2", "--seqlen", "64", "-q", base, quantized)
	if err != nil || !strings.Contains(got, quantized) {
		t.Fatalf("quantize: %q, %v", got, err)
	}
	for _, folder := range []string{out, quantized} {
		if got, err := execute(t, "inspect", folder); err != nil || !strings.Contains(got, "core_dtype") {
			t.Errorf("inspect: %q, %v", got, err)
		}
		for i, kind := range []string{"--dense", "--official"} {
			if _, err := execute(t, "export", kind, folder, filepath.Join(dir, fmt.Sprint(filepath.Base(folder), i))); err != nil {
				t.Errorf("export %s: %v", kind, err)
			}
		}
	}
	for _, c := range []struct{ words, line string }{
		{"core_dtype: got \"int2\", want one of [bf16 int8 int4]", "quantize --core-dtype int2 " + base},
		{"want one of --plain and --rounding", "quantize --plain --rounding refit " + base},
		{"not an ARMOR folder", "quantize --core-dtype int8 " + tiny},
		{"got int8 with wrappers in int8, want bf16", "quantize --core-dtype int8 " + out},
		{"wrapper_dtype: got \"int4\"", "run --wrapper-dtype int4 --calib " + text + " " + tiny},
	} {
		_, err := execute(t, append(strings.Fields(c.line), filepath.Join(dir, "new"))...)
		if err == nil || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", c.line, err, c.words)
		}
	}
}

// TestLayers: jobs of some layers end well without a report.
func TestLayers(t *testing.T) {
	text, out := text(t), filepath.Join(t.TempDir(), "out")
	for _, layers := range []string{"0:1", "1:2"} {
		got, err := execute(t, append([]string{"run", "--calib", text, "--layers", layers, tiny, out + layers[:1]}, quick...)...)
		if err != nil || !strings.Contains(got, "armor-prune merge joins them") {
			t.Fatalf("layers %s: got %v and %q", layers, err, got)
		}
	}
}

func TestRecipe(t *testing.T) {
	write := func(s string) string {
		path := filepath.Join(t.TempDir(), "recipe.yaml")
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := &runFlags{recipe: prune.DefaultRecipe()}
	c := &cobra.Command{}
	f.add(c)
	file := write("method: armor\nsweeps: 7\nblock: 32\ncore_dtype: int4\nbudget:\n  max_ppl: 0.05\n")
	if err := c.ParseFlags([]string{"--recipe", file, "--block", "16"}); err != nil {
		t.Fatal(err)
	}
	if err := f.readRecipe(c.Flags()); err != nil {
		t.Fatal(err)
	}
	want := prune.DefaultRecipe()
	want.Core = "int4"
	want.Sweeps, want.Block, want.Budget = 7, 16, prune.Budget{MaxPPL: 0.05, Tokens: 1024}
	if f.recipe != want {
		t.Errorf("got %+v, want %+v", f.recipe, want)
	}
	for _, bad := range []string{"colour: red\n", "sweeps: many\n", ":\n-", "sweeps: [1"} {
		f := &runFlags{recipe: prune.DefaultRecipe(), file: write(bad)}
		if err := f.readRecipe(c.Flags()); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line of error", bad, err)
		}
	}
}

func TestDryRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	got, err := execute(t, "run", "--calib", text(t), "--dry-run", "--samples", "2", "--seqlen", "64", tiny, out)
	if err != nil || !strings.Contains(got, "memory") || !strings.Contains(got, "disk") {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(out + ".partial"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dry run has left something (%v)", err)
	}
}

func TestUsage(t *testing.T) {
	text := text(t)
	for _, a := range [][]string{
		{"run", tiny, "out"}, {"run", "--calib", text, tiny}, {"run", "--calib", text, "--sparse", "x", tiny, "out"},
		{"run", "--calib", text, "--max-ppl", "-5%", tiny, "out"}, {"run", "--calib", text, "--layers", "3", tiny, "out"},
		{"run", "--calib", text, "--max-memory", "much", tiny, "out"}, {"run", "--calib", text, "--threads", "-1", tiny, "out"},
		{"run", "--calib", text, "--method", "magic", tiny, "out"}, {"resume"}, {"merge", "out"}, {"export", "a", "b"},
		{"sensitivity", "a", "b"},
	} {
		if _, err := execute(t, a...); !cli.IsUsage(err) {
			t.Errorf("%q: got %v, want an error of usage", a, err)
		}
	}
	if _, err := execute(t, "resume", filepath.Join(t.TempDir(), "out")); err == nil || cli.IsUsage(err) {
		t.Errorf("nothing to resume: got %v", err)
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{"12GiB": 12 << 30, "500M": 500 << 20, "1.5k": 0, "4096": 4096, "2TB": 2 << 40, "-1G": 0, "": 0, "GiB": 0, "1e30G": 0} {
		got, err := bytesOf(s)
		if (err == nil) != (want > 0) || got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for s, want := range map[string]float64{"75%": 0.75, "0.5": 0.5, "5 %": 0, "": 0, "0": 0, "NaN": 0} {
		got, err := percent(s)
		if (err == nil) != (want > 0) || got != want {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
}

// TestStopped: a job that is asked to end exits with 75.
func TestStopped(t *testing.T) {
	stopped := func(err error) bool { return errors.Is(err, prune.ErrStopped) }
	root := newRoot()
	for _, c := range root.Commands() {
		if c.Name() == "run" {
			run := c.RunE
			c.RunE = func(c *cobra.Command, a []string) error {
				ctx, cancel := context.WithCancel(c.Context())
				cancel()
				c.SetContext(ctx)
				return run(c, a)
			}
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := execute(t, "inspect", out); err == nil {
		t.Error("inspect: nothing is there, and no error")
	}
	arguments := append([]string{"run", "--calib", text(t), tiny, out}, quick...)
	if code := cli.Main(root, arguments, stopped, os.Interrupt); code != cli.ExitStopped {
		t.Errorf("got exit code %d, want %d", code, cli.ExitStopped)
	}
	if code := cli.Main(newRoot(), []string{"resume", "-q", out}, stopped, os.Interrupt); code != cli.ExitOK {
		t.Errorf("resume: got exit code %d, want %d", code, cli.ExitOK)
	}
}
