package main

import (
	"fmt"

	"armor/bench/latency"

	"github.com/spf13/cobra"
)

// barStage is one measurement of --bars.
type barStage struct {
	title string
	shape string
	layer int // layers without embedding and head; 0 is the whole model
	more  bool
	types []string
}

func (f *benchFlags) barStages() []barStage {
	types := []string{"bf16", "int8", "int4"}
	if f.dtype == "f32" {
		types = []string{"f32"}
	}
	return []barStage{
		{"Llama 3.2 1B", "llama-3.2-1b", 0, false, types},
		{"two layers of Llama 3.1 8B", "llama-3.1-8b", 2, false, types},
		{"Llama 3.2 1B, one thread more", "llama-3.2-1b", 0, true, types[:1]},
	}
}

// runBars measures the stages and prints a table for each and one of all bars.
func (f *benchFlags) runBars(c *cobra.Command, o latency.Options) error {
	var bars []latency.Bar
	for _, s := range f.barStages() {
		config, err := latency.ShapeConfig(s.shape)
		if err == nil && s.layer > 0 {
			config, err = latency.LayersOnly(config, s.layer)
		}
		if err != nil {
			return err
		}
		f.dense, f.armor = s.types, s.types
		o := o
		o.Subjects = f.random(s.shape, config)
		if s.more {
			o.Threads, o.Batch = []int{o.Threads[0], o.Threads[0] + 1}, []int{1}
			o.StreamBytes = -1
		}
		r, err := latency.Run(c.Context(), s.title+", random weights", o)
		f.clearProgress()
		if err != nil {
			return err
		}
		if err := r.Write(c.OutOrStdout(), f.output); err != nil {
			return err
		}
		if s.more {
			bars = append(bars, r.ThreadBars()...)
			continue
		}
		for _, b := range r.Bars() {
			b.What = s.title + ", " + b.What
			bars = append(bars, b)
		}
	}
	_, err := fmt.Fprint(c.OutOrStdout(), "\n## Bars\n", latency.BarTable(bars))
	return err
}
