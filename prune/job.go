package prune

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"armor/model"
	"armor/model/armorfmt"
	"armor/model/atomicfile"
	"armor/model/checkpoint"
	"armor/model/tokenizer"
	"armor/prune/calib"
)

// Job prunes one model. What is done is kept in Target.partial until the whole
// folder stands at Target.
type Job struct {
	Source  string // folder of the dense model
	Target  string // folder to write
	Calib   string // calibration text, see calib.Open
	Recipe  Recipe
	Compute Compute
	First   int // layers First … End-1 are pruned; End 0 means all
	End     int
	Memory  int64 // at most so many bytes, 0: no bound
	Version string
	Peak    func() int64 // memory that the process has had at most, for the report; nil: unknown
	resume  bool

	Log      *slog.Logger // events, nil: none
	Progress func(Event)  // nil: none
	// Evaluate measures the finished folder before it is published, nil: not.
	Evaluate func(ctx context.Context, source, folder string, c Compute) (*Evaluation, error)
}

// Event is a step of a job.
type Event struct {
	Phase   string // "calibrate", "prune", "sensitivity", "write", "evaluate"
	Module  string // that was done
	Done    int64  // weights (prune), layers or modules
	All     int64
	Loss    float64 // relative, of the module
	Start   float64 // NoWag-P's
	Elapsed time.Duration
	Seconds float64 // of this step
}

// Evaluation is perplexity of the dense and the pruned model on one text.
type Evaluation struct {
	File              string
	Windows, Window   int     // how many, and tokens of each
	Dense, Pruned     float64 // perplexities
	Ratio, RatioError float64 // pruned / dense, and its paired standard error
	KL                float64 // mean KL(dense ‖ pruned), nats a token
}

// ErrStopped is returned when a job was asked to end: what is done is kept, and
// Resume goes on.
var ErrStopped = errors.New("stopped; armor-prune resume goes on from here")

// Partial is the folder of an unfinished job.
func (j *Job) Partial() string { return filepath.Clean(j.Target) + ".partial" }

// run is a job at work.
type run struct {
	*Job
	ck      *checkpoint.Checkpoint
	shape   model.Shape
	tok     *tokenizer.Tokenizer
	modules []Module // of this job's layers
	windows [][]int32
	state   *state
	began   time.Time
	before  float64 // seconds of the runs before this one
}

// Unfinished gives the job that left its work in target's partial folder.
func Unfinished(target string) (*Job, error) {
	j := &Job{Target: target}
	s, err := loadState(j.Partial())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no unfinished job is there", j.Partial())
	}
	if err != nil {
		return nil, err
	}
	j.Source, j.Calib, j.Recipe, j.First, j.End, j.resume = s.Model, s.Text, s.Recipe, s.First, s.End, true
	return j, nil
}

// Progress is how far an unfinished job is.
type Progress struct {
	Model     string
	Done, All int // modules
}

// Inspect looks at the unfinished job of target.
func Inspect(target string) (p Progress, err error) {
	j, err := Unfinished(target)
	if err != nil {
		return p, err
	}
	s, err := loadState(j.Partial())
	if err != nil {
		return p, err
	}
	return Progress{Model: s.Model, Done: len(s.Modules), All: (s.End - s.First) * len(kinds)}, nil
}

// Run does a job. When stop ends, it finishes the module at hand and returns
// ErrStopped.
func (j *Job) Run(stop context.Context) (err error) {
	if j.resume && j.published() {
		return clean(j.Partial())
	}
	r, err := j.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.ck.Close()) }()
	if err := r.preflight().check(j.Memory); err != nil {
		return err
	}
	if err := r.prepare(); err != nil {
		return err
	}
	unlock, err := lock(j.Partial())
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.load(); err != nil {
		return err
	}
	if err := r.prune(stop); err != nil {
		return err
	}
	if len(r.modules) < len(Modules(&r.shape.Config)) {
		return nil // a part: merge joins it with the others
	}
	return r.finish(stop)
}

// Preflight says what the job will need. It reads no weights.
func (j *Job) Preflight() (p Preflight, err error) {
	r, err := j.start()
	if err != nil {
		return p, err
	}
	p = r.preflight()
	p.Seconds = r.estimate(&p)
	return p, r.ck.Close()
}

func (j *Job) start() (*run, error) {
	if err := j.Recipe.Check(); err != nil {
		return nil, err
	}
	r := &run{Job: j, began: time.Now()}
	return r, r.open()
}

// seconds is the time that the job has taken so far, in all runs.
func (r *run) seconds() float64 { return r.before + time.Since(r.began).Seconds() }

func (r *run) log(msg string, args ...any) {
	if r.Log != nil {
		r.Log.Info(msg, args...)
	}
}

func (r *run) tell(e Event) {
	if r.Progress != nil {
		e.Elapsed = time.Since(r.began)
		r.Progress(e)
	}
}

