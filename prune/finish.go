package prune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"armor/model/armorfmt"
	"armor/model/atomicfile"
	"armor/prune/solve"
)

// finish chooses which modules become sparse, writes the folder in the job's own,
// measures it, and moves it to its place.
func (r *run) finish(stop context.Context) error {
	all, err := r.measure(stop)
	if err != nil {
		return err
	}
	choice := r.Recipe.Budget.Choose(all, r.state.LossPerKL)
	r.log("choice", "sparse", choice.Sparse, "kl", choice.KL, "dense", len(choice.Dense))
	folder := filepath.Join(r.Partial(), "out")
	if err := os.RemoveAll(folder); err != nil { // of an attempt that was broken off
		return fmt.Errorf("%s: %w", folder, atomicfile.Cause(err))
	}
	began := time.Now()
	made, err := r.write(folder, choice.Dense)
	if err != nil {
		return err
	}
	r.tell(Event{Phase: "write", Done: 1, All: 1, Seconds: time.Since(began).Seconds()})
	var eval *Evaluation
	if r.Evaluate != nil {
		began := time.Now()
		if eval, err = r.Evaluate(stop, r.Source, folder, r.Compute); err != nil {
			return stopped(stop, err)
		}
		r.tell(Event{Phase: "evaluate", Done: 1, All: 1, Seconds: time.Since(began).Seconds()})
	}
	if err := r.report(folder, made, all, choice, eval); err != nil {
		return err
	}
	r.state.Finished = true
	if err := r.state.save(r.Partial()); err != nil {
		return err
	}
	if err := os.Remove(r.Target); err != nil && !errors.Is(err, os.ErrNotExist) { // it may be there, but empty
		return fmt.Errorf("%s: %w", r.Target, atomicfile.Cause(err))
	}
	if err := os.Rename(folder, r.Target); err != nil {
		return fmt.Errorf("%s: %w", r.Target, atomicfile.Cause(err))
	}
	atomicfile.SyncFolder(filepath.Dir(filepath.Clean(r.Target)))
	return clean(r.Partial())
}

// clean removes the folder of a job, its state last: until then resume can clean.
func clean(partial string) error {
	entries, err := os.ReadDir(partial)
	if err != nil {
		return fmt.Errorf("%s: %w", partial, atomicfile.Cause(err))
	}
	for _, e := range entries {
		if e.Name() != stateFile {
			if err := os.RemoveAll(filepath.Join(partial, e.Name())); err != nil {
				return fmt.Errorf("%s: %w", partial, atomicfile.Cause(err))
			}
		}
	}
	return os.RemoveAll(partial)
}

// published reports whether a job broke off after its folder had its place.
func (j *Job) published() bool {
	s, err := loadState(j.Partial())
	if err != nil || !s.Finished {
		return false
	}
	_, inPlace := os.Stat(filepath.Join(j.Target, "config.json"))
	_, waiting := os.Stat(filepath.Join(j.Partial(), "out"))
	return inPlace == nil && errors.Is(waiting, os.ErrNotExist)
}

// written is a folder that has been written.
type written struct {
	totals *armorfmt.Totals
	bytes  map[string]armorfmt.Bytes // by pruned module
	types  map[string]string         // of its core
}

