package prune

import (
	"context"
	"fmt"
	"slices"

	"armor/internal/parallel"
	"armor/kernels"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/model/nn"
	"armor/prune/solve"
)

// Types say in what numbers a folder is stored. Empty fields are bf16, and the
// default rounding.
type Types struct {
	Core     string         `json:"core_dtype,omitempty" yaml:"core_dtype,omitempty"`       // bf16, int8 or int4; where 64 does not divide the inputs, bf16
	Wrappers string         `json:"wrapper_dtype,omitempty" yaml:"wrapper_dtype,omitempty"` // bf16 or int8
	Head     string         `json:"head_dtype,omitempty" yaml:"head_dtype,omitempty"`       // of embedding and head: bf16 for the source's, int8 or int4
	Rounding solve.Rounding `json:"rounding,omitempty" yaml:"rounding,omitempty"`           // how the codes are found
	// Int8Above keeps a core in int8 where int4 would raise its loss by more than this
	// factor; 0: none.
	Int8Above float64 `json:"int8_above,omitempty" yaml:"int8_above,omitempty"`
}

// DefaultTypes round to bf16 alone.
func DefaultTypes() Types {
	return Types{Core: armorfmt.BF16, Wrappers: armorfmt.BF16, Head: armorfmt.BF16, Rounding: solve.Descent}
}

func (t *Types) check() error {
	for _, f := range []struct {
		name, got string
		want      []string
	}{
		{"core_dtype", t.Core, []string{armorfmt.BF16, armorfmt.Int8, armorfmt.Int4}},
		{"wrapper_dtype", t.Wrappers, []string{armorfmt.BF16, armorfmt.Int8}},
		{"head_dtype", t.Head, []string{armorfmt.BF16, armorfmt.Int8, armorfmt.Int4}},
		{"rounding", string(t.Rounding), []string{string(solve.Descent), string(solve.Refit), string(solve.Plain)}},
	} {
		if f.got != "" && !slices.Contains(f.want, f.got) {
			return fmt.Errorf("%s: got %q, want one of %v", f.name, f.got, f.want)
		}
	}
	if a := t.Int8Above; a != 0 && !(a >= 1 && a <= 1e6) {
		return fmt.Errorf("int8_above: got %v, want a factor of 1 or more, or 0", a)
	}
	return nil
}

// quantize stores a layer of p in codes.
func (t *Types) quantize(ctx context.Context, p *solve.Problem, l *solve.Layer, g solve.Grid, o solve.Options) (*solve.Quantized, error) {
	q, err := solve.Quantize(ctx, p, l, g, o)
	if err != nil || g.Core != 4 || t.Int8Above == 0 || q.Loss <= t.Int8Above*q.Before {
		return q, err
	}
	g.Core = 8
	seconds := q.Seconds
	if q, err = solve.Quantize(ctx, p, l, g, o); err == nil {
		q.Seconds += seconds
	}
	return q, err
}

// grid is how the cores of so many inputs are stored, and their wrappers.
func (t *Types) grid(in int) solve.Grid {
	g := solve.Grid{Core: armorfmt.Bits(t.Core), Wrappers: armorfmt.Bits(t.Wrappers), Rounding: t.Rounding}
	if !g.Fits(in) {
		g.Core = 0
	}
	return g
}

// integers reports whether anything of a grid is not bf16.
func integers(g solve.Grid) bool { return g.Core > 0 || g.Wrappers > 0 }

// coreDType is the type of a layer's core.
func coreDType(l *solve.Layer) string { return dtypeOf(l.Core) }

func dtypeOf(c *solve.Codes) string {
	switch {
	case c == nil:
		return armorfmt.BF16
	case c.Bits == 4:
		return armorfmt.Int4
	default:
		return armorfmt.Int8
	}
}

// parts is a layer as it is written.
func parts(name string, l *solve.Layer) *armorfmt.Parts {
	p := &armorfmt.Parts{Name: name, Out: l.Out, In: l.In, Masks: l.Mask, BlockOut: l.BlockOut, BlockIn: l.BlockIn,
		Core: (*armorfmt.Codes)(l.Core), CodesA: (*armorfmt.Codes)(l.CodesA), CodesB: (*armorfmt.Codes)(l.CodesB)}
	if l.Core == nil {
		p.Values = l.Values
	}
	if l.CodesA == nil {
		p.A, p.B = l.A, l.B
	}
	return p
}

const (
	embedding = "model.embed_tokens"
	head      = "lm_head"
)

// checkHead refuses a head that cannot be quantized.
func (t *Types) checkHead(c *nn.Config) error {
	if armorfmt.Bits(t.Head) > 0 && c.Dim%armorfmt.HeadGroupSize != 0 {
		return fmt.Errorf("head_dtype: got %s for %d inputs, want a multiple of %d of them", t.Head, c.Dim, armorfmt.HeadGroupSize)
	}
	return nil
}

// writeHeads writes embedding and head as codes, if they are to be.
func (t *Types) writeHeads(w *armorfmt.Writer, ck *checkpoint.Checkpoint, c *nn.Config, threads int) error {
	bits := armorfmt.Bits(t.Head)
	if bits == 0 {
		return nil
	}
	names := []string{embedding, head}
	if c.Tied {
		names = names[:1]
		w.Drop(head + ".weight") // some folders store it all the same
	}
	for _, name := range names {
		weight, err := ck.Need(name+".weight", c.Vocab, c.Dim)
		if err != nil {
			return err
		}
		q := kernels.Quant{Bits: bits, Group: armorfmt.HeadGroupSize}
		if err := w.Dense(name, q, &rounded{weight, q, threads, t.Rounding != solve.Plain}); err != nil {
			return err
		}
	}
	return nil
}

// rounded is a dense weight as codes.
type rounded struct {
	kernels.Matrix
	quant   kernels.Quant
	threads int
	search  bool // for the best scales
}

// Fits implements kernels.Coded.
func (r *rounded) Fits(q kernels.Quant) bool { return q == r.quant }

// ReadCodes implements kernels.Coded.
func (r *rounded) ReadCodes(codes []int8, scales []uint16, row, n int) error {
	const rows = 16 // of a task
	cols, group := r.Cols(), r.quant.Group
	return parallel.Do(r.threads, (n+rows-1)/rows, func(_, task int) error {
		first := task * rows
		many := min(rows, n-first)
		x := make([]float32, many*cols)
		if err := r.ReadRows(x, row+first, many); err != nil {
			return err
		}
		for i, v := range x {
			if v-v != 0 {
				return fmt.Errorf("row %d, column %d: got %v, want finite numbers", row+first+i/cols, i%cols, v)
			}
		}
		solve.RoundGroups(codes[first*cols:(first+many)*cols], scales[first*cols/group:(first+many)*cols/group], x, r.quant.Bits, group, r.search)
		return nil
	})
}
