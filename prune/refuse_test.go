package prune

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/kernels"
	"armor/prune/solve"
)

// half runs a job until some modules are done.
func half(t *testing.T, j *Job) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	j.Progress = func(e Event) {
		if n++; n == 6 {
			cancel()
		}
	}
	if err := j.Run(ctx); !errors.Is(err, ErrStopped) {
		t.Fatalf("got %v, want the job stopped", err)
	}
}

func copyFolder(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func change(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func flip(data []byte) []byte {
	data[len(data)/2] ^= 4
	return data
}

// TestRefused: a resume that cannot give what an unbroken run gives is refused by
// name; nothing that is done is lost.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, j *Job)
		words  string
	}{
		"weights": {func(t *testing.T, j *Job) { change(t, filepath.Join(j.Source, "model.safetensors"), flip) }, "other the model's model.safetensors"},
		"config": {func(t *testing.T, j *Job) {
			change(t, filepath.Join(j.Source, "config.json"), func(b []byte) []byte { return append(b, '\n') })
		}, "other the model's config.json"},
		"text":        {func(t *testing.T, j *Job) { change(t, j.Calib, func(b []byte) []byte { return append(b, "more"...) }) }, "other the calibration data"},
		"no text":     {func(t *testing.T, j *Job) { os.Remove(j.Calib) }, "no such file"},
		"settings":    {func(t *testing.T, j *Job) { j.Recipe.Sweeps++ }, "other settings"},
		"layers":      {func(t *testing.T, j *Job) { j.End = 1 }, "other the layers"},
		"not resumed": {func(t *testing.T, j *Job) { j.resume = false }, "go on with armor-prune resume"},
		"module": {func(t *testing.T, j *Job) {
			change(t, moduleFile(j.Partial(), "model.layers.0.self_attn.q_proj"), flip)
		}, "q_proj.layer: damaged"},
		"module cut": {func(t *testing.T, j *Job) {
			change(t, moduleFile(j.Partial(), "model.layers.0.self_attn.q_proj"), func(b []byte) []byte { return b[:9] })
		}, "q_proj.layer: damaged"},
		"module lost": {func(t *testing.T, j *Job) { os.Remove(moduleFile(j.Partial(), "model.layers.0.self_attn.q_proj")) }, "q_proj.layer: "},
		"state": {func(t *testing.T, j *Job) {
			change(t, filepath.Join(j.Partial(), stateFile), func(b []byte) []byte {
				return []byte(strings.Replace(string(b), `"samples":3`, `"samples":4`, 1))
			})
		}, "state.json: damaged"},
		"state cut": {func(t *testing.T, j *Job) {
			change(t, filepath.Join(j.Partial(), stateFile), func(b []byte) []byte { return b[:len(b)/2] })
		}, "state.json: damaged"},
		"target": {func(t *testing.T, j *Job) {
			if err := os.MkdirAll(filepath.Join(j.Target, "precious"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is there already, and not empty"},
		"memory": {func(t *testing.T, j *Job) { j.Memory = 1 << 20 }, "memory: the job needs"},
	} {
		t.Run(name, func(t *testing.T) {
			first := newJob(filepath.Join(t.TempDir(), "out"), text(t))
			first.Source = copyFolder(t, tiny)
			half(t, first)
			j, err := Unfinished(first.Target)
			if err != nil {
				t.Fatal(err)
			}
			j.Compute = first.Compute
			c.damage(t, j)
			before := files(t, j.Partial())
			err = j.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want one line with %q", err, c.words)
			}
			after := files(t, j.Partial())
			for name := range before {
				if before[name] != after[name] {
					t.Errorf("%s has changed", name)
				}
			}
		})
	}
}

func TestSecondWriter(t *testing.T) {
	j := newJob(filepath.Join(t.TempDir(), "out"), text(t))
	var second error
	j.Progress = func(e Event) {
		if second == nil {
			other, err := Unfinished(j.Target)
			if err != nil {
				t.Error(err)
				return
			}
			other.Compute = j.Compute
			if second = other.Run(t.Context()); second == nil {
				t.Error("a second writer was let in")
			}
		}
	}
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second == nil || !strings.Contains(second.Error(), "another armor-prune is at work") {
		t.Errorf("second writer: got %v", second)
	}
}

func TestTargets(t *testing.T) {
	text := text(t)
	inside := newJob("", text)
	inside.Source = copyFolder(t, tiny)
	before := files(t, inside.Source)
	inside.Target = filepath.Join(inside.Source, "out")
	if err := inside.Run(t.Context()); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("inside the source: got %v", err)
	}
	after := files(t, inside.Source)
	if len(after) != len(before) {
		t.Errorf("the source has other files: %d, want %d", len(after), len(before))
	}
	if os.Geteuid() != 0 {
		locked := filepath.Join(t.TempDir(), "locked")
		if err := os.Mkdir(locked, 0o555); err != nil {
			t.Fatal(err)
		}
		if err := newJob(filepath.Join(locked, "out"), text).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("read-only target: got %v", err)
		}
	}
}

func TestSources(t *testing.T) {
	text := text(t)
	pruned := whole(t, text, nil)
	for name, c := range map[string]struct {
		change func(*Job)
		words  string
	}{
		"pruned already": {func(j *Job) { j.Source = pruned }, "q_proj.weight: missing"},
		"absent":         {func(j *Job) { j.Source = "nowhere" }, "no such file"},
		"gguf":           {func(j *Job) { j.Source = "model.gguf" }, "want the model's folder"},
		"layers":         {func(j *Job) { j.First, j.End = 1, 9 }, "layers: got 1:9"},
		"seqlen":         {func(j *Job) { j.Recipe.SeqLen = 1 << 19 }, "context"},
		"too little":     {func(j *Job) { j.Recipe.Samples = 1e6 }, "too little text"},
		"method":         {func(j *Job) { j.Recipe.Method = "magic" }, "method: got magic"},
		"block":          {func(j *Job) { j.Recipe.Block = 24 }, "block: got 24"},
		"budgets":        {func(j *Job) { j.Recipe.Budget = Budget{MaxKL: 1, Sparse: 1, Tokens: 64} }, "only one of"},
	} {
		j := newJob(filepath.Join(t.TempDir(), "out"), text)
		c.change(j)
		if err := j.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", name, err, c.words)
		}
	}
}

// TestSpill: the residual stream in a file gives what it gives in memory.
func TestSpill(t *testing.T) {
	text := text(t)
	want := whole(t, text, nil)
	spilled := whole(t, text, func(j *Job) {
		p, err := j.Preflight()
		if err != nil {
			t.Fatal(err)
		}
		j.Memory = (p.Memory + p.Spilled) / 2
	})
	same(t, "spilled", spilled, want)
}

func FuzzLayer(f *testing.F) {
	l := &solve.Layer{Out: 4, In: 8, BlockOut: 4, BlockIn: 4, A: make([]float32, 16), B: make([]float32, 32),
		Values: make([]float32, 16), Mask: make([]uint8, 8)}
	data, err := encodeLayer(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := decodeLayer(data, 4, 8)
		if err == nil && (len(l.Values) != 16 || len(l.Mask) != 8) {
			t.Errorf("got %d values and %d masks", len(l.Values), len(l.Mask))
		}
	})
}

var _ = kernels.Ref