// open reads the source and draws the calibration windows.
func (r *run) open() (err error) {
	if checkpoint.IsGGUF(r.Source) {
		return fmt.Errorf("%s: a GGUF file cannot be pruned: want the model's folder of safetensors files", r.Source)
	}
	if r.ck, err = checkpoint.OpenFolder(r.Source); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.ck.Close()
		}
	}()
	if r.shape, err = model.ShapeOf(r.ck); err != nil {
		return err
	}
	if r.tok, err = model.LoadTokenizer(r.ck); err != nil {
		return err
	}
	c := &r.shape.Config
	if err := r.Recipe.checkHead(c); err != nil {
		return err
	}
	if r.End == 0 {
		r.End = c.Layers
	}
	if r.First < 0 || r.First >= r.End || r.End > c.Layers {
		return fmt.Errorf("layers: got %d:%d, want within 0:%d", r.First, r.End, c.Layers)
	}
	for _, m := range Modules(c) {
		if _, err := r.ck.Need(m.Name+".weight", m.Out, m.In); err != nil {
			return err
		}
		if m.In%4 != 0 || m.Out%4 != 0 {
			return fmt.Errorf("%s: %s: got %d × %d, want multiples of 4", r.ck.Path, m.Name, m.Out, m.In)
		}
		if m.Layer >= r.First && m.Layer < r.End {
			r.modules = append(r.modules, m)
		}
	}
	if r.Recipe.SeqLen > c.Context {
		return fmt.Errorf("seqlen: got %d tokens, the model's context is %d", r.Recipe.SeqLen, c.Context)
	}
	return nil
}

// prepare makes the folder of the unfinished job, or finds it.
func (r *run) prepare() error {
	if entries, err := os.ReadDir(r.Target); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s: is there already, and not empty", r.Target)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", r.Target, atomicfile.Cause(err))
	}
	dir := r.Partial()
	for _, path := range []string{r.Target, dir} {
		if err := armorfmt.Outside(path, r.Source); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("%s: %w", dir, atomicfile.Cause(err))
	}
	return nil
}

// load draws the calibration text, makes the state, and compares it with that of
// the unfinished job.
func (r *run) load() error {
	docs, err := calib.Open(r.Calib)
	if err != nil {
		return err
	}
	defer docs.Close()
	o := calib.Options{Samples: r.Recipe.Samples, SeqLen: r.Recipe.SeqLen, Seed: r.Recipe.Seed}
	var info calib.Info
	if r.windows, info, err = calib.Sample(docs, r.tok, o); err != nil {
		return err
	}
	sums, err := sourceDigests(r.Source)
	if err != nil {
		return err
	}
	model, err := filepath.Abs(r.Source)
	if err != nil {
		return err
	}
	text, err := filepath.Abs(r.Calib)
	if err != nil {
		return err
	}
	r.state = &state{Version: stateVersion, Model: model, Text: text, Recipe: r.Recipe, Source: sums, Calibration: info, First: r.First, End: r.End,
		Modules: map[string]moduleState{}, KL: map[string][]float64{}}
	dir := r.Partial()
	old, err := loadState(dir)
	if errors.Is(err, fs.ErrNotExist) && !r.resume {
		return r.state.save(dir)
	}
	if err != nil {
		return err
	}
	if what := r.state.differs(old); what != "" {
		return fmt.Errorf("%s: an unfinished job is there, with other %s: remove it, or go on with what it began with", dir, what)
	}
	if !r.resume {
		return fmt.Errorf("%s: an unfinished job is there: go on with armor-prune resume %s", dir, r.Target)
	}
	for i := range r.modules {
		if _, ok := old.Modules[r.modules[i].Name]; ok {
			if _, err := old.layer(dir, &r.modules[i]); err != nil {
				return err
			}
		}
	}
	r.state, r.before = old, old.Seconds
	return nil
}

// prune does the modules that are not done.
func (r *run) prune(stop context.Context) error {
	last := -1 // layer of the last module to do
	var done, all int64
	for _, m := range r.modules {
		all += m.Weights()
		if _, ok := r.state.Modules[m.Name]; ok {
			done += m.Weights()
		} else {
			last = m.Layer
		}
	}
	if last < 0 {
		return nil
	}
	spill := ""
	if p := r.preflight(); r.Memory > 0 && p.Memory > r.Memory {
		spill = r.Partial()
	}
	s, err := newStream(stop, r.ck, r.shape, r.Compute, r.windows, spill)
	if err != nil {
		return stopped(stop, err)
	}
	defer s.close()
	for layer := 0; layer <= last; layer++ {
		var todo []Module
		for _, m := range r.modules {
			if _, ok := r.state.Modules[m.Name]; !ok && m.Layer == layer {
				todo = append(todo, m)
			}
		}
		began := time.Now()
		grams := r.grams(todo)
		if err := s.advance(stop, grams); err != nil {
			return stopped(stop, err)
		}
		r.tell(Event{Phase: "calibrate", Done: int64(layer + 1), All: int64(last + 1), Seconds: time.Since(began).Seconds()})
		for i := range todo {
			m := &todo[i]
			result, err := r.solve(m, grams[m.kind.input])
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			r.state.Seconds = r.seconds()
			if err := r.state.publish(r.Partial(), m.Name, result); err != nil {
				return err
			}
			done += m.Weights()
			r.log("module", "name", m.Name, "loss_start", result.LossStart, "loss", result.LossRounded, "seconds", result.Seconds)
			r.tell(Event{Phase: "prune", Module: m.Name, Done: done, All: all, Loss: result.LossRounded, Start: result.LossStart, Seconds: result.Seconds})
			if stop.Err() != nil {
				return ErrStopped
			}
		}
	}
	return nil
}

// stopped turns the end of stop into ErrStopped.
func stopped(stop context.Context, err error) error {
	if stop.Err() != nil && errors.Is(err, stop.Err()) {
		return ErrStopped
	}
	return err
}
