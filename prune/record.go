package prune

import "armor/kernels"

// recorder is a Pass that shows what each Group reads to whoever asked for it.
type recorder struct {
	kernels.Pass
	b    kernels.Backend
	bufs map[int]kernels.Buf // by width, [rows, in]
	rows int                 // of a step at most
	see  map[kernels.Group]func(x []float32) error
	x    []float32 // [T, in]
	err  error
}

// Linear implements kernels.Pass.
func (r *recorder) Linear(dst kernels.Buf, g kernels.Group, x kernels.Buf, f kernels.Fuse) {
	if see := r.see[g]; see != nil && r.err == nil {
		r.err = r.record(see, g.In(), x, f)
	}
	r.Pass.Linear(dst, g, x, f)
}

func (r *recorder) record(see func([]float32) error, in int, x kernels.Buf, f kernels.Fuse) error {
	buf := r.bufs[in]
	if buf == nil {
		var err error
		if buf, err = r.b.NewBuf(r.rows, in); err != nil {
			return err
		}
		r.bufs[in] = buf
	}
	n := x.Rows()
	buf.SetRows(n)
	r.Pass.Input(buf, x, f)
	if err := r.Pass.End(); err != nil {
		return err
	}
	if n*in > len(r.x) {
		r.x = make([]float32, n*in)
	}
	for row := range n {
		if err := r.b.Download(r.x[row*in:][:in], buf, row); err != nil {
			return err
		}
	}
	return see(r.x[:n*in])
}

// End implements kernels.Pass.
func (r *recorder) End() error {
	err := r.Pass.End()
	if r.err != nil {
		err, r.err = r.err, nil
	}
	return err
}
