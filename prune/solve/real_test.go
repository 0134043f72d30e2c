package solve

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"armor/kernels"
	"armor/kernels/block"
	"armor/model/checkpoint"
)

// realProblem is layer 12's o_proj of Qwen2.5-Coder-0.5B from the folder
// ARMOR_MODELS, with the diagonal Hessian in the file ARMOR_HESSIAN (f64,
// little-endian) or an invented one.
func realProblem(tb testing.TB) *Problem {
	tb.Helper()
	folder := os.Getenv("ARMOR_MODELS")
	if folder == "" {
		tb.Skip("ARMOR_MODELS is not set")
	}
	c, err := checkpoint.OpenFolder(filepath.Join(folder, "qwen2.5-coder-0.5b-instruct"))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	name := os.Getenv("ARMOR_TENSOR")
	if name == "" {
		name = "model.layers.12.self_attn.o_proj.weight"
	}
	w, ok := c.Tensor(name)
	if !ok {
		tb.Fatalf("no tensor %s", name)
	}
	p := &Problem{Out: w.Rows(), In: w.Cols(), W: make([]float32, w.Rows()*w.Cols())}
	if err := w.ReadRows(p.W, 0, w.Rows()); err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range p.In {
		p.Hessian.Diag = append(p.Hessian.Diag, math.Exp(2*rng.NormFloat64()))
	}
	if file := os.Getenv("ARMOR_HESSIAN"); file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if len(b) != 8*p.In {
			tb.Fatalf("%s has %d bytes, want %d", file, len(b), 8*p.In)
		}
		for j := range p.Hessian.Diag {
			p.Hessian.Diag[j] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*j:]))
		}
	}
	return p
}

// TestRealLayer prints loss against seconds.
func TestRealLayer(t *testing.T) {
	p := realProblem(t)
	sweeps, _ := strconv.Atoi(os.Getenv("ARMOR_SWEEPS"))
	iterations, err := strconv.Atoi(os.Getenv("ARMOR_ITERATIONS"))
	if err != nil {
		iterations = 200
	}
	for _, solver := range Solvers {
		began := time.Now()
		o := Options{Solver: solver, Sweeps: sweeps, Iterations: iterations, Math: block.New(kernels.BestISA())}
		o.Progress = func(step int, loss float64) {
			if step%10 == 0 && (step <= 200 || step%500 == 0) || solver == BCD && step <= 5 {
				t.Logf("%s %d: %.5f, %.2f s", solver, step, loss, time.Since(began).Seconds())
			}
		}
		r, err := Prune(context.Background(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: loss %.5f → %.5f, rounded %.5f, %d steps, %d rises, fell back %v, %.2f s", solver, r.LossStart, r.LossEnd, r.LossRounded, r.Steps, r.Rises, r.FellBack, r.Seconds)
		best := time.Duration(1 << 62)
		for range 20 {
			began := time.Now()
			r.Layer.Product(o.Math, 0)
			best = min(best, time.Since(began))
		}
		t.Logf("%s: a step takes %.2f ms, an evaluation of A·S·B %.2f ms", solver, 1e3*r.Seconds/float64(r.Steps), 1e3*best.Seconds())
		if r.FellBack || !(r.LossRounded < r.LossStart) {
			t.Errorf("%s: loss %v, NoWag-P's is %v", solver, r.LossRounded, r.LossStart)
		}
	}
}
