// Package latency measures how fast models read a prompt and generate, several of
// them alternately in one process, beside a plain read of the same memory.
package latency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"armor/kernels"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// Subject is one model to measure.
type Subject struct {
	Name    string
	Open    func() (*checkpoint.Checkpoint, error) // called for each number of threads; closed once loaded
	Weights nn.Weights                             // how matrices are kept
	Against bool                                   // the others are compared with it
	// Type of the weights, where they are random: such models are compared with
	// those of the same type and of bf16.
	Type string
}

// Options of a measurement.
type Options struct {
	Subjects    []Subject
	Prompt      int   // tokens of a prefill, and before each decode
	Generate    int   // tokens that each sequence of a decode gets
	Batch       []int // sequences that decode at once
	Repetitions int
	Threads     []int
	KV          kernels.DType // how keys and values are kept

	// Backend makes the backend for a number of threads; Run closes it.
	Backend func(threads int) (kernels.Backend, error)
	// StreamBytes is how much memory the streaming reads go over at least, so that
	// caches do not answer; 0: 1 GiB; negative: no streaming reads.
	StreamBytes int64
	// Progress, if there is one, is called before each repetition of each model.
	Progress func(Step)

	now func() time.Time // tests have their own
}

// Step is one repetition of one model.
type Step struct {
	Threads    int
	Test       Test
	Batch      int
	Repetition int // from 0
	Model      string
}

// Test is what is measured.
type Test string

const (
	Prefill Test = "prefill" // Prompt tokens of one sequence, in steps of 512
	Decode  Test = "decode"  // Generate steps of one token for each sequence
)

// Report is a whole measurement. Its JSON keys are stable.
type Report struct {
	Title    string   `json:"title"`
	Machine  Machine  `json:"machine"`
	Settings Settings `json:"settings"`
	Models   []Model  `json:"models"`
	Rows     []Row    `json:"rows"`
	Ratios   []Ratio  `json:"ratios"`
	Notes    []string `json:"notes"`
}

// Settings are the Options that decide what the numbers mean.
type Settings struct {
	Prompt      int    `json:"prompt"`
	Generate    int    `json:"generate"`
	Batch       []int  `json:"batch"`
	Repetitions int    `json:"repetitions"`
	Threads     []int  `json:"threads"`
	KV          string `json:"kv"`
}

// Model is what was loaded.
type Model struct {
	Name         string `json:"name"`
	Armor        bool   `json:"armor"`          // has 2:4 modules
	Type         string `json:"type,omitempty"` // of random weights
	Storage      string `json:"storage"`
	Kernel       string `json:"kernel"`         // that multiplies the layers' weights
	HeadKernel   string `json:"head_kernel"`    // and the head's
	WeightBytes  int64  `json:"weight_bytes"`   // in memory
	TokenBytes   int64  `json:"token_bytes"`    // of weights read for one token of one sequence, the head's among them
	HeadBytes    int64  `json:"head_bytes"`     // of these the head's
	KVTokenBytes int64  `json:"kv_token_bytes"` // of keys and values for one position
	Layers       int    `json:"layers"`
}

// Row is one test of one model. Speeds are of all sequences together.
type Row struct {
	Model   string `json:"model"`
	Threads int    `json:"threads"`
	Backend string `json:"backend"`
	Test    Test   `json:"test"`
	Batch   int    `json:"batch"`
	Tokens  int    `json:"tokens"` // of one repetition

	Speed     float64   `json:"tokens_per_second"` // the median
	Mean      float64   `json:"mean"`
	Deviation float64   `json:"deviation"` // standard deviation of the repetitions
	Seconds   []float64 `json:"seconds"`   // of each repetition

	// Of a decode: bytes that one step reads, and what a plain streaming read of
	// memory, measured once in each repetition, gives in bytes a second.
	WeightBytes    int64     `json:"step_weight_bytes,omitempty"`
	KVBytes        int64     `json:"step_kv_bytes,omitempty"` // the mean over the steps
	BytesPerSecond float64   `json:"bytes_per_second,omitempty"`
	Streaming      float64   `json:"streaming,omitempty"` // the median
	StreamingAll   []float64 `json:"streaming_all,omitempty"`
	StreamingShare float64   `json:"streaming_share,omitempty"` // BytesPerSecond : Streaming
}

