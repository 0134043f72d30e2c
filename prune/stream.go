package prune

import (
	"context"
	"fmt"

	"armor/kernels"
	"armor/kernels/block"
	"armor/model"
	"armor/model/checkpoint"
)

// Compute says on what a job runs.
type Compute struct {
	ISA     kernels.ISA
	Threads int // 0: one for each processor
}

// backend makes one that rounds activations where the processor multiplies bf16.
func (c Compute) backend() (*kernels.CPU, error) {
	return kernels.NewCPU(kernels.Options{ISA: c.ISA, Compute: c.dtype(), Threads: c.Threads})
}

func (c Compute) dtype() kernels.DType {
	if c.ISA >= kernels.AVX512BF16 {
		return kernels.BF16
	}
	return kernels.F32
}

// stream runs windows of calibration text through the dense model, one layer in
// memory at a time.
type stream struct {
	ck      *checkpoint.Checkpoint
	shape   model.Shape
	compute Compute
	windows [][]int32 // all of one length
	hidden  *hidden
	next    int // layer whose input is in hidden
}

// newStream begins with the embedding of the windows. The residual stream goes
// to a file in spill, if that is given.
func newStream(ctx context.Context, ck *checkpoint.Checkpoint, shape model.Shape, c Compute, windows [][]int32, spill string) (*stream, error) {
	s := &stream{ck: ck, shape: shape, compute: c, windows: windows}
	rows, dim := len(windows[0]), shape.Config.Dim
	table, err := ck.Need("model.embed_tokens.weight", shape.Config.Vocab, dim)
	if err != nil {
		return nil, err
	}
	if s.hidden, err = newHidden(len(windows), rows, dim, spill); err != nil {
		return nil, err
	}
	x := make([]float32, rows*dim)
	for w, ids := range windows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for r, id := range ids {
			if id < 0 || int(id) >= shape.Config.Vocab {
				return nil, fmt.Errorf("token %d is not in the vocabulary of %d", id, shape.Config.Vocab)
			}
			if err := table.ReadRows(x[r*dim:], int(id), 1); err != nil {
				return nil, err
			}
		}
		if err := s.hidden.put(w, x); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stream) close() { s.hidden.close() }

// advance runs the next layer over all windows. What its linear layers read is
// added to grams, by input; a nil one is not gathered.
func (s *stream) advance(ctx context.Context, grams [inputs]*gram) error {
	rows := s.hidden.rows
	one, err := newSingle(s.ck, s.shape, s.compute, s.next, rows, nil)
	if err != nil {
		return err
	}
	defer one.close()
	p := &recorder{Pass: one.pass, b: one.b, rows: rows, bufs: map[int]kernels.Buf{}, see: map[kernels.Group]func([]float32) error{}}
	m := block.New(s.compute.ISA)
	for i, g := range [inputs]kernels.Group{one.layer.QKV, one.layer.O, one.layer.GateUp, one.layer.Down} {
		if grams[i] != nil {
			p.see[g] = func(x []float32) error { return grams[i].add(m, s.compute.Threads, x) }
		}
	}
	one.pass = p
	buf := make([]float32, rows*s.hidden.dim)
	for w, ids := range s.windows {
		if err := ctx.Err(); err != nil {
			return err
		}
		x, err := s.hidden.window(w, buf)
		if err != nil {
			return err
		}
		if err := one.run(ids, buf, x); err != nil {
			return err
		}
		if err := s.hidden.put(w, buf); err != nil {
			return err
		}
	}
	s.next++
	return nil
}
