package prune

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"path/filepath"
	goruntime "runtime"
	"strings"

	"armor/model/atomicfile"
	"armor/prune/report"
	"armor/prune/solve"

	"github.com/klauspost/cpuid/v2"
)

// curvePoints is how many losses of a module's curve the report holds at most.
const curvePoints = 64

// report writes armor_report.json and armor_report.html into folder.
func (r *run) report(folder string, made *written, all []Sensitivity, choice Choice, eval *Evaluation) error {
	rep := &report.Report{
		ArmorVersion: r.Version,
		Source: report.Source{Model: filepath.Base(filepath.Clean(r.Source)), Architecture: r.shape.Architecture,
			SHA256: r.baseDigest()},
		Machine:    r.Compute.machine(),
		BytesDense: made.totals.BytesDense, BytesPacked: made.totals.BytesPacked,
		Shards: map[string]string{},
	}
	if r.Peak != nil {
		rep.Machine.Peak = r.Peak()
	}
	c := report.Calibration(r.state.Calibration)
	rep.Calibration = &c
	var err error
	if rep.Recipe, err = json.Marshal(&r.Recipe); err != nil {
		return err
	}
	for _, s := range made.totals.Shards {
		rep.Shards[s.Name] = s.SHA256
	}
	for i := range all {
		rep.Source.Parameters += all[i].Module.Weights()
		if m, ok := r.reportModule(&all[i], made); ok {
			rep.Modules = append(rep.Modules, m)
		}
	}
	rep.Seconds = r.seconds()
	r.reportBudget(rep, all, choice, eval)
	put := func(name string, content io.Reader) error {
		return atomicfile.Write(filepath.Join(folder, name), content)
	}
	return writeReport(put, rep)
}

// reportModule is a module's line, if it was pruned.
func (r *run) reportModule(s *Sensitivity, made *written) (report.Module, bool) {
	name := s.Module.Name
	b, ok := made.bytes[name]
	done := r.state.Modules[name]
	m := report.Module{Name: name, Method: string(done.Method), CoreDType: made.types[name], LossStart: done.Start, LossEnd: done.End,
		LossRounded: done.Rounded, Sweeps: done.Steps, Seconds: done.Seconds, Losses: thinned(done.Curve),
		BytesDense: b.Dense, BytesValues: b.Values, BytesIndex: b.Index, BytesWrappers: b.Wrappers, BytesScales: b.Scales}
	if b.Wrappers > 0 {
		m.Solver = string(r.Recipe.Solver)
		m.Block[0], m.Block[1] = r.Recipe.blocks(&s.Module)
	}
	if done.Method == solve.Armor && b.Wrappers == 0 {
		m.Method = string(solve.NoWagP) // what it fell back to
	}
	if r.Recipe.Budget.Set() {
		m.KL = &s.KL
	}
	return m, ok
}

// thinned keeps the first and last loss and some between.
func thinned(curve []float64) []float64 {
	if len(curve) <= curvePoints {
		return curve
	}
	out := make([]float64, curvePoints)
	for i := range out {
		out[i] = curve[i*(len(curve)-1)/(curvePoints-1)]
	}
	return out
}

// reportBudget adds what was predicted and what was measured.
func (r *run) reportBudget(rep *report.Report, all []Sensitivity, choice Choice, eval *Evaluation) {
	if eval != nil {
		rep.Eval = &report.Eval{File: filepath.Base(eval.File), Mode: "hf", Window: eval.Window, Windows: eval.Windows,
			PPLDense: eval.Dense, PPLPacked: eval.Pruned, KL: &eval.KL}
	}
	if !r.Recipe.Budget.Set() {
		return
	}
	for i := range all {
		s := &all[i]
		rep.Sensitivity = append(rep.Sensitivity, report.Sensitivity{Name: s.Module.Name, KL: s.KL,
			KLPerWeight: s.KL / float64(s.Module.Weights()), KeptDense: choice.Dense[s.Module.Name]})
	}
	rep.Prediction = &report.Prediction{KLSum: choice.KL, PredictedPPLRatio: math.Exp(choice.Loss)}
	if eval != nil {
		rep.Prediction.MeasuredKL, rep.Prediction.MeasuredPPLRatio = &eval.KL, &eval.Ratio
	}
}

// writeReport has put write the report as data and as a page.
func writeReport(put func(name string, content io.Reader) error, rep *report.Report) error {
	data, err := rep.JSON()
	if err != nil {
		return err
	}
	if err := put("armor_report.json", bytes.NewReader(data)); err != nil {
		return err
	}
	var page strings.Builder
	if err := rep.HTML(&page); err != nil {
		return err
	}
	return put("armor_report.html", strings.NewReader(page.String()))
}

// machine is where this runs.
func (c Compute) machine() report.Machine {
	m := report.Machine{CPU: cpuid.CPU.BrandName, ISA: c.ISA.String(), Threads: c.Threads,
		OS: goruntime.GOOS, Arch: goruntime.GOARCH, Go: goruntime.Version()}
	if m.Threads == 0 {
		m.Threads = goruntime.GOMAXPROCS(0)
	}
	return m
}
