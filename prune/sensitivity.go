package prune

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"armor/internal/parallel"
	"armor/kernels"
	"armor/kernels/block"
	"armor/model"
	"armor/model/checkpoint"
	"armor/model/nn"
	"armor/prune/solve"
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
	noise  []float64   // by layer: KL of rounding alone, NaN where not measured
}

// probeRows is how many rows of logits are computed at a time.
const probeRows = 64

// newProbe loads the dense model for windows of rows tokens.
func newProbe(ck *checkpoint.Checkpoint, shape model.Shape, c Compute, rows int) (p *probe, err error) {
	b, err := c.backend()
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
	p.noise = make([]float64, shape.Config.Layers)
	p.inputs = make([][]float32, shape.Config.Layers)
	for i := range p.inputs {
		p.inputs[i] = make([]float32, rows*shape.Config.Dim)
	}
	return p, nil
}

func (p *probe) close() { p.b.Close() }

func (p *probe) batch(ids []int32) *kernels.Batch {
	return &kernels.Batch{Tokens: ids, Seqs: []kernels.Span{{Rows: len(ids), Pages: p.pages}}, KV: p.kv}
}

// embed gives the residual stream of the embedding of ids.
func (p *probe) embed(ids []int32) (kernels.Buf, error) {
	h := p.d.Hidden(p.batch(ids))
	p.pass.Embed(h, p.d.Embedding, ids)
	return h, p.pass.End()
}

// begin runs a window through the dense model.
func (p *probe) begin(ids []int32) error {
	h, err := p.embed(ids)
	if err != nil {
		return err
	}
	batch := p.batch(ids)
	for i := range p.d.Layers {
		if err := p.pass.End(); err != nil {
			return err
		}
		if err := readRows(p.b, p.inputs[i], h); err != nil {
			return err
		}
		p.d.Blocks(p.pass, batch, i, i+1)
		p.noise[i] = math.NaN()
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

// kl runs layer with other weights in some of its modules, and the layers after
// it as they are.
func (p *probe) kl(ids []int32, layer int, weights map[string]kernels.Matrix) (shift, error) {
	one, err := newSingle(p.ck, p.shape, p.compute, layer, len(ids), weights)
	if err != nil {
		return shift{}, err
	}
	defer one.close()
	x := make([]float32, len(ids)*p.shape.Config.Dim)
	if err := one.run(ids, x, p.inputs[layer]); err != nil {
		return shift{}, err
	}
	return p.above(ids, layer, layer+1, x)
}

// above is rest less what rounding alone does from the input of layer first on.
func (p *probe) above(ids []int32, first, from int, x []float32) (shift, error) {
	s, err := p.rest(ids, from, x)
	if err != nil {
		return s, err
	}
	noise, err := p.rounding(ids, first)
	s.kl -= noise
	return s, err
}

// rounding is the KL that a change of the input of a layer makes which is about
// as small as its rounding. Where activations are rounded to bf16, any change at
// all makes all later roundings fall otherwise; that is not the module's doing.
func (p *probe) rounding(ids []int32, layer int) (float64, error) {
	if p.compute.dtype() == kernels.F32 {
		return 0, nil
	}
	if !math.IsNaN(p.noise[layer]) {
		return p.noise[layer], nil
	}
	r := rand.New(rand.NewPCG(uint64(layer), 1))
	x := slices.Clone(p.inputs[layer])
	for i := range x {
		x[i] *= 1 + float32(r.Float64()-0.5)/256
	}
	s, err := p.rest(ids, layer, x)
	p.noise[layer] = s.kl
	return s.kl, err
}

// shift is how far predictions are from the dense model's, means over tokens.
type shift struct {
	kl  float64 // KL(dense ‖ this), nats
	nll float64 // growth of the negative log-likelihood, nats
}

// rest runs the layers from … on x [rows, dim] and compares the predictions.
func (p *probe) rest(ids []int32, from int, x []float32) (s shift, err error) {
	batch := p.batch(ids)
	if err := writeRows(p.b, p.d.Hidden(batch), x); err != nil {
		return s, err
	}
	p.d.Blocks(p.pass, batch, from, len(p.d.Layers))
	v := p.shape.Config.Vocab
	kl, nll := make([]float64, len(ids)), make([]float64, len(ids))
	err = p.predict(batch, func(row int, z []float32, scratch []float32) {
		lse := kernels.LogSumExp(z, scratch)
		y, chance := p.dense[row*v:][:v], p.chance[row*v:][:v]
		sum := 0.0
		for i, c := range chance {
			sum += float64(c) * float64(y[i]-z[i])
		}
		kl[row] = sum - p.lse[row] + lse
		if row+1 < len(ids) {
			target := ids[row+1]
			nll[row] = lse - float64(z[target]) - (p.lse[row] - float64(y[target]))
		}
	})
	for row := range ids {
		s.kl += kl[row] / float64(len(ids))
		s.nll += nll[row] / float64(max(1, len(ids)-1))
	}
	return s, err
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
			measured := false
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
				s, err := p.kl(ids, m.Layer, map[string]kernels.Matrix{m.Name: &dense{m.Out, m.In, dw}})
				if err != nil {
					return fmt.Errorf("%s: %w", m.Name, err)
				}
				known[m.Name] = append(known[m.Name], s.kl)
				measured = true
			}
			if !measured {
				continue
			}
			if err := keep(w*len(modules)+end, len(windows)*len(modules)); err != nil {
				return err
			}
		}
	}
	return nil
}

