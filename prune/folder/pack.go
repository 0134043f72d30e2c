package folder

import (
	"errors"
	"fmt"

	"armor/internal/parallel"
	"armor/kernels/sparse24"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

// Pack makes a folder of plain 2:4 cores from a checkpoint that is 2:4 already but
// stores the zeros, as SparseGPT, Wanda and MaskLLM leave it. Every number stays
// as it is. A layer stays dense where a group of four inputs has more than two
// nonzeros, or where a value is none that bf16 holds.
func Pack(src, dst string, o Options) (_ *Result, err error) {
	ck, err := open(src)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	return toArmor(ck, dst, o, nil, modulesWith(ck, ".weight"), func(module string) (*armorfmt.Parts, bool, string, error) {
		p, reason, err := packed(ck, module, o.Threads)
		return p, false, reason, err
	})
}

// pieceElements is about how many numbers of a matrix a worker reads at a time.
const pieceElements = 1 << 18

// errReason ends the reading of a layer that stays dense.
var errReason = errors.New("no core")

// packed reads a dense layer as a core, or says why it is none.
func packed(ck *checkpoint.Checkpoint, module string, threads int) (*armorfmt.Parts, string, error) {
	t, _ := ck.Tensor(module + ".weight")
	if len(t.Shape) != 2 || !t.DType.Float() || t.Bytes() == 0 {
		return nil, "", t.Errorf("got %v of shape %v, want a matrix of floats", t.DType, t.Shape)
	}
	out, in := t.Shape[0], t.Shape[1]
	if in%sparse24.Group != 0 {
		return nil, fmt.Sprintf("%d inputs are no multiple of %d", in, sparse24.Group), nil
	}
	p := &armorfmt.Parts{Name: module, Out: out, In: in,
		Values: make([]float32, out*in/2), Masks: make([]uint8, out*in/4)}
	step := max(1, pieceElements/in)
	// Pieces begin in order, so that all before the first reason are read.
	reasons := make([]string, (out+step-1)/step)
	err := parallel.Do(threads, len(reasons), func(_, i int) error {
		row := i * step
		var err error
		if reasons[i], err = packRows(t, p, row, min(step, out-row)); err == nil && reasons[i] != "" {
			err = errReason
		}
		return err
	})
	if err == nil {
		return p, "", nil
	}
	if errors.Is(err, errReason) {
		for _, reason := range reasons {
			if reason != "" {
				return nil, reason, nil
			}
		}
	}
	return nil, "", err
}

// packRows reads n rows from row on, or says why they are not those of a core.
func packRows(t *checkpoint.Tensor, p *armorfmt.Parts, row, n int) (reason string, err error) {
	x := make([]float32, n*p.In)
	if err := t.ReadRows(x, row, n); err != nil {
		return "", err
	}
	t.Release(row, n)
	for i, v := range x {
		if v-v != 0 {
			return "", t.Errorf("row %d, column %d: got %v, want finite numbers", row+i/p.In, i%p.In, v)
		}
	}
	values, masks := p.Values[row*p.In/2:(row+n)*p.In/2], p.Masks[row*p.In/4:(row+n)*p.In/4]
	if g := sparse24.Choose(masks, x); g >= 0 {
		at := 4 * g
		column := at % p.In
		return fmt.Sprintf("row %d has %d nonzeros in columns %d to %d", row+at/p.In, nonzeros(x[at:at+4]), column, column+3), nil
	}
	sparse24.Pack(values, x, masks)
	for i, v := range values {
		if !armorfmt.IsBF16(v) {
			return fmt.Sprintf("row %d: %v of %v, the format's cores are bf16", row+2*i/p.In, v, t.DType), nil
		}
	}
	return "", nil
}

func nonzeros(x []float32) (n int) {
	for _, v := range x {
		if v != 0 {
			n++
		}
	}
	return n
}
