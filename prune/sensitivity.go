package prune

import (
	"context"
	"fmt"

	"armor/internal/parallel"
	"armor/kernels"
	"armor/model"
	"armor/model/checkpoint"
	"armor/model/nn"
)

// probe measures what pruning single modules does to a model's predictions. The
// dense model is in memory; the layer with a pruned module runs beside it, from
// what the dense layers before it gave.
type probe struct {
	ck      *checkpoint.Checkpoint
	shape   model.Shape
	compute Compute

	b      kernels.Backend
	d      *nn.Decoder
	pass   kernels.Pass
	kv     kernels.KV
	pages  []int32
	logits kernels.Buf // [probeRows, vocab]

	rows   int         // of a window
	inputs [][]float32 // by layer: what it reads, [rows, dim]
	dense  []float32   // logits of the dense model [rows, vocab]
	chance []float32   // its probabilities [rows, vocab]
	lse    []float64   // [rows] log Σ exp(dense)
}

// probeRows is how many rows of logits are computed at a time.
const probeRows = 64

// newProbe loads the dense model for windows of rows tokens.
func newProbe(ck *checkpoint.Checkpoint, shape model.Shape, c Compute, rows int) (p *probe, err error) {
	b, err := kernels.NewCPU(kernels.Options{ISA: c.ISA, Compute: kernels.F32, Threads: c.Threads})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	p = &probe{ck: ck, shape: shape, compute: c, b: b, rows: rows}
	if p.d, err = nn.NewLoader(ck, b, nn.WeightsAuto).Decoder(shape.Config, shape.Extras); err != nil {
		return nil, err
	}
	if err := p.d.Prepare(b, rows, rows); err != nil {
		return nil, err
	}
	if p.pass, err = b.NewPass(); err != nil {
		return nil, err
	}
	if p.logits, err = b.NewBuf(probeRows, shape.Config.Vocab); err != nil {
		return nil, err
	}
	if p.kv, p.pages, err = newPages(b, p.d, rows); err != nil {
		return nil, err
	}
	n := rows * shape.Config.Vocab
	p.dense, p.chance, p.lse = make([]float32, n), make([]float32, n), make([]float64, rows)
	p.inputs = make([][]float32, shape.Config.Layers)
	for i := range p.inputs {
		p.inputs[i] = make([]float32, rows*shape.Config.Dim)
	}
	return p, nil
}

// newPages makes KV pages for one sequence of rows positions.
func newPages(b kernels.Backend, d *nn.Decoder, rows int) (kernels.KV, []int32, error) {
	kv, err := b.NewKV(d.KVShape(kernels.F32))
	if err != nil {
		return nil, nil, err
	}
	pages := make([]int32, kernels.PagesFor(rows))
	for i := range pages {
		pages[i] = int32(i)
	}
	return kv, pages, kv.Reserve(len(pages))
}

func (p *probe) close() { p.b.Close() }

func (p *probe) batch(ids []int32) *kernels.Batch {
	return &kernels.Batch{Tokens: ids, Seqs: []kernels.Span{{Rows: len(ids), Pages: p.pages}}, KV: p.kv}
}

// begin runs a window through the dense model.
func (p *probe) begin(ids []int32) error {
	batch := p.batch(ids)
	h := p.d.Hidden(batch)
	p.pass.Embed(h, p.d.Embedding, ids)
	for i := range p.d.Layers {
		if err := p.pass.End(); err != nil {
			return err
		}
		if err := readRows(p.b, p.inputs[i], h); err != nil {
			return err
		}
		p.d.Blocks(p.pass, batch, i, i+1)
	}
	v := p.shape.Config.Vocab
	return p.predict(batch, func(row int, z []float32, scratch []float32) {
		p.lse[row] = kernels.LogSumExp(z, scratch)
		copy(p.dense[row*v:], z)
		sum := float32(0)
		for _, e := range scratch {
			sum += e
		}
		for i, e := range scratch {
			p.chance[row*v+i] = e / sum
		}
	})
}

// kl runs layer with other weights in one of its modules, and the layers after
// it as they are. It returns the mean KL(dense ‖ this) in nats.
func (p *probe) kl(ids []int32, layer int, weights map[string]kernels.Matrix) (float64, error) {
	batch := p.batch(ids)
	x, err := p.layer(ids, layer, weights)
	if err != nil {
		return 0, err
	}
	if err := writeRows(p.b, p.d.Hidden(batch), x); err != nil {
		return 0, err
	}
	p.d.Blocks(p.pass, batch, layer+1, len(p.d.Layers))
	v := p.shape.Config.Vocab
	kl := make([]float64, len(ids))
	err = p.predict(batch, func(row int, z []float32, scratch []float32) {
		lse := kernels.LogSumExp(z, scratch)
		y, chance := p.dense[row*v:][:v], p.chance[row*v:][:v]
		sum := 0.0
		for i, c := range chance {
			sum += float64(c) * float64(y[i]-z[i])
		}
		kl[row] = sum - p.lse[row] + lse
	})
	mean := 0.0
	for _, k := range kl {
		mean += k / float64(len(kl))
	}
	return mean, err
}