// write makes the folder: modules in dense stay as they are.
func (r *run) write(folder string, dense map[string]bool) (out *written, err error) {
	info := armorfmt.Info{BaseModel: filepath.Base(filepath.Clean(r.Source)), BaseSHA256: r.baseDigest(), ArmorVersion: r.Version}
	if info.Recipe, err = json.Marshal(&r.Recipe); err != nil {
		return nil, err
	}
	if info.Calibration, err = json.Marshal(&r.state.Calibration); err != nil {
		return nil, err
	}
	w, err := armorfmt.NewWriter(folder, r.ck, 0, info)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	out = &written{bytes: map[string]armorfmt.Bytes{}, types: map[string]string{}}
	for i := range r.modules {
		m := &r.modules[i]
		if dense[m.Name] {
			continue
		}
		l, err := r.state.layer(r.Partial(), m)
		if err != nil {
			return nil, err
		}
		out.bytes[m.Name], err = w.Module(parts(m.Name, l))
		out.types[m.Name] = coreDType(l)
		if err != nil {
			return nil, err
		}
	}
	if err := r.Recipe.writeHeads(w, r.ck, &r.shape.Config, r.Compute.Threads); err != nil {
		return nil, err
	}
	if out.totals, err = w.FinishWeights(); err != nil {
		return nil, err
	}
	return out, w.Finish()
}

// baseDigest is one SHA-256 for all files of the source.
func (r *run) baseDigest() string { return hashText(asJSON(r.state.Source)) }

// measure gives the sensitivity of every module where the budget needs them.
func (r *run) measure(stop context.Context) ([]Sensitivity, error) {
	all := make([]Sensitivity, len(r.modules))
	for i, m := range r.modules {
		all[i] = Sensitivity{Module: m, Saved: r.saved(&m)}
	}
	if !r.Recipe.Budget.Set() {
		return all, nil
	}
	windows := probeWindows(r.windows, r.Recipe.Budget.Tokens)
	done := r.state.LossPerKL > 0
	for i := range r.modules {
		done = done && len(r.state.KL[r.modules[i].Name]) >= len(windows)
	}
	if !done {
		if err := r.probe(stop, windows); err != nil {
			return nil, stopped(stop, err)
		}
	}
	for i := range all {
		all[i].KL = meanKL(r.state.KL[all[i].Module.Name])
	}
	return all, nil
}

func (r *run) probe(stop context.Context, windows [][]int32) error {
	p, err := newProbe(r.ck, r.shape, r.Compute, len(windows[0]))
	if err != nil {
		return err
	}
	defer p.close()
	weights := r.Compute.products(func(m *Module) (*solve.Layer, error) { return r.state.layer(r.Partial(), m) })
	began := time.Now()
	err = sensitivities(stop, p, r.modules, windows, weights, r.state.KL, func(done, all int) error {
		r.tell(Event{Phase: "sensitivity", Done: int64(done), All: int64(all), Seconds: time.Since(began).Seconds()})
		r.state.Seconds = r.seconds()
		return r.state.save(r.Partial())
	})
	if err != nil {
		return err
	}
	if r.state.LossPerKL, err = lossPerKL(stop, p, r.modules, probeWindows(r.windows, wholeWindows*probeWindow), weights); err != nil {
		return err
	}
	return r.state.save(r.Partial())
}

// probeWindows are the windows that sensitivities are measured on: the beginning
// of the calibration windows, as many as make up the budget's tokens.
func probeWindows(windows [][]int32, tokens int) [][]int32 {
	n := min(len(windows[0]), probeWindow)
	want := max(1, (tokens+n-1)/n)
	var out [][]int32
	for i := range min(want, len(windows)) {
		out = append(out, windows[i][:n])
	}
	return out
}

// saved is how many bytes a module takes less when pruned.
func (r *run) saved(m *Module) int64 {
	size := func(n int64, bits, scales int64) int64 { // of n numbers with so many scales
		if bits == 0 {
			return 2 * n
		}
		return n*bits/8 + 2*scales
	}
	g, out, in := r.Recipe.grid(m.In), int64(m.Out), int64(m.In)
	packed := m.Weights()/8 + size(m.Weights()/2, int64(g.Core), out*in/solve.GroupSize) // a bit for each weight, half of them
	if r.Recipe.Method == solve.Armor {
		high, wide := r.Recipe.blocks(m)
		packed += size(out*int64(high), int64(g.Wrappers), out) + size(in*int64(wide), int64(g.Wrappers), in)
	}
	return 2*m.Weights() - packed
}
