package prune

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"armor/kernels"
	"armor/model"
	"armor/prune/solve"
)

const tiny = "../testdata/golden/tiny-qwen3"

// text writes calibration text of random words.
func text(t *testing.T) string {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range 4000 {
		fmt.Fprintf(&b, "%c%c%c ", 'a'+r.IntN(26), 'a'+r.IntN(26), 'a'+r.IntN(26))
	}
	path := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// newJob prunes a tiny model in a fraction of a second.
func newJob(target, text string) *Job {
	j := &Job{Source: tiny, Target: target, Calib: text, Recipe: DefaultRecipe(), Compute: Compute{ISA: kernels.BestISA(), Threads: 2}}
	j.Recipe.Block, j.Recipe.Sweeps, j.Recipe.Samples, j.Recipe.SeqLen = 16, 3, 3, 40
	return j
}

// files are the bytes of a folder, without the report, which has times in it.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(e.Name(), "armor_report") {
			all[e.Name()] = string(data)
		}
	}
	return all
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := files(t, got), files(t, want)
	if len(g) != len(w) {
		t.Errorf("%s: got %d files, want %d", what, len(g), len(w))
	}
	for name := range w {
		if g[name] != w[name] {
			t.Errorf("%s: %s differs", what, name)
		}
	}
	if _, err := os.Stat(got + ".partial"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: the partial folder is still there (%v)", what, err)
	}
}

func whole(t *testing.T, text string, change func(*Job)) string {
	t.Helper()
	j := newJob(filepath.Join(t.TempDir(), "whole"), text)
	if change != nil {
		change(j)
	}
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return j.Target
}

// TestRun: the folder runs, whatever the method, and the source stays as it is.
func TestRun(t *testing.T) {
	text, before := text(t), files(t, tiny)
	for _, method := range solve.Methods {
		for _, statistics := range []Statistics{Diagonal, Blocks} {
			dir := whole(t, text, func(j *Job) { j.Recipe.Method, j.Recipe.Statistics = method, statistics })
			b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			m, err := model.Load(dir, b, model.Options{})
			if err != nil {
				t.Fatalf("%s: %v", method, err)
			}
			if !strings.Contains(m.Storage, "2:4") {
				t.Errorf("%s: storage: got %q, want 2:4 in it", method, m.Storage)
			}
			b.Close()
		}
	}
	for name, data := range files(t, tiny) {
		if before[name] != data {
			t.Errorf("the source's %s has changed", name)
		}
	}
}

func TestThreadsDoNotMatter(t *testing.T) {
	text := text(t)
	budget := func(threads int) func(*Job) {
		return func(j *Job) {
			j.Compute.Threads = threads
			j.Recipe.Statistics = Blocks
			j.Recipe.Budget = Budget{Sparse: 0.5, Tokens: 64}
		}
	}
	one := whole(t, text, budget(1))
	same(t, "3 threads", whole(t, text, budget(3)), one)
}

// TestStopAndResume stops after each step in turn.
func TestStopAndResume(t *testing.T) {
	text := text(t)
	settings := func(j *Job) { j.Recipe.Budget = Budget{MaxKL: 0.01, Tokens: 64} }
	want := whole(t, text, settings)
	target := filepath.Join(t.TempDir(), "out")
	stops := 0
	for first := true; ; first = false {
		j := newJob(target, text)
		settings(j)
		if !first {
			var err error
			if j, err = Unfinished(target); err != nil {
				t.Fatal(err)
			}
			j.Compute = Compute{ISA: kernels.BestISA(), Threads: 1 + stops%3}
		}
		ctx, cancel := context.WithCancel(t.Context())
		events := 0
		j.Progress = func(e Event) {
			if events++; e.Phase != "calibrate" && events > 3 {
				cancel()
			}
		}
		err := j.Run(ctx)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
		if _, err := os.Stat(target); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("the target is there although the job was stopped (%v)", err)
		}
		if stops++; stops > 100 {
			t.Fatal("the job does not end")
		}
	}
	if stops < 4 {
		t.Errorf("stopped %d times, want more", stops)
	}
	same(t, "resumed", target, want)
}

// TestKilled kills the job at random moments, as kill -9 does.
func TestKilled(t *testing.T) {
	if target := os.Getenv("ARMOR_TEST_JOB"); target != "" { // in the process that is killed
		j, err := Unfinished(target)
		if _, done := os.Stat(filepath.Join(target, "config.json")); err != nil && done == nil {
			os.Remove(target + ".partial") // empty: killed before its removal
			return
		}
		if err != nil {
			j = newJob(target, os.Getenv("ARMOR_TEST_TEXT"))
			j.Recipe.Sweeps = 10
		}
		j.Compute = Compute{ISA: kernels.BestISA(), Threads: 2}
		if err := j.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	if testing.Short() {
		t.Skip("starts a score of processes")
	}
	text := text(t)
	want := whole(t, text, func(j *Job) { j.Recipe.Sweeps = 10 })
	r := rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano())))
	kills, jobs := 0, 0
	for ; kills < 20; jobs++ {
		target := filepath.Join(t.TempDir(), "out")
		for !killed(t, target, text, time.Duration(20+r.IntN(400))*time.Millisecond) {
			kills++
		}
		same(t, "killed", target, want)
	}
	t.Logf("killed %d times in %d jobs", kills, jobs)
}

// killed runs or resumes a job in a process that is killed after a time. It
// reports whether the job came to its end before.
func killed(t *testing.T, target, text string, after time.Duration) bool {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	c.Env = append(os.Environ(), "ARMOR_TEST_JOB="+target, "ARMOR_TEST_TEXT="+text)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { c.Process.Kill() })
	err := c.Wait()
	if !timer.Stop() && err != nil {
		return false
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return true
}

// TestPublished breaks a job off between the move of its folder and the end.
func TestPublished(t *testing.T) {
	text := text(t)
	want := whole(t, text, nil)
	j := newJob(filepath.Join(t.TempDir(), "out"), text)
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	half := newJob(filepath.Join(t.TempDir(), "half"), text)
	ctx, cancel := context.WithCancel(t.Context())
	half.Progress = func(Event) { cancel() }
	if err := half.Run(ctx); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	s, err := loadState(half.Partial())
	if err != nil {
		t.Fatal(err)
	}
	s.Finished = true
	if err := s.save(half.Partial()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(j.Target, half.Target); err != nil {
		t.Fatal(err)
	}
	again, err := Unfinished(half.Target)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "published", half.Target, want)
}

func TestMerge(t *testing.T) {
	text := text(t)
	want := whole(t, text, nil)
	dir := t.TempDir()
	var parts []string
	for layer := range 2 {
		j := newJob(filepath.Join(dir, fmt.Sprint("part", layer)), text)
		j.First, j.End = layer, layer+1
		if err := j.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, j.Target)
	}
	target := filepath.Join(dir, "out")
	if _, err := Merge(target, parts[:1]); err == nil || !strings.Contains(err.Error(), "no part has it") {
		t.Errorf("half of the layers: got %v", err)
	}
	if _, err := Merge(target, []string{parts[0], parts[0], parts[1]}); err == nil || !strings.Contains(err.Error(), ", too") {
		t.Errorf("a part twice: got %v", err)
	}
	j, err := Merge(target, parts)
	if err != nil {
		t.Fatal(err)
	}
	j.Compute = Compute{ISA: kernels.BestISA(), Threads: 2}
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "merged", target, want)
}
