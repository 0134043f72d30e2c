package latency

import (
	"context"
	"math"
	"slices"

	"armor/kernels"
)

// measure runs all tests. In each repetition all models run one after another,
// each time another first, so that what drifts meets all of them.
func (g *rig) measure(ctx context.Context) ([]Row, error) {
	var rows []Row
	if g.o.Prompt > 0 {
		r, err := g.test(ctx, Prefill, 1)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	if g.o.Generate == 0 {
		return rows, nil
	}
	for _, batch := range g.o.Batch {
		r, err := g.test(ctx, Decode, batch)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// run is a test of one model.
type run struct {
	m     *loaded
	test  Test
	g     *rig
	batch kernels.Batch
	ids   []int32 // of a prompt
}

func (g *rig) newRun(m *loaded, test Test, sequences int) *run {
	r := &run{m: m, test: test, g: g}
	r.batch.KV = m.kv
	if test == Prefill {
		r.ids = make([]int32, g.o.Prompt)
		fillTokens(r.ids, m.d.Vocab, 0)
		r.batch.Seqs = []kernels.Span{{Pages: g.pages(0)}}
		return r
	}
	for s := range sequences {
		r.batch.Seqs = append(r.batch.Seqs, kernels.Span{Rows: 1, Pages: g.pages(s)})
		r.batch.Out = append(r.batch.Out, int32(s))
	}
	r.batch.Tokens = make([]int32, sequences)
	return r
}

// fillTokens sets any tokens, others for each step.
func fillTokens(ids []int32, vocab, step int) {
	for i := range ids {
		ids[i] = int32(mix(uint64(step)<<32|uint64(i)) % uint64(vocab))
	}
}

// once runs the test once.
func (r *run) once() error {
	if r.test == Prefill {
		return r.prefill()
	}
	for i := range r.g.o.Generate {
		if err := r.step(i); err != nil {
			return err
		}
	}
	return nil
}

// prefill reads the prompt; only the last token's logits are wanted.
func (r *run) prefill() error {
	b, span := &r.batch, &r.batch.Seqs[0]
	for span.Pos = 0; span.Pos < len(r.ids); span.Pos += span.Rows {
		span.Rows = min(stepRows, len(r.ids)-span.Pos)
		b.Tokens, b.Out = r.ids[span.Pos:span.Pos+span.Rows], b.Out[:0]
		if span.Pos+span.Rows == len(r.ids) {
			b.Out = append(b.Out, int32(span.Rows-1))
		}
		if err := r.m.d.Forward(r.g.pass, b, r.m.logits); err != nil {
			return err
		}
	}
	return nil
}

// step decodes token i of every sequence, all logits wanted. Nothing is sampled.
func (r *run) step(i int) error {
	fillTokens(r.batch.Tokens, r.m.d.Vocab, i)
	for s := range r.batch.Seqs {
		r.batch.Seqs[s].Pos = r.g.o.Prompt + i
	}
	return r.m.d.Forward(r.g.pass, &r.batch, r.m.logits)
}

// warm runs what is not timed: a whole prefill before the first repetition, and
// a step before each decode, which brings scratch and code back into caches.
func (r *run) warm(first bool) error {
	switch {
	case r.test == Decode:
		return r.step(0)
	case first:
		return r.prefill()
	}
	return nil
}

func (g *rig) test(ctx context.Context, test Test, sequences int) ([]Row, error) {
	runs, rows := make([]*run, len(g.models)), make([]Row, len(g.models))
	for i := range g.models {
		m := &g.models[i]
		runs[i] = g.newRun(m, test, sequences)
		rows[i] = Row{Model: m.Name, Threads: g.o.Threads[g.at], Backend: g.b.Name(), Test: test, Batch: sequences, Tokens: g.o.Prompt}
		if test == Decode {
			rows[i].Tokens = sequences * g.o.Generate
			rows[i].WeightBytes = stepWeightBytes(m.d, sequences)
			rows[i].KVBytes = stepKVBytes(m.KVTokenBytes, sequences, g.o.Prompt, g.o.Generate)
		}
	}
	var streaming []float64
	for rep := range g.o.Repetitions {
		if test == Decode && g.streams {
			if v := g.b.(streamer).Bandwidth(); v > 0 {
				streaming = append(streaming, v)
			}
		}
		for k := range runs {
			i := (rep + k) % len(runs)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if g.o.Progress != nil {
				g.o.Progress(Step{g.o.Threads[g.at], test, sequences, rep, g.models[i].Name})
			}
			if err := runs[i].warm(rep == 0); err != nil {
				return nil, err
			}
			begin := g.o.now()
			if err := runs[i].once(); err != nil {
				return nil, err
			}
			took := max(g.o.now().Sub(begin), 1) // a clock may be coarse
			rows[i].Seconds = append(rows[i].Seconds, took.Seconds())
		}
	}
	for i := range rows {
		rows[i].summarize(g.o.Generate, streaming)
	}
	return rows, nil
}

// summarize fills what follows from the samples; steps are those of a decode.
func (r *Row) summarize(steps int, streaming []float64) {
	speeds := make([]float64, len(r.Seconds))
	for i, s := range r.Seconds {
		speeds[i] = float64(r.Tokens) / s
	}
	r.Speed = float64(r.Tokens) / median(r.Seconds)
	r.Mean, r.Deviation = meanAndDeviation(speeds)
	if r.Test != Decode {
		return
	}
	r.BytesPerSecond = float64(r.WeightBytes+r.KVBytes) * float64(steps) / median(r.Seconds)
	if len(streaming) > 0 {
		r.StreamingAll, r.Streaming = streaming, median(streaming)
		r.StreamingShare = r.BytesPerSecond / r.Streaming
	}
}

// median is the mean of the middle two of an even number.
func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// meanAndDeviation gives the mean and the sample standard deviation, 0 of one.
func meanAndDeviation(x []float64) (mean, deviation float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	if len(x) < 2 {
		return mean, 0
	}
	for _, v := range x {
		deviation += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(x)-1))
}
