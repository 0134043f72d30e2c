// Package folder turns whole model folders into others: a 2:4 checkpoint that
// stores its zeros into an ARMOR folder, an ARMOR folder into an ordinary one, and
// either way for the names of the ARMOR authors' checkpoints. A source is never
// written to; a target must be absent or empty and is gone again after an error.
package folder

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"armor/model"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

// Options are common to all conversions.
type Options struct {
	ShardBytes   int64  // of a weight file at most; 0 is checkpoint.ShardBytes
	BaseModel    string // what the config says the model was made of, or ""
	ArmorVersion string // of the program, or ""
	Threads      int    // 0: one for each processor
	// Progress is told of each finished module, if it is not nil.
	Progress func(done, all int, module string)
	// Report gives the text of armor_report.json for a new ARMOR folder, if it is
	// not nil.
	Report func(*Result) ([]byte, error)
}

// Result is what a conversion to an ARMOR folder did.
type Result struct {
	Totals  *armorfmt.Totals
	Modules []Module
	Dense   []Dense
}

// Module is a layer that is stored pruned.
type Module struct {
	Name    string
	Bytes   armorfmt.Bytes
	Rounded bool // its numbers were rounded to bf16
}

// Dense is a layer that stays as it is, and why.
type Dense struct{ Name, Reason string }

func (o *Options) tell(done, all int, module string) {
	if o.Progress != nil {
		o.Progress(done, all, module)
	}
}

// open opens a folder of a known family.
func open(src string) (*checkpoint.Checkpoint, error) {
	ck, err := checkpoint.OpenFolder(src)
	if err != nil {
		return nil, err
	}
	if _, err := model.ShapeOf(ck); err != nil {
		return nil, errors.Join(err, ck.Close())
	}
	return ck, nil
}

// kinds are the layers that pruning takes, in the order of the decoder.
var kinds = []string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
	"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}

// place says where in the decoder a module is, if it is one that pruning takes.
func place(module string) (layer, kind int, ok bool) {
	rest, ok := strings.CutPrefix(module, "model.layers.")
	if !ok {
		return 0, 0, false
	}
	number, name, _ := strings.Cut(rest, ".")
	layer, err := strconv.Atoi(number)
	kind = slices.Index(kinds, name)
	return layer, kind, err == nil && kind >= 0
}

// modulesWith gives the modules that have a tensor of that suffix, in the order of
// the decoder.
func modulesWith(ck *checkpoint.Checkpoint, suffix string) (modules []string) {
	for _, name := range ck.Names() {
		if m, ok := strings.CutSuffix(name, suffix); ok {
			if _, _, ok := place(m); ok {
				modules = append(modules, m)
			}
		}
	}
	slices.SortStableFunc(modules, func(a, b string) int {
		layerA, kindA, _ := place(a)
		layerB, kindB, _ := place(b)
		return cmp.Or(cmp.Compare(layerA, layerB), cmp.Compare(kindA, kindB))
	})
	return modules
}

// toArmor writes an ARMOR folder: parts gives each of modules, nil and the reason
// for one that stays dense.
func toArmor(ck *checkpoint.Checkpoint, dst string, o Options, config []byte, modules []string,
	parts func(module string) (p *armorfmt.Parts, rounded bool, reason string, err error)) (_ *Result, err error) {
	w, err := armorfmt.NewWriter(dst, ck, o.ShardBytes,
		armorfmt.Info{BaseModel: o.BaseModel, ArmorVersion: o.ArmorVersion, Config: config})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	r := &Result{}
	for i, name := range modules {
		p, rounded, reason, err := parts(name)
		if err != nil {
			return nil, err
		}
		if p == nil {
			r.Dense = append(r.Dense, Dense{name, reason})
		} else {
			b, err := w.Module(p)
			if err != nil {
				return nil, err
			}
			r.Modules = append(r.Modules, Module{name, b, rounded})
		}
		o.tell(i+1, len(modules), name)
	}
	if len(r.Modules) == 0 {
		if len(r.Dense) > 0 {
			return nil, fmt.Errorf("%s: no layer is 2:4: %s: %s", ck.Path, r.Dense[0].Name, r.Dense[0].Reason)
		}
		return nil, fmt.Errorf("%s: no layers to prune", ck.Path)
	}
	if r.Totals, err = w.FinishWeights(); err != nil {
		return nil, err
	}
	if o.Report != nil {
		text, err := o.Report(r)
		if err != nil {
			return nil, err
		}
		if err := w.WriteFile("armor_report.json", bytes.NewReader(text)); err != nil {
			return nil, err
		}
	}
	return r, w.Finish()
}

// plain writes a folder of other tensors: emit those that are new, then all of the
// source's that drop does not name.
func plain(ck *checkpoint.Checkpoint, dst string, o Options, config []byte, drop map[string]bool,
	emit func(*checkpoint.Writer) error) (err error) {
	target, err := armorfmt.NewTarget(dst, ck)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			target.Remove()
		}
	}()
	w, err := checkpoint.NewWriter(dst, o.ShardBytes)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			w.Abort()
		}
	}()
	if err := emit(w); err != nil {
		return err
	}
	for _, name := range ck.Names() {
		if drop[name] {
			continue
		}
		t, _ := ck.Tensor(name)
		if err := w.Copy(t); err != nil {
			return err
		}
	}
	if _, err := w.Finish(); err != nil {
		return err
	}
	if err := target.CopyFiles(ck); err != nil {
		return err
	}
	return target.WriteFile("config.json", bytes.NewReader(config))
}
