package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"armor/internal/cli"
	"armor/model"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
	"armor/model/nn"

	"github.com/spf13/cobra"
)

// inspection is what inspect prints.
type inspection struct {
	Path         string       `json:"path"`
	Architecture string       `json:"architecture"`
	Config       nn.Config    `json:"config"`
	Parameters   int64        `json:"parameters"`
	Bytes        int64        `json:"bytes"`
	Pruned       *pruned      `json:"pruned,omitempty"`
	Tensors      []tensorInfo `json:"tensors"`
}

// pruned says how the 2:4 modules of an ARMOR folder are stored, sizes in bytes.
type pruned struct {
	Modules  int   `json:"modules"`
	Dense    int   `json:"dense_modules"`
	Before   int64 `json:"bytes_dense"` // of the modules as dense bf16
	Values   int64 `json:"bytes_values"`
	Index    int64 `json:"bytes_index"`
	Wrappers int64 `json:"bytes_wrappers"`
	Scales   int64 `json:"bytes_scales"`
}

// inspectPruned is nil for a model without an ARMOR section.
func inspectPruned(ck *checkpoint.Checkpoint) (*pruned, error) {
	c, err := armorfmt.ReadConfig(ck)
	if c == nil || err != nil {
		return nil, err
	}
	var sum armorfmt.Bytes
	for _, name := range c.Modules {
		out, in, err := armorfmt.Shape(ck, name)
		if err != nil {
			return nil, err
		}
		m, err := armorfmt.Open(ck, c, name, out, in)
		if err != nil {
			return nil, err
		}
		sum.Add(m.Bytes())
	}
	return &pruned{len(c.Modules), len(c.Dense), sum.Dense, sum.Values, sum.Index, sum.Wrappers, sum.Scales}, nil
}

type tensorInfo struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
}

func newInspect() *cobra.Command {
	var path string
	var asJSON, tensors bool
	c := &cobra.Command{
		Use:   "inspect [flags] [MODEL]",
		Short: "Print a model's shape, tensors and sizes",
		Args:  cli.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if len(a) > 0 {
				path = a[0]
			}
			path, err := modelPath(c.Context(), path)
			if err != nil {
				return err
			}
			in, err := inspect(path)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(in)
			}
			return in.print(c, tensors)
		},
	}
	addModelFlag(c, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, all tensors with it")
	c.Flags().BoolVar(&tensors, "tensors", false, "print a row for each tensor")
	return c
}

func inspect(path string) (in *inspection, err error) {
	ck, err := model.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	in = &inspection{Path: path}
	shape, err := model.ShapeOf(ck)
	if err != nil {
		return nil, err
	}
	in.Architecture, in.Config = shape.Architecture, shape.Config
	if in.Pruned, err = inspectPruned(ck); err != nil {
		return nil, err
	}
	for _, name := range ck.Names() {
		t, _ := ck.Tensor(name)
		in.Tensors = append(in.Tensors, tensorInfo{name, t.DType.String(), t.Shape, t.Bytes()})
		in.Bytes += t.Bytes()
		n := int64(1)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		in.Parameters += n
	}
	return in, nil
}

func (in *inspection) print(c *cobra.Command, tensors bool) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	g := &in.Config
	types := map[string]int64{}
	for _, t := range in.Tensors {
		types[t.DType] += t.Bytes
	}
	var sizes []string
	for name, n := range types {
		sizes = append(sizes, name+" "+mebibytes(n))
	}
	for _, row := range [][2]string{
		{"architecture", in.Architecture},
		{"parameters", fmt.Sprintf("%.1f M in %d tensors", float64(in.Parameters)/1e6, len(in.Tensors))},
		{"size", strings.Join(sizes, ", ")},
		{"layers", fmt.Sprint(g.Layers)},
		{"hidden size", fmt.Sprint(g.Dim)},
		{"heads", fmt.Sprintf("%d, %d for keys and values, of %d", g.Heads, g.KVHeads, g.HeadDim)},
		{"intermediate size", fmt.Sprint(g.FF)},
		{"vocabulary", fmt.Sprint(g.Vocab)},
		{"context", fmt.Sprint(g.Context)},
		{"tied embedding", fmt.Sprint(g.Tied)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	if p := in.Pruned; p != nil {
		fmt.Fprintf(w, "2:4 modules\t%d, %d others dense\n", p.Modules, p.Dense)
		fmt.Fprintf(w, "their size\t%s of %s: values %s, indices %s, wrappers %s, scales %s\n",
			mebibytes(p.Values+p.Index+p.Wrappers+p.Scales), mebibytes(p.Before), mebibytes(p.Values), mebibytes(p.Index), mebibytes(p.Wrappers), mebibytes(p.Scales))
	}
	if tensors {
		fmt.Fprintln(w)
		for _, t := range in.Tensors {
			fmt.Fprintf(w, "%s\t%s\t%v\t%d\n", t.Name, t.DType, t.Shape, t.Bytes)
		}
	}
	return w.Flush()
}
