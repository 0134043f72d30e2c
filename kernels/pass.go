package kernels

import "fmt"

// pass is the CPU's Pass. Every job lives in it, so that a step allocates
// nothing once its scratch has grown.
type pass struct {
	c      *CPU
	err    error
	linear linearJob
	input  inputJob
	rope   ropeJob
	attend attendJob
	embed  embedJob
}

// NewPass implements Backend.
func (c *CPU) NewPass() (Pass, error) {
	p := &pass{c: c}
	p.linear.c, p.rope.c, p.attend.c = c, c, c
	p.linear.in.c, p.input.in.c = c, c
	p.linear.scratch = make([]linearScratch, c.pool.workers)
	p.rope.scratch = make([]ropeScratch, c.pool.workers)
	p.attend.scratch = make([]attendScratch, c.pool.workers)
	return p, nil
}

func (p *pass) End() error {
	err := p.err
	p.err = nil
	return err
}

// run does a job unless the pass has failed.
func (p *pass) run(j job, tasks int) {
	if p.err != nil {
		return
	}
	p.c.pool.run(j, tasks)
	p.err = p.c.pool.err()
}

// want panics on a programmer's error in an operation's shapes.
func want(ok bool, op, format string, args ...any) {
	if !ok {
		panic("kernels: " + op + ": " + fmt.Sprintf(format, args...))
	}
}

// embedJob copies table rows; a task is embedRows of them.
type embedJob struct {
	dst    *buf
	table  *packed
	tokens []int32
}

const embedRows = 16

func (p *pass) Embed(dst Buf, table Group, tokens []int32) {
	j := &p.embed
	t, err := table.(*group).table()
	if err != nil {
		p.fail(err)
		return
	}
	j.dst, j.table, j.tokens = dst.(*buf), t, tokens
	if j.dst.cols != j.table.in || j.dst.rows != len(tokens) {
		want(false, "Embed", "%d tokens of %d into [%d, %d]", len(tokens), j.table.in, j.dst.rows, j.dst.cols)
	}
	for _, id := range tokens {
		if id < 0 || int(id) >= j.table.rows {
			p.fail(fmt.Errorf("token %d is not in the vocabulary of %d", id, j.table.rows))
			return
		}
	}
	p.run(j, (len(tokens)+embedRows-1)/embedRows)
}

func (p *pass) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (j *embedJob) run(_, task int) {
	for r := task * embedRows; r < min((task+1)*embedRows, len(j.tokens)); r++ {
		j.table.unpack(j.dst.row(r), int(j.tokens[r]))
	}
}

func (p *pass) Gather(dst, src Buf, rows []int32) {
	d, s := dst.(*buf), src.(*buf)
	if d.cols != s.cols || d.rows != len(rows) {
		want(false, "Gather", "%d rows of %d into [%d, %d]", len(rows), s.cols, d.rows, d.cols)
	}
	for i, r := range rows {
		copy(d.row(i), s.row(int(r)))
	}
}
