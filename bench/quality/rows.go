package quality

import (
	goruntime "runtime"

	"armor/internal/parallel"
	"armor/kernels"
	"armor/runtime/sample"
)

// row is what one position says.
type row struct {
	nll   float64
	other float64 // nll under the other model
	kl    float64 // KL(other ‖ this)
	agree bool
}

func (s *sums) add(r row) {
	s.n++
	s.nll += r.nll
	s.nll2 += r.nll * r.nll
	if !s.hasOther {
		return
	}
	d := r.nll - r.other
	s.other += r.other
	s.ratio += d
	s.ratio2 += d * d
	s.kl += r.kl
	s.kl2 += r.kl * r.kl
	if r.agree {
		s.agree++
	}
}

// compare evaluates the rows of logits that the runners hold; targets are the
// tokens that they predict.
func compare(runs []*runner, targets []int32) ([]row, error) {
	rows := make([]row, len(targets))
	workers := make([]*comparison, goruntime.GOMAXPROCS(0))
	err := parallel.Do(len(workers), len(rows), func(worker, i int) (err error) {
		if workers[worker] == nil {
			workers[worker] = newComparison(runs)
		}
		rows[i], err = workers[worker].row(runs, i, targets[i])
		return err
	})
	return rows, err
}

// comparison is one worker's memory.
type comparison struct {
	logits  [][]float32
	scratch []float32
}

func newComparison(runs []*runner) *comparison {
	c := &comparison{}
	for _, r := range runs {
		c.logits = append(c.logits, make([]float32, r.m.Decoder.Vocab))
	}
	c.scratch = make([]float32, len(c.logits[0]))
	return c
}

func (c *comparison) row(runs []*runner, i int, target int32) (row, error) {
	for k, r := range runs {
		if err := r.m.Backend.Download(c.logits[k], r.logits, i); err != nil {
			return row{}, err
		}
	}
	x := c.logits[0]
	lse := kernels.LogSumExp(x, c.scratch)
	out := row{nll: lse - float64(x[target])}
	if len(runs) == 1 {
		return out, nil
	}
	y := c.logits[1]
	otherLSE := kernels.LogSumExp(y, c.scratch) // scratch now holds exp(y − max)
	out.other = otherLSE - float64(y[target])
	mass, sum := 0.0, 0.0
	for j, p := range c.scratch {
		mass += float64(p)
		sum += float64(p) * float64(y[j]-x[j])
	}
	out.kl = sum/mass - otherLSE + lse
	out.agree = sample.Argmax(x) == sample.Argmax(y)
	return out, nil
}
