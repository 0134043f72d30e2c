package prune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"armor/kernels/block"
	"armor/model"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/prune/calib"
	"armor/prune/report"
	"armor/prune/solve"
)

// Quantization stores a finished ARMOR folder in other numbers. Each layer comes as
// near as it can to the dense model's, or to its own product A·S·B without one.
type Quantization struct {
	Source  string // ARMOR folder with cores in bf16
	Target  string // folder to write
	Dense   string // folder of the model that the source was made of, or ""
	Types   Types
	MaxPPL  float64 // 0.05: so many of the cores in int8 in place of int4 that perplexity grows by 5 % from bf16; 0: none
	Tokens  int     // that MaxPPL measures on, with Source in memory
	Calib   string  // calibration text, see calib.Open; "": all inputs count alike
	Samples int     // windows of it
	SeqLen  int     // tokens of a window
	Seed    uint64
	Compute Compute
	Version string

	Progress func(Event) // nil: none

	Predicted float64 // set by Run with MaxPPL: the growth of perplexity to expect
}

// requantize is a Quantization at work.
type requantize struct {
	*Quantization
	ck         *checkpoint.Checkpoint
	dense      *checkpoint.Checkpoint // or nil
	config     *armorfmt.Config
	shape      model.Shape
	denseShape model.Shape
	text       calib.Info
	stream     *stream // nil without calibration text
	windows    [][]int32
	began      time.Time
}

// Run does it. The target is absent or empty before, and whole afterwards or as it
// was.
func (q *Quantization) Run(ctx context.Context) (err error) {
	if err := q.Types.check(); err != nil {
		return err
	}
	if q.Types.Int8Above > 0 && q.Dense == "" {
		return errors.New("int8_above: a layer has no loss but with the dense model")
	}
	if err := q.checkBudget(); err != nil {
		return err
	}
	r := &requantize{Quantization: q, began: time.Now()}
	if checkpoint.IsGGUF(q.Source) {
		return fmt.Errorf("%s: got a GGUF file, want an ARMOR folder", q.Source)
	}
	if r.ck, err = checkpoint.OpenFolder(q.Source); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.ck.Close()) }()
	if err := r.open(); err != nil {
		return err
	}
	if q.Dense != "" {
		if err := r.openDense(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.dense.Close()) }()
	}
	if q.Calib != "" {
		if err := r.calibrate(ctx); err != nil {
			return err
		}
		defer r.stream.close()
	}
	return r.write(ctx)
}

// open reads what the source is, and refuses one that has codes already.
func (r *requantize) open() (err error) {
	if r.config, err = armorfmt.ReadConfig(r.ck); err != nil {
		return err
	}
	if r.config == nil {
		return fmt.Errorf("%s: not an ARMOR folder: config.json has no key armor; armor-prune run makes one", r.Source)
	}
	if r.shape, err = model.ShapeOf(r.ck); err != nil {
		return err
	}
	for _, name := range r.config.Modules {
		l, _ := r.config.Layout(name)
		if l.CoreDType != armorfmt.BF16 || l.WrapperDType == armorfmt.Int8 {
			return fmt.Errorf("%s: module %s: got %s with wrappers in %s, want bf16: quantize the folder that this was made of",
				r.Source, name, l.CoreDType, l.WrapperDType)
		}
	}
	if d := r.config.HeadDType; d != armorfmt.BF16 && armorfmt.Bits(r.Types.Head) > 0 {
		return fmt.Errorf("%s: head_dtype: got %s, want bf16", r.Source, d)
	}
	return r.Types.checkHead(&r.shape.Config)
}

// openDense opens the dense model.
func (r *requantize) openDense() (err error) {
	if checkpoint.IsGGUF(r.Dense) {
		return fmt.Errorf("%s: got a GGUF file, want the model's folder of safetensors files", r.Dense)
	}
	if r.dense, err = checkpoint.OpenFolder(r.Dense); err != nil {
		return err
	}
	shape, err := model.ShapeOf(r.dense)
	if err == nil && shape.Config != r.shape.Config {
		err = fmt.Errorf("%s: was not made of %s: their sizes differ", r.Source, r.Dense)
	}
	if err == nil {
		r.denseShape = shape
	}
	if err != nil {
		return errors.Join(err, r.dense.Close())
	}
	return nil
}

