// Package llamacpp holds the comparison with llama.cpp's tools, see run.sh.
package llamacpp

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"armor/bench/latency"
)

// TestRun runs the script with programs that print samples, armor-run's written
// by its own code, and checks every ratio.
func TestRun(t *testing.T) {
	for _, program := range []string{"bash", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for round, speed := range []float64{1, 2, 30} { // medians, not means
		row := func(test latency.Test, batch int, v float64) latency.Row {
			return latency.Row{Model: "ARMOR", Threads: 2, Backend: "cpu", Test: test, Batch: batch, Speed: v * speed}
		}
		r := latency.Report{Machine: latency.Machine{CPU: "a processor"}, Settings: latency.Settings{Prompt: 512, Generate: 128, Batch: []int{1, 4}},
			Models: []latency.Model{{Name: "ARMOR", Armor: true, Type: "int8", TokenBytes: 966e6}, {Name: "dense", Type: "int8"}}, Rows: []latency.Row{row(latency.Prefill, 1, 150), row(latency.Decode, 1, 12), row(latency.Decode, 4, 30), {Model: "dense", Threads: 2, Test: latency.Decode, Batch: 4, Speed: 19}}}
		var out bytes.Buffer
		if err := r.Write(&out, "json"); err != nil {
			t.Fatal(err)
		}
		write(fmt.Sprint("armor.", round), out.String())
	}
	samples, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	gguf := write("model.gguf", "GGUF")
	write("llama-bench", "#!/bin/sh\necho \"$0 $*\" >>"+dir+"/calls\ncase \"$*\" in *'-n 0'*) cat "+samples+"/prefill.json;; *) cat "+samples+"/decode.json;; esac\n")
	write("llama-batched-bench", "#!/bin/sh\necho \"$0 $*\" >>"+dir+"/calls\ncat "+samples+"/batched.jsonl\n")
	write("armor-run", "#!/bin/sh\nn=$(grep -c armor-run "+dir+"/calls)\necho \"$0 $*\" >>"+dir+"/calls\ncat "+dir+"/armor.$n\n")
	run := func(a ...string) (string, error) {
		c := exec.Command("bash", append([]string{"run.sh"}, a...)...)
		c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "THREADS=2", "BATCH=1,4")
		text, err := c.CombinedOutput()
		return string(text), err
	}
	got, err := run(dir, gguf, filepath.Join(dir, "out"), "3", "-m", "model")
	if err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	for _, line := range []string{
		"a processor, 3 rounds; llama.cpp: llama 1B Q8_0, 2 threads, build abc1234; armor-run: cpu",
		"| prefill × 1 | llama.cpp | 100.0 | ARMOR | 300.0 | 3.00 | ≥ 1.20, met |", // without AMX
		"| decode × 1 | llama.cpp | 10.0 | ARMOR | 24.0 | 2.40 | ≥ 1.22, met |",    // 0.9 · 1313 MB : 966 MB
		"| decode × 1 | llama.cpp, batched | 8.0 | ARMOR | 24.0 | 3.00 | ≥ 1.22, met |",
		"| decode × 4 | llama.cpp, batched | 20.0 | ARMOR | 60.0 | 3.00 |  |",
		"| decode × 4 | llama.cpp, batched | 20.0 | dense | 19.0 | 0.95 | ≥ 1.00, missed |",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("got\n%s\nwant in it %q", got, line)
		}
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for line := range strings.Lines(string(calls)) {
		program, flags, _ := strings.Cut(strings.TrimSpace(line), " ")
		order = append(order, filepath.Base(program))
		if !strings.Contains(flags, "-t 2 ") && !strings.Contains(flags, "--threads 2 ") {
			t.Errorf("not with 2 threads: %s", line)
		}
	}
	if want := strings.Repeat("llama-bench llama-bench llama-batched-bench armor-run ", 3); strings.Join(order, " ")+" " != want {
		t.Errorf("got the order %v", order)
	}
	for _, a := range [][]string{{dir}, {dir, filepath.Join(dir, "absent.gguf"), dir, "1"}, {filepath.Join(dir, "absent"), gguf, dir, "1"}} {
		if got, err := run(a...); err == nil || strings.Count(got, "\n") != 1 {
			t.Errorf("%q: got %v, %q, want one line", a, err, got)
		}
	}
}