// meanKL is the mean over windows.
func meanKL(windows []float64) float64 {
	mean := 0.0
	for _, kl := range windows {
		mean += kl / float64(len(windows))
	}
	return mean
}

// products gives the matrices of modules by their layers.
func (c Compute) products(layer func(*Module) (*solve.Layer, error)) func(*Module) ([]float32, error) {
	math := block.New(c.ISA)
	return func(m *Module) ([]float32, error) {
		l, err := layer(m)
		if err != nil {
			return nil, err
		}
		return l.Product(math, c.Threads), nil
	}
}

// wholeWindows is how many windows the fully pruned model is compared on.
const wholeWindows = 8

// lossPerKL is how much the negative log-likelihood grows for each nat of KL when
// all modules are pruned: 1 for a model that predicts the text as well as it
// believes, less for one that was trained away from it.
func lossPerKL(ctx context.Context, p *probe, modules []Module, windows [][]int32, weights func(*Module) ([]float32, error)) (float64, error) {
	// Layer by layer over all windows, so that each module is read once.
	streams := make([][]float32, len(windows)) // [rows, dim]
	for w, ids := range windows {
		h, err := p.embed(ids)
		if err != nil {
			return 0, err
		}
		streams[w] = make([]float32, len(ids)*p.shape.Config.Dim)
		if err := readRows(p.b, streams[w], h); err != nil {
			return 0, err
		}
	}
	layers := p.shape.Config.Layers
	for layer := range layers {
		if err := p.pruned(ctx, layer, modules, windows, streams, weights); err != nil {
			return 0, err
		}
	}
	var sum shift
	for w, ids := range windows {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := p.begin(ids); err != nil {
			return 0, err
		}
		s, err := p.above(ids, 0, layers, streams[w])
		if err != nil {
			return 0, err
		}
		sum.kl, sum.nll = sum.kl+s.kl, sum.nll+s.nll
	}
	// Little text, or a loss near nothing, says little about the ratio.
	return min(2, max(0.25, sum.nll/max(sum.kl, 1e-9))), nil
}

// pruned runs one layer with all of its modules pruned over the streams of all
// windows, each [rows, dim].
func (p *probe) pruned(ctx context.Context, layer int, modules []Module, windows [][]int32, streams [][]float32, weights func(*Module) ([]float32, error)) error {
	all := map[string]kernels.Matrix{}
	for i := range modules {
		if m := &modules[i]; m.Layer == layer {
			w, err := weights(m)
			if err != nil {
				return err
			}
			all[m.Name] = &dense{m.Out, m.In, w}
		}
	}
	one, err := newSingle(p.ck, p.shape, p.compute, layer, p.rows, all)
	if err != nil {
		return err
	}
	defer one.close()
	for w, ids := range windows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := one.run(ids, streams[w], streams[w]); err != nil {
			return err
		}
	}
	return nil
}
