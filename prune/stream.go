package prune

import (
	"context"
	"fmt"

	"armor/kernels"
	"armor/kernels/block"
	"armor/model"
	"armor/model/checkpoint"
	"armor/model/nn"
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
	b, err := s.compute.backend()
	if err != nil {
		return err
	}
	defer b.Close()
	c := s.shape.Config
	layer, err := nn.NewLoader(s.ck, b, nn.WeightsAuto).Layer(s.next, c, s.shape.Extras)
	if err != nil {
		return err
	}
	c.Layers = 1
	rows := s.hidden.rows
	d := &nn.Decoder{Config: c, Layers: []nn.Layer{layer}}
	if err := d.Prepare(b, rows, rows); err != nil {
		return err
	}
	kv, pages, err := newPages(b, d, rows)
	if err != nil {
		return err
	}
	inner, err := b.NewPass()
	if err != nil {
		return err
	}
	p := &recorder{Pass: inner, b: b, rows: rows, bufs: map[int]kernels.Buf{}, see: map[kernels.Group]func([]float32) error{}}
	m := block.New(s.compute.ISA)
	for i, g := range [inputs]kernels.Group{layer.QKV, layer.O, layer.GateUp, layer.Down} {
		if grams[i] != nil {
			p.see[g] = func(x []float32) error { return grams[i].add(m, s.compute.Threads, x) }
		}
	}
	x := make([]float32, rows*c.Dim)
	for w, ids := range s.windows {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := &kernels.Batch{Tokens: ids, Seqs: []kernels.Span{{Rows: rows, Pages: pages}}, KV: kv}
		if err := s.step(p, d, b, batch, w, x); err != nil {
			return err
		}
	}
	s.next++
	return nil
}

// step runs the one layer of d over window w.
func (s *stream) step(p kernels.Pass, d *nn.Decoder, b kernels.Backend, batch *kernels.Batch, w int, x []float32) error {
	in, err := s.hidden.window(w, x)
	if err != nil {
		return err
	}
	h := d.Hidden(batch)
	if err := writeRows(b, h, in); err != nil {
		return err
	}
	d.Blocks(p, batch, 0, 1)
	if err := p.End(); err != nil {
		return err
	}
	if err := readRows(b, x, h); err != nil {
		return err
	}
	return s.hidden.put(w, x)
}
