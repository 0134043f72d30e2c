package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/bench/latency"
	"armor/internal/cli"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

const benchDense = "../../testdata/golden/tiny-llama"

// runBench is the command bench with these arguments, and what it prints.
func runBench(t *testing.T, a ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newBench()
	c.SetArgs(append(a, "-q", "--no-stream"))
	c.SetOut(&out)
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// armorFolder prunes two modules of tiny-llama at random.
func armorFolder(t *testing.T) string {
	t.Helper()
	ck, err := checkpoint.OpenFolder(benchDense)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	dir := filepath.Join(t.TempDir(), "tiny-armor")
	w, err := armorfmt.NewWriter(dir, ck, 0, armorfmt.Info{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.IntN(9)-4) / 8
		}
		return x
	}
	const block = 16
	for _, name := range []string{"model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj"} {
		x, _ := ck.Tensor(name + ".weight")
		out, in := x.Rows(), x.Cols()
		p := &armorfmt.Parts{Name: name, Out: out, In: in, BlockOut: block, BlockIn: block,
			Values: numbers(out * in / 2), Masks: make([]uint8, out*in/4), A: numbers(out * block), B: numbers(in * block)}
		for i := range p.Masks {
			p.Masks[i] = uint8(rng.IntN(6))
		}
		if _, err := w.Module(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.FinishWeights(); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBenchModels compares a folder with the model that it was made of, and with
// random weights of its shape: both read the same bytes.
func TestBenchModels(t *testing.T) {
	dir := armorFolder(t)
	var bounds []float64
	for _, against := range []string{benchDense, "bf16"} {
		out, err := runBench(t, "-m", dir, "--against", against, "-p", "8", "-n", "2", "-b", "1,3", "-r", "2", "--threads", "1,2", "-o", "json")
		if err != nil {
			t.Fatal(err)
		}
		var r latency.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Models) != 2 || len(r.Rows) != 2*2*3 || len(r.Ratios) != 2*3 || !r.Models[0].Armor || r.Models[1].Armor {
			t.Fatalf("against %s: got %s", against, out)
		}
		for _, q := range r.Ratios {
			if q.Model != "tiny-armor" || q.Against != r.Models[1].Name || q.Ratio <= 0 {
				t.Errorf("against %s: got %+v", against, q)
			}
		}
		bounds = append(bounds, r.Ratios[1].ByteBound)
	}
	if bounds[0] != bounds[1] || bounds[0] <= 0 {
		t.Errorf("got bounds %v, want the same", bounds)
	}
}

func TestBenchShape(t *testing.T) {
	shape := filepath.Join(benchDense, "config.json")
	out, err := runBench(t, "--shape", shape, "--layers", "1", "--block", "16", "-p", "0", "-n", "2", "-b", "1", "-r", "1", "--threads", "1", "-o", "csv")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 1+7 || !strings.Contains(rows[1][1], "1 of 2 layers") || rows[5][2] != "ARMOR bf16, block 16" {
		t.Errorf("got %v in\n%s", err, out)
	}
	if out, err = runBench(t, "--shape", shape, "--block", "0", "--dense", "bf16", "--armor", "bf16", "-p", "5", "-n", "0", "-r", "1"); err != nil || !strings.Contains(out, "2:4 bf16 : dense bf16") {
		t.Errorf("got %v in\n%s", err, out)
	}
}

// TestBenchConfig: what --config prints is a shape again.
func TestBenchConfig(t *testing.T) {
	out, err := runBench(t, "--shape", "llama-3.2-1b", "--layers", "3", "--config")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := runBench(t, "--shape", path, "--config"); err != nil || again != out || !strings.Contains(out, `"num_hidden_layers": 3`) {
		t.Errorf("got %v, %s\nof %s", err, again, out)
	}
}

// TestBenchUsage: what is wrong is one line, and of usage where the flags are.
func TestBenchUsage(t *testing.T) {
	for _, a := range [][]string{
		{"-o", "xml"}, {"--dtype", "fp8"}, {"--kv", "int3"}, {"--weights", "q4"}, {"-p", "0", "-n", "0"}, {"-p", "-1"}, {"-b", "0"},
		{"-r", "0"}, {"--threads", "0"}, {"--layers", "2"}, {"--config"}, {"--shape", "llama-9"}, {"--shape", "llama-3.2-1b", "-m", "x"},
		{"--shape", "llama-3.2-1b", "--layers", "99"}, {"--shape", "llama-3.2-1b", "--block", "48"}, {"--shape", "llama-3.2-1b", "--dense", "q4"},
		{"--shape", "llama-3.2-1b", "--armor", "q4"}, {"--bars", "-m", "x"}, {"--bars", "--threads", "1,2"},
		{"--shape", "absent.json"},
	} {
		if _, err := runBench(t, a...); !cli.IsUsage(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line of usage", a, err)
		}
	}
	for _, a := range [][]string{
		{"-m", filepath.Join(t.TempDir(), "absent")}, {"--against", benchDense},
		{"-m", benchDense, "-b", "2,2"},
	} {
		_, err := runBench(t, append(a, "-p", "4", "-n", "1", "-r", "1")...)
		if err == nil || cli.IsUsage(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line", a, err)
		}
	}
}