// calibrate draws the windows, which run through the dense model if there is one.
func (r *requantize) calibrate(ctx context.Context) error {
	tok, err := model.LoadTokenizer(r.ck)
	if err != nil {
		return err
	}
	docs, err := calib.Open(r.Calib)
	if err != nil {
		return err
	}
	defer docs.Close()
	windows, info, err := calib.Sample(docs, tok, calib.Options{Samples: r.Samples, SeqLen: r.SeqLen, Seed: r.Seed})
	if err != nil {
		return err
	}
	r.text, r.windows = info, windows
	ck, shape := r.ck, r.shape
	if r.dense != nil {
		ck, shape = r.dense, r.denseShape
	}
	r.stream, err = newStream(ctx, ck, shape, r.Compute, windows, "")
	return err
}

func (r *requantize) write(ctx context.Context) (err error) {
	base, err := armorfmt.BaseConfig(r.ck.Config())
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(r.Source, "config.json"), err)
	}
	info := armorfmt.Info{BaseModel: r.config.BaseModel, BaseSHA256: r.config.BaseSHA256, ArmorVersion: r.Version, Config: base}
	if info.Recipe, err = r.recipe(); err != nil {
		return err
	}
	if r.Calib != "" {
		if info.Calibration, err = json.Marshal(&r.text); err != nil {
			return err
		}
	}
	w, err := armorfmt.NewWriter(r.Target, r.ck, 0, info)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	rep := &report.Report{ArmorVersion: r.Version, Recipe: info.Recipe, Shards: map[string]string{},
		Source:  report.Source{Model: filepath.Base(filepath.Clean(r.Source)), Architecture: r.shape.Architecture, SHA256: r.config.BaseSHA256},
		Machine: r.Compute.machine()}
	if r.Calib != "" {
		c := report.Calibration(r.text)
		rep.Calibration = &c
	}
	if rep.Modules, err = r.modules(ctx, w); err != nil {
		return err
	}
	if err := r.Types.writeHeads(w, r.ck, &r.shape.Config, r.Compute.Threads); err != nil {
		return err
	}
	totals, err := w.FinishWeights()
	if err != nil {
		return err
	}
	rep.BytesDense, rep.BytesPacked = totals.BytesDense, totals.BytesPacked
	for _, s := range totals.Shards {
		rep.Shards[s.Name] = s.SHA256
	}
	for i := range rep.Modules {
		rep.Source.Parameters += rep.Modules[i].BytesDense / 2
	}
	rep.Seconds = time.Since(r.began).Seconds()
	if err := writeReport(w.WriteFile, rep); err != nil {
		return err
	}
	return w.Finish()
}

// recipe says how the folder was made of its source.
func (r *requantize) recipe() (json.RawMessage, error) {
	how := struct {
		Types
		MaxPPL  float64         `json:"max_ppl,omitempty"`
		Tokens  int             `json:"tokens,omitempty"`
		Of      json.RawMessage `json:"of,omitempty"` // the source's recipe
		Samples int             `json:"samples,omitempty"`
		SeqLen  int             `json:"seqlen,omitempty"`
		Seed    uint64          `json:"seed,omitempty"`
	}{Types: r.Types, Of: r.config.Recipe}
	if r.MaxPPL > 0 {
		how.MaxPPL, how.Tokens = r.MaxPPL, r.Tokens
	}
	if r.Calib != "" {
		how.Samples, how.SeqLen, how.Seed = r.Samples, r.SeqLen, r.Seed
	}
	return json.Marshal(&how)
}