// layer runs one layer on what the dense layers before it gave.
func (p *probe) layer(ids []int32, layer int, weights map[string]kernels.Matrix) ([]float32, error) {
	b, err := kernels.NewCPU(kernels.Options{ISA: p.compute.ISA, Compute: kernels.F32, Threads: p.compute.Threads})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	loader := nn.NewLoader(p.ck, b, nn.WeightsAuto)
	loader.Instead(weights)
	l, err := loader.Layer(layer, p.shape.Config, p.shape.Extras)
	if err != nil {
		return nil, err
	}
	c := p.shape.Config
	c.Layers = 1
	d := &nn.Decoder{Config: c, Layers: []nn.Layer{l}}
	if err := d.Prepare(b, len(ids), len(ids)); err != nil {
		return nil, err
	}
	kv, pages, err := newPages(b, d, len(ids))
	if err != nil {
		return nil, err
	}
	pass, err := b.NewPass()
	if err != nil {
		return nil, err
	}
	batch := &kernels.Batch{Tokens: ids, Seqs: []kernels.Span{{Rows: len(ids), Pages: pages}}, KV: kv}
	h := d.Hidden(batch)
	if err := writeRows(b, h, p.inputs[layer]); err != nil {
		return nil, err
	}
	d.Blocks(pass, batch, 0, 1)
	if err := pass.End(); err != nil {
		return nil, err
	}
	x := make([]float32, len(ids)*c.Dim)
	return x, readRows(b, x, h)
}

// predict gives the logits of each row to use, several rows at a time; scratch
// holds as many numbers.
func (p *probe) predict(batch *kernels.Batch, use func(row int, logits, scratch []float32)) error {
	v, n := p.shape.Config.Vocab, len(batch.Tokens)
	memory := make([][]float32, probeRows) // by worker
	for first := 0; first < n; first += probeRows {
		rows := min(probeRows, n-first)
		batch.Out = batch.Out[:0]
		for r := range rows {
			batch.Out = append(batch.Out, int32(first+r))
		}
		p.d.Hidden(batch)
		p.d.Logits(p.pass, batch, p.logits)
		if err := p.pass.End(); err != nil {
			return err
		}
		err := parallel.Do(p.compute.Threads, rows, func(worker, r int) error {
			if memory[worker] == nil {
				memory[worker] = make([]float32, 2*v)
			}
			z := memory[worker][:v]
			if err := p.b.Download(z, p.logits, r); err != nil {
				return err
			}
			use(first+r, z, memory[worker][v:])
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
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

// dense is a matrix in memory.
type dense struct {
	rows, cols int
	w          []float32
}

func (d *dense) Rows() int { return d.rows }
func (d *dense) Cols() int { return d.cols }
func (d *dense) ReadRows(dst []float32, row, n int) error {
	if row < 0 || n < 0 || row+n > d.rows {
		return fmt.Errorf("rows: got %d from %d on, want within %d", n, row, d.rows)
	}
	copy(dst, d.w[row*d.cols:][:n*d.cols])
	return nil
}
func (d *dense) Release(int, int) {}

// probeWindow is how many tokens a window has at most.
const probeWindow = 512

// sensitivities measures each module alone, on windows of calibration text.
// weights gives the pruned matrix of a module; known are results of before (by
// module, one for each window), and keep is called after each layer.
func sensitivities(ctx context.Context, p *probe, modules []Module, windows [][]int32, weights func(*Module) ([]float32, error),
	known map[string][]float64, keep func(done, all int) error) error {
	for w, ids := range windows {
		begun := false
		for i := 0; i < len(modules); {
			end := i
			for end < len(modules) && modules[end].Layer == modules[i].Layer {
				end++
			}
			for ; i < end; i++ {
				m := &modules[i]
				if len(known[m.Name]) > w {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if !begun {
					if err := p.begin(ids); err != nil {
						return err
					}
					begun = true
				}
				dw, err := weights(m)
				if err != nil {
					return err
				}
				kl, err := p.kl(ids, m.Layer, map[string]kernels.Matrix{m.Name: &dense{m.Out, m.In, dw}})
				if err != nil {
					return fmt.Errorf("%s: %w", m.Name, err)
				}
				known[m.Name] = append(known[m.Name], kl)
			}
			if err := keep(w*len(modules)+end, len(windows)*len(modules)); err != nil {
				return err
			}
		}
	}
	return nil
}
