package latency

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"armor/kernels"
	"armor/model"
	"armor/model/armorfmt"
	"armor/model/nn"
)

// rig is the models of one number of threads on their backend.
type rig struct {
	o       *Options
	b       kernels.Backend
	at      int // which of o.Threads
	pass    kernels.Pass
	models  []loaded
	streams bool
}

// loaded is one model, ready to run.
type loaded struct {
	Model
	d      *nn.Decoder
	kv     kernels.KV
	logits kernels.Buf // [most sequences, vocab]
}

// streamer is a backend that can read its memory plainly.
type streamer interface {
	Bytes() int64
	Bandwidth() float64
}

func (g *rig) sequences() int {
	if g.o.Generate == 0 {
		return 1
	}
	return slices.Max(g.o.Batch)
}

func (g *rig) positions() int { return max(1, g.o.Prompt+g.o.Generate) }

func (g *rig) load(ctx context.Context) error {
	err := g.o.fit()
	if err != nil {
		return err
	}
	if g.pass, err = g.b.NewPass(); err != nil {
		return err
	}
	for i := range g.o.Subjects {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := g.open(&g.o.Subjects[i])
		if err != nil {
			return err
		}
		g.models = append(g.models, *m)
	}
	for i, s := range g.o.Subjects {
		for k, other := range g.o.Subjects {
			if !s.Against && other.Against {
				if err := alike(&g.models[i], &g.models[k]); err != nil {
					return err
				}
			}
		}
	}
	if err := g.keysAndValues(); err != nil {
		return err
	}
	return g.holdMemory()
}

// open loads one model.
func (g *rig) open(s *Subject) (m *loaded, err error) {
	ck, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	shape, err := model.ShapeOf(ck)
	if err != nil {
		return nil, err
	}
	pruned, err := armorfmt.ReadConfig(ck)
	if err != nil {
		return nil, err
	}
	m = &loaded{}
	if m.d, err = nn.NewLoader(ck, g.b, s.Weights).Decoder(shape.Config, shape.Extras); err != nil {
		return nil, err
	}
	rows := max(g.sequences(), min(stepRows, g.positions()))
	if err := m.d.Prepare(g.b, rows, g.positions()); err != nil {
		return nil, err
	}
	if m.logits, err = g.b.NewBuf(g.sequences(), m.d.Vocab); err != nil {
		return nil, err
	}
	m.Model = Model{Name: s.Name, Armor: pruned != nil, Type: s.Type, Storage: m.d.Storage, Layers: len(m.d.Layers),
		WeightBytes: m.d.WeightBytes(), TokenBytes: stepWeightBytes(m.d, 1), HeadBytes: m.d.Head.Bytes()}
	if k, ok := g.b.(interface{ Kernel(kernels.Group) string }); ok {
		m.Kernel, m.HeadKernel = k.Kernel(m.d.Layers[0].Down), k.Kernel(m.d.Head)
	}
	return m, nil
}

// alike refuses to compare models of different shapes.
func alike(a, b *loaded) error {
	x, y := a.d.Config, b.d.Config
	for _, v := range []struct {
		name string
		x, y int
	}{
		{"hidden size", x.Dim, y.Dim}, {"layers", x.Layers, y.Layers}, {"heads", x.Heads, y.Heads}, {"key heads", x.KVHeads, y.KVHeads},
		{"head dimension", x.HeadDim, y.HeadDim}, {"intermediate size", x.FF, y.FF}, {"vocabulary", x.Vocab, y.Vocab},
	} {
		if v.x != v.y {
			return fmt.Errorf("%s and %s cannot be compared: their %s differs, %d and %d", a.Name, b.Name, v.name, v.x, v.y)
		}
	}
	return nil
}