// modules writes all pruned modules, a layer after another: or once all are known,
// where it is then that some of them become int8.
func (r *requantize) modules(ctx context.Context, w *armorfmt.Writer) (all []report.Module, err error) {
	known := map[string]bool{}
	list := Modules(&r.shape.Config)
	for i := range list {
		known[list[i].Name] = true
	}
	for _, name := range r.config.Modules {
		if !known[name] {
			return nil, fmt.Errorf("%s: module %s: not a linear layer of the decoder", r.Source, name)
		}
	}
	var waiting []held
	for layer := range r.shape.Config.Layers {
		var grams [inputs]*gram
		var todo []*Module
		for i := range list {
			if m := &list[i]; m.Layer == layer && r.config.Pruned(m.Name) {
				todo = append(todo, m)
				if grams[m.kind.input] == nil {
					grams[m.kind.input] = newGram(m.In, 0)
				}
			}
		}
		if r.stream != nil {
			if err := r.stream.advance(ctx, grams); err != nil {
				return nil, err
			}
		}
		for _, m := range todo {
			diag := grams[m.kind.input].diag
			l, one, err := r.module(ctx, m, diag, r.Types.grid(m.In))
			if err != nil {
				return nil, err
			}
			if r.MaxPPL > 0 {
				h, err := hold(m, l, one, diag)
				if err != nil {
					return nil, err
				}
				waiting = append(waiting, h)
			} else if err := r.store(w, m, l, &one); err != nil {
				return nil, err
			}
			all = append(all, one)
			if r.Progress != nil {
				r.Progress(Event{Phase: "quantize", Module: m.Name, Done: int64(len(all)), All: int64(len(r.config.Modules)),
					Loss: one.LossRounded, Start: one.LossStart, Elapsed: time.Since(r.began), Seconds: one.Seconds})
			}
		}
	}
	if r.MaxPPL > 0 {
		return r.mixed(ctx, w, waiting)
	}
	return all, nil
}

// module quantizes one, whose inputs have second moments diag. Its losses are
// relative to what it is to come near.
func (r *requantize) module(ctx context.Context, m *Module, diag []float64, grid solve.Grid) (l *solve.Layer, one report.Module, err error) {
	file, err := armorfmt.Open(r.ck, r.config, m.Name, m.Out, m.In)
	if err != nil {
		return nil, one, err
	}
	if l, err = readLayer(file); err != nil {
		return nil, one, err
	}
	file.Core.Release(0, m.Out)
	method := solve.Armor
	if l.A == nil {
		grid.Wrappers, method = 0, solve.NoWagP
	}
	one = report.Module{Name: m.Name, Method: string(method), Block: [2]int{l.BlockOut, l.BlockIn}}
	if integers(grid) {
		p := &solve.Problem{Out: m.Out, In: m.In, Hessian: solve.Hessian{Diag: diag}}
		if r.stream == nil {
			for i := range diag {
				diag[i] = 1
			}
		}
		math := block.New(r.Compute.ISA)
		if p.W, err = r.weight(m, l, math); err != nil {
			return nil, one, err
		}
		o := solve.Options{Threads: r.Compute.Threads, Math: math}
		q, err := r.Types.quantize(ctx, p, l, grid, o)
		if err != nil {
			return nil, one, fmt.Errorf("%s: %w", m.Name, err)
		}
		l = &q.Layer
		one.LossEnd, one.LossRounded, one.Sweeps, one.Seconds, one.Losses = q.Before, q.Loss, len(q.Curve), q.Seconds, q.Curve
	}
	return l, one, nil
}

// store writes a module and says so in one.
func (r *requantize) store(w *armorfmt.Writer, m *Module, l *solve.Layer, one *report.Module) error {
	p := parts(m.Name, l)
	p.Replaces = r.config.ModuleTensors(m.Name)
	b, err := w.Module(p)
	one.CoreDType = coreDType(l)
	one.BytesDense, one.BytesValues, one.BytesIndex, one.BytesWrappers, one.BytesScales = b.Dense, b.Values, b.Index, b.Wrappers, b.Scales
	return err
}

// weight is what a module is to come near, [out, in].
func (r *requantize) weight(m *Module, l *solve.Layer, math block.Math) ([]float32, error) {
	if r.dense == nil {
		return l.Product(math, r.Compute.Threads), nil
	}
	return m.weight(r.dense)
}