// Ratio compares a model with another in one test.
type Ratio struct {
	Model     string  `json:"model"`
	Against   string  `json:"against"`
	Threads   int     `json:"threads"`
	Test      Test    `json:"test"`
	Batch     int     `json:"batch"`
	Ratio     float64 `json:"ratio"`     // of median speeds, above 1 where Model is faster
	Deviation float64 `json:"deviation"` // of the repetitions' ratios
	// Of a decode: the ratio if all that counts were bytes, and how much of it is reached.
	ByteBound  float64 `json:"byte_bound,omitempty"`
	BoundShare float64 `json:"bound_share,omitempty"`
}

// Bounds of Options.
const (
	MaxTokens = 1 << 20
	MaxBatch  = 4096
)

const (
	stepRows   = 512 // of a prefill
	streamMost = 1 << 30
)

func (o *Options) check() error {
	within := func(name string, most int, values ...int) error {
		for at, v := range values {
			if v < 1 || v > most {
				return fmt.Errorf("%s: got %d, want 1 to %d", name, v, most)
			}
			if i := slices.Index(values, v); i != at {
				return fmt.Errorf("%s: %d is given twice", name, v)
			}
		}
		return nil
	}
	if len(o.Subjects) == 0 || len(o.Threads) == 0 {
		return errors.New("no models or no threads to measure with")
	}
	for i := range o.Subjects {
		for j := range i {
			if o.Subjects[i].Name == o.Subjects[j].Name {
				return fmt.Errorf("two models are called %s", o.Subjects[i].Name)
			}
		}
	}
	if o.Prompt == 0 && o.Generate == 0 || o.Generate > 0 && len(o.Batch) == 0 {
		return errors.New("nothing to measure: no prompt and no tokens to generate")
	}
	for _, err := range []error{
		within("prompt", MaxTokens+1, o.Prompt+1), within("tokens to generate", MaxTokens+1, o.Generate+1),
		within("batch", MaxBatch, o.Batch...), within("repetitions", 1e6, o.Repetitions),
		within("threads", kernels.MaxThreads, o.Threads...),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Run measures. Models of one number of threads are in memory together.
func Run(ctx context.Context, title string, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.StreamBytes == 0 {
		o.StreamBytes = streamMost
	}
	r := &Report{Title: title, Machine: thisMachine(), Settings: Settings{o.Prompt, o.Generate, o.Batch, o.Repetitions, o.Threads, o.KV.String()},
		Models: []Model{}, Rows: []Row{}, Ratios: []Ratio{}, Notes: []string{}}
	for i := range o.Threads {
		if err := runThreads(ctx, &o, i, r); err != nil {
			return nil, err
		}
	}
	r.compare(o.Subjects)
	r.note()
	return r, nil
}

// runThreads loads all models on one backend and measures them.
func runThreads(ctx context.Context, o *Options, at int, r *Report) (err error) {
	b, err := o.Backend(o.Threads[at])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	g := &rig{o: o, b: b, at: at}
	if err := g.load(ctx); err != nil {
		return err
	}
	if at == 0 {
		for i := range g.models {
			r.Models = append(r.Models, g.models[i].Model)
		}
	}
	rows, err := g.measure(ctx)
	r.Rows = append(r.Rows, rows...)
	return err
}

// compare fills the ratios of all models to those that others are compared with.
func (r *Report) compare(subjects []Subject) {
	for _, s := range subjects {
		for _, other := range subjects {
			if s.Against || !other.Against || s.Type != other.Type && s.Type != "" && other.Type != "bf16" {
				continue
			}
			for i := range r.Rows {
				x := &r.Rows[i]
				j := slices.IndexFunc(r.Rows, func(y Row) bool {
					return y.Model == other.Name && y.Threads == x.Threads && y.Test == x.Test && y.Batch == x.Batch
				})
				if x.Model == s.Name && j >= 0 {
					r.Ratios = append(r.Ratios, ratio(x, &r.Rows[j]))
				}
			}
		}
	}
}

// ratio compares two rows of one test, whose repetitions alternated.
func ratio(x, y *Row) Ratio {
	each := make([]float64, len(x.Seconds))
	for i := range each {
		each[i] = y.Seconds[i] / x.Seconds[i]
	}
	_, deviation := meanAndDeviation(each)
	q := Ratio{Model: x.Model, Against: y.Model, Threads: x.Threads, Test: x.Test, Batch: x.Batch,
		Ratio: x.Speed / y.Speed, Deviation: deviation}
	if x.Test == Decode {
		q.ByteBound = float64(y.WeightBytes+y.KVBytes) / float64(x.WeightBytes+x.KVBytes)
		q.BoundShare = q.Ratio / q.ByteBound
	}
	return q
}
