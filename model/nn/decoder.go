// Package nn is the decoder that Llama and Qwen models share.
package nn

import (
	"fmt"

	"armor/kernels"
)

// Decoder is a model's weights and the one forward pass over them.
type Decoder struct {
	Config
	Embedding kernels.Group // [vocab, dim]
	Layers    []Layer
	Norm      kernels.RMSNorm // [dim]
	Head      kernels.Group   // [vocab, dim]; the embedding where Tied

	RopeFactors []float32 // [head_dim/2] divide the rotary frequencies, or nil
	Storage     string    // how matrices are kept: "Q4_1 as int8 in groups of 32, rounded"

	rope    kernels.Buf // [positions, head_dim], see RopeTable
	scratch scratch
}

// Layer is one block. Absent norms and biases are zero values.
type Layer struct {
	AttnNorm kernels.RMSNorm // [dim]
	QKV      kernels.Group   // [(heads + 2·kv_heads)·head_dim, dim]
	QNorm    kernels.RMSNorm // [head_dim] (Qwen3)
	KNorm    kernels.RMSNorm // [head_dim] (Qwen3)
	O        kernels.Group   // [dim, heads·head_dim]
	MLPNorm  kernels.RMSNorm // [dim]
	GateUp   kernels.Group   // [2·ff, dim]
	Down     kernels.Group   // [dim, ff]
}

// scratch is one step's activations, T rows each.
type scratch struct {
	X      kernels.Buf // [T, dim]
	QKV    kernels.Buf // [T, (heads + 2·kv_heads)·head_dim]
	H      kernels.Buf // [T, heads·head_dim]
	GateUp kernels.Buf // [T, 2·ff]
	Last   kernels.Buf // [len(Out), dim]
}

// Prepare makes what a pass needs beside weights: room for steps of at most
// rows rows, and rotations for positions 0 … positions-1.
func (d *Decoder) Prepare(b kernels.Backend, rows, positions int) error {
	table := d.Config.RopeTable(positions, d.RopeFactors...)
	var err error
	if d.rope, err = b.Upload(positions, d.HeadDim, table); err != nil {
		return err
	}
	for _, s := range []struct {
		buf  *kernels.Buf
		cols int
	}{
		{&d.scratch.X, d.Dim},
		{&d.scratch.QKV, (d.Heads + 2*d.KVHeads) * d.HeadDim},
		{&d.scratch.H, d.Heads * d.HeadDim},
		{&d.scratch.GateUp, 2 * d.FF},
		{&d.scratch.Last, d.Dim},
	} {
		if *s.buf, err = b.NewBuf(rows, s.cols); err != nil {
			return err
		}
	}
	return nil
}

func (s *scratch) setRows(t, out int) {
	s.X.SetRows(t)
	s.QKV.SetRows(t)
	s.H.SetRows(t)
	s.GateUp.SetRows(t)
	s.Last.SetRows(out)
}

// Forward runs one step and writes logits [len(b.Out), vocab]. The keys and
// values of the step's rows are in b's pages afterwards.
func (d *Decoder) Forward(p kernels.Pass, b *kernels.Batch, logits kernels.Buf) error {
	p.Embed(d.Hidden(b), d.Embedding, b.Tokens)
	d.Blocks(p, b, 0, len(d.Layers))
	d.Logits(p, b, logits)
	if err := p.End(); err != nil {
		return fmt.Errorf("forward pass: %w", err)
	}
	return nil
}

// Hidden is the residual stream [T, dim] of a step; it sizes the scratch for it.
func (d *Decoder) Hidden(b *kernels.Batch) kernels.Buf {
	d.scratch.setRows(len(b.Tokens), len(b.Out))
	return d.scratch.X
}

// Blocks runs the layers from … to-1 on the residual stream.
func (d *Decoder) Blocks(p kernels.Pass, b *kernels.Batch, from, to int) {
	s := &d.scratch
	for i := from; i < to; i++ {
		l := &d.Layers[i]
		p.Linear(s.QKV, l.QKV, s.X, kernels.Norm(l.AttnNorm))
		p.RopeStore(s.QKV, kernels.Heads{Q: l.QNorm, K: l.KNorm, Rope: d.rope}, b, i)
		p.Attend(s.H, s.QKV, b, i)
		p.Linear(s.X, l.O, s.H, kernels.Fuse{Residual: true})
		p.Linear(s.GateUp, l.GateUp, s.X, kernels.Norm(l.MLPNorm))
		p.Linear(s.X, l.Down, s.GateUp, kernels.Fuse{SwiGLU: true, Residual: true})
	}
}

// Logits writes logits [len(b.Out), vocab] of the residual stream.
func (d *Decoder) Logits(p kernels.Pass, b *kernels.Batch, logits kernels.Buf) {
	s := &d.scratch
	p.Gather(s.Last, s.X, b.Out)
	logits.SetRows(len(b.Out))
	p.Linear(logits, d.Head, s.Last, kernels.Norm(d.Norm))
}

// KVShape is the shape of the keys and values, kept as t.
func (d *Decoder) KVShape(t kernels.DType) kernels.KVShape {
	return kernels.KVShape{Layers: len(d.Layers), KVHeads: d.KVHeads, HeadDim: d.HeadDim, Type: t}
}

// WeightBytes is the memory that the weights take.
func (d *Decoder) WeightBytes() int64 {
	n := d.Embedding.Bytes()
	if d.Head != d.Embedding {
		n += d.Head.Bytes()
	}
	for _, l := range d.Layers {
		n += l.QKV.Bytes() + l.O.Bytes() + l.GateUp.Bytes() + l.Down.Bytes()
	}
	return n
}
