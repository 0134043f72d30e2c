package prune

import (
	"armor/kernels"
	"armor/model"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// single is one layer of the dense model alone in memory, with a backend of its
// own, so that closing it gives all of it back.
type single struct {
	layer nn.Layer
	b     *kernels.CPU
	d     *nn.Decoder
	pass  kernels.Pass
	kv    kernels.KV
	pages []int32
}

// newSingle loads layer i for windows of rows tokens. instead has weights that
// modules of it have in place of the checkpoint's.
func newSingle(ck *checkpoint.Checkpoint, shape model.Shape, c Compute, i, rows int, instead map[string]kernels.Matrix) (s *single, err error) {
	s = &single{}
	if s.b, err = c.backend(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.b.Close()
		}
	}()
	loader := nn.NewLoader(ck, s.b, nn.WeightsAuto)
	loader.Instead(instead)
	config := shape.Config
	if s.layer, err = loader.Layer(i, config, shape.Extras); err != nil {
		return nil, err
	}
	config.Layers = 1
	s.d = &nn.Decoder{Config: config, Layers: []nn.Layer{s.layer}}
	if err = s.d.Prepare(s.b, rows, rows); err != nil {
		return nil, err
	}
	if s.kv, s.pages, err = newPages(s.b, s.d, rows); err != nil {
		return nil, err
	}
	s.pass, err = s.b.NewPass()
	return s, err
}

func (s *single) close() { s.b.Close() }

// run sets out to what the layer makes of x, both [rows, dim]; they may be one.
func (s *single) run(ids []int32, out, x []float32) error {
	batch := &kernels.Batch{Tokens: ids, Seqs: []kernels.Span{{Rows: len(ids), Pages: s.pages}}, KV: s.kv}
	h := s.d.Hidden(batch)
	if err := writeRows(s.b, h, x); err != nil {
		return err
	}
	s.d.Blocks(s.pass, batch, 0, 1)
	if err := s.pass.End(); err != nil {
		return err
	}
	return readRows(s.b, out, h)
}

// newPages makes KV pages for one sequence of rows positions.
func newPages(b kernels.Backend, d *nn.Decoder, rows int) (kernels.KV, []int32, error) {
	kv, err := b.NewKV(d.KVShape(b.Compute()))
	if err != nil {
		return nil, nil, err
	}
	pages := make([]int32, kernels.PagesFor(rows))
	for i := range pages {
		pages[i] = int32(i)
	}
	return kv, pages, kv.Reserve(len(pages))
}

// readRows copies all rows of b into x.
func readRows(backend kernels.Backend, x []float32, b kernels.Buf) error {
	for r := range b.Rows() {
		if err := backend.Download(x[r*b.Cols():][:b.Cols()], b, r); err != nil {
			return err
		}
	}
	return nil
}

// writeRows copies x into all rows of b.
func writeRows(backend kernels.Backend, b kernels.Buf, x []float32) error {
	for r := range b.Rows() {
		if err := backend.Write(b, r, x[r*b.Cols():][:b.Cols()]); err != nil {
			return err
		}
	}
	return nil
}