// keysAndValues makes the pages. Models of one shape share them, as they never run
// at once.
func (g *rig) keysAndValues() error {
	made := map[kernels.KVShape]kernels.KV{}
	for i := range g.models {
		m := &g.models[i]
		shape := m.d.KVShape(g.o.KV)
		if made[shape] == nil {
			kv, err := g.b.NewKV(shape)
			if err != nil {
				return err
			}
			if err := kv.Reserve(g.sequences() * kernels.PagesFor(g.positions())); err != nil {
				return err
			}
			if err := g.fillPrompts(m.d, kv); err != nil {
				return err
			}
			made[shape] = kv
		}
		m.kv, m.KVTokenBytes = made[shape], made[shape].PageBytes()/kernels.PageTokens
	}
	return nil
}

// fillPrompts stores keys and values before each decode. Speed does not depend
// on what they are, so no prompt is computed for them.
func (g *rig) fillPrompts(d *nn.Decoder, kv kernels.KV) error {
	if g.o.Prompt == 0 || g.o.Generate == 0 {
		return nil
	}
	rope, err := g.b.Upload(g.o.Prompt, d.HeadDim, d.Config.RopeTable(g.o.Prompt))
	if err != nil {
		return err
	}
	rows := min(stepRows, g.o.Prompt)
	x := make([]float32, rows*2*d.KVHeads*d.HeadDim)
	for i := range x {
		x[i] = float32(int64(mix(uint64(i)))) / (1 << 63)
	}
	buf, err := g.b.Upload(rows, 2*d.KVHeads*d.HeadDim, x) // k|v without q
	if err != nil {
		return err
	}
	for s := range g.sequences() {
		for pos := 0; pos < g.o.Prompt; pos += rows {
			n := min(rows, g.o.Prompt-pos)
			buf.SetRows(n)
			b := kernels.Batch{Seqs: []kernels.Span{{Rows: n, Pos: pos, Pages: g.pages(s)}}, KV: kv}
			for layer := range d.Layers {
				g.pass.RopeStore(buf, kernels.Heads{Rope: rope}, &b, layer)
			}
		}
	}
	return g.pass.End()
}

// pages are those of a sequence.
func (g *rig) pages(sequence int) []int32 {
	n := kernels.PagesFor(g.positions())
	pages := make([]int32, n)
	for i := range pages {
		pages[i] = int32(sequence*n + i)
	}
	return pages
}

// holdMemory has the backend hold what streaming reads go over.
func (g *rig) holdMemory() error {
	s, ok := g.b.(streamer)
	if !ok || g.o.StreamBytes < 0 || g.o.Generate == 0 {
		return nil
	}
	g.streams = true
	const cols = 1 << 18 // 1 MiB
	rows := int((g.o.StreamBytes - s.Bytes()) / (4 * cols))
	if rows <= 0 {
		return nil
	}
	buf, err := g.b.NewBuf(rows, cols)
	if err != nil {
		return err
	}
	row := make([]float32, cols)
	for i := range row {
		row[i] = 1
	}
	for r := range rows { // pages that nobody wrote would all be the same zeros
		if err := g.b.Write(buf, r, row); err != nil {
			return err
		}
	}
	return nil
}

// stepWeightBytes is what a decode step of so many sequences reads of weights:
// every linear layer, the head and the norms once, and rows of the embedding.
func stepWeightBytes(d *nn.Decoder, sequences int) int64 {
	n := d.Head.Bytes() + int64(sequences)*d.Embedding.Bytes()/int64(d.Vocab) + 4*int64(d.Dim)
	for _, l := range d.Layers {
		n += l.QKV.Bytes() + l.O.Bytes() + l.GateUp.Bytes() + l.Down.Bytes() + 2*4*int64(d.Dim)
	}
	return n
}

// stepKVBytes is what a decode step reads of keys and values, the mean over the
// steps: step i of n attends to prompt+i+1 positions.
func stepKVBytes(perPosition int64, sequences, prompt, n int) int64 {
	return int64(math.Round(float64(perPosition) * float64(sequences) * (float64(prompt) + float64(n+1)/2)))
}
