// Package report is what a pruning job says about itself: armor_report.json and
// one self-contained HTML page.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// FormatVersion is the version of armor_report.json that this package writes
// and the only one that it reads.
const FormatVersion = 1

// Report is armor_report.json. Sizes are bytes, times seconds of wall clock.
type Report struct {
	FormatVersion int             `json:"format_version"` // set by JSON
	ArmorVersion  string          `json:"armor_version,omitempty"`
	Source        Source          `json:"source"`
	Calibration   *Calibration    `json:"calibration,omitempty"`
	Recipe        json.RawMessage `json:"recipe,omitempty"` // an object, as saved with the model
	Machine       Machine         `json:"machine"`
	Seconds       float64         `json:"seconds"`
	BytesDense    int64           `json:"bytes_dense"`  // all tensors of the source
	BytesPacked   int64           `json:"bytes_packed"` // all tensors written, dense ones too

	Modules     []Module          `json:"modules"` // pruned, in the order of the model
	Shards      map[string]string `json:"shards"`  // file: sha256
	Eval        *Eval             `json:"eval,omitempty"`
	Sensitivity []Sensitivity     `json:"sensitivity,omitempty"`
	Prediction  *Prediction       `json:"prediction,omitempty"`
}

// Source is the model that was pruned.
type Source struct {
	Model        string `json:"model"` // a hub name or the name of a folder or file
	Revision     string `json:"revision,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	SHA256       string `json:"sha256,omitempty"`
	Parameters   int64  `json:"parameters,omitempty"`
	DType        string `json:"dtype,omitempty"`
}

// Calibration says which text was sampled; its fields are those of calib.Info.
type Calibration struct {
	File          string `json:"file"`
	SHA256        string `json:"sha256"`
	FileBytes     int64  `json:"file_bytes"`
	Documents     int    `json:"documents"`
	DocumentsUsed int    `json:"documents_used"`
	Bytes         int64  `json:"bytes"`
	Tokens        int    `json:"tokens"`
	Samples       int    `json:"samples"`
	SeqLen        int    `json:"seqlen"`
	Seed          uint64 `json:"seed"`
}

// Machine is where the job ran.
type Machine struct {
	CPU     string `json:"cpu,omitempty"`
	ISA     string `json:"isa,omitempty"` // of the kernels that ran
	Threads int    `json:"threads,omitempty"`
	Memory  int64  `json:"memory,omitempty"`
	Peak    int64  `json:"peak_memory,omitempty"` // of the job
	OS      string `json:"os,omitempty"`
	Arch    string `json:"arch,omitempty"`
	Go      string `json:"go,omitempty"`
}

// Module is one pruned linear layer. Losses are relative; the recipe says to
// what.
type Module struct {
	Name        string   `json:"name"`
	Method      string   `json:"method"`
	Solver      string   `json:"solver,omitempty"`
	Block       [2]int   `json:"block"` // of A and of B; 0: none
	CoreDType   string   `json:"core_dtype"`
	LossStart   float64  `json:"loss_start"`
	LossEnd     float64  `json:"loss_end"`
	LossRounded float64  `json:"loss_rounded"` // of what is stored
	Sweeps      int      `json:"sweeps"`
	Seconds     float64  `json:"seconds"`
	KL          *float64 `json:"kl,omitempty"` // of the model with this module alone pruned
	// Losses is the loss before the first sweep and after each that was measured.
	Losses []float64 `json:"losses,omitempty"`

	BytesDense    int64 `json:"bytes_dense"`
	BytesValues   int64 `json:"bytes_values"`
	BytesIndex    int64 `json:"bytes_index"`
	BytesWrappers int64 `json:"bytes_wrappers"`
	BytesScales   int64 `json:"bytes_scales"`
}

// BytesPacked is the module's size as written.
func (m *Module) BytesPacked() int64 {
	return m.BytesValues + m.BytesIndex + m.BytesWrappers + m.BytesScales
}

// Eval is perplexity before and after, over the same tokens. Zero: not
// measured.
type Eval struct {
	File        string   `json:"file"`
	SHA256      string   `json:"sha256,omitempty"`
	Mode        string   `json:"mode,omitempty"`
	Window      int      `json:"window,omitempty"` // tokens
	Windows     int      `json:"windows,omitempty"`
	Tokens      int      `json:"tokens,omitempty"` // scored
	PPLDense    float64  `json:"ppl_dense,omitempty"`
	PPLPacked   float64  `json:"ppl_packed,omitempty"`
	PPLError    float64  `json:"ppl_packed_error,omitempty"` // standard error
	KL          *float64 `json:"kl,omitempty"`               // mean of KL(dense ‖ packed)
	Top1        float64  `json:"top1,omitempty"`             // share of tokens where the most likely agree
	BaselinePPL float64  `json:"ppl_baseline,omitempty"`     // NoWag-P of the same model
}

// Sensitivity is what pruning one module alone does to the model's output.
type Sensitivity struct {
	Name        string  `json:"name"`
	KL          float64 `json:"kl"` // mean over tokens, nats
	KLPerWeight float64 `json:"kl_per_weight"`
	KeptDense   bool    `json:"kept_dense"`
}

// KeptDense is how many of the modules whose sensitivity is known stay dense.
func (r *Report) KeptDense() int {
	n := 0
	for _, s := range r.Sensitivity {
		if s.KeptDense {
			n++
		}
	}
	return n
}

// Prediction compares what the sensitivities add up to with what was measured.
type Prediction struct {
	KLSum             float64  `json:"kl_sum"`
	PredictedPPLRatio float64  `json:"predicted_ppl_ratio"`
	MeasuredKL        *float64 `json:"measured_kl,omitempty"`
	MeasuredPPLRatio  *float64 `json:"measured_ppl_ratio,omitempty"`
}

// Validate says what is wrong: a number that JSON cannot hold, a negative size,
// parts larger than the whole.
func (r *Report) Validate() error {
	if err := finite("", reflect.ValueOf(r).Elem()); err != nil {
		return err
	}
	dense, packed := r.BytesDense, r.BytesPacked
	if dense < 0 || packed < 0 {
		return fmt.Errorf("got bytes_dense %d and bytes_packed %d, want no negative size", dense, packed)
	}
	for i := range r.Modules {
		m := &r.Modules[i]
		for _, n := range []int64{m.BytesDense, m.BytesValues, m.BytesIndex, m.BytesWrappers, m.BytesScales} {
			if n < 0 || n > math.MaxInt64/8 {
				return fmt.Errorf("module %q: got a size of %d bytes", m.Name, n)
			}
		}
		if m.BytesDense > dense || m.BytesPacked() > packed {
			return fmt.Errorf("module %q: modules up to it take more than bytes_dense %d or bytes_packed %d", m.Name, r.BytesDense, r.BytesPacked)
		}
		dense -= m.BytesDense
		packed -= m.BytesPacked()
		if m.Sweeps < 0 || m.Block[0] < 0 || m.Block[1] < 0 {
			return fmt.Errorf("module %q: got %d sweeps and blocks %v, want none negative", m.Name, m.Sweeps, m.Block)
		}
	}
	if len(r.Recipe) > 0 && !json.Valid(r.Recipe) {
		return errors.New("recipe: not JSON")
	}
	return nil
}

// finite names the first number in v that is NaN or infinite.
func finite(path string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s: got %v, want a finite number", path, f)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return finite(path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", path, i)
			if m, ok := v.Index(i).Interface().(Module); ok {
				at = fmt.Sprintf("module %q", m.Name)
			}
			if err := finite(at, v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if path != "" {
				name = path + "." + name
			}
			if err := finite(name, v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// JSON is armor_report.json: indented, keys always in the same order.
func (r *Report) JSON() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("armor_report.json: %w", err)
	}
	c := *r
	c.FormatVersion = FormatVersion
	if c.Modules == nil {
		c.Modules = []Module{}
	}
	if c.Shards == nil {
		c.Shards = map[string]string{}
	}
	data, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("armor_report.json: %w", err)
	}
	return append(data, '\n'), nil
}

// Read reads armor_report.json. Keys that it does not know are passed over.
func Read(data []byte) (*Report, error) {
	var head struct {
		FormatVersion *int `json:"format_version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("armor_report.json: %w", err)
	}
	if head.FormatVersion == nil {
		return nil, fmt.Errorf("armor_report.json: key format_version: absent, want %d", FormatVersion)
	}
	if *head.FormatVersion != FormatVersion {
		return nil, fmt.Errorf("armor_report.json: key format_version: got %d, want %d", *head.FormatVersion, FormatVersion)
	}
	r := new(Report)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("armor_report.json: %w", err)
	}
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("armor_report.json: %w", err)
	}
	return r, nil
}
