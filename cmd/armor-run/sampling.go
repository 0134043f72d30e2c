package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"armor/internal/cli"
	"armor/model"
	"armor/runtime/sample"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// samplingFlags are those of generate and chat.
type samplingFlags struct {
	temp, topP, minP            float32
	topK                        int
	repeat, presence, frequency float32
	seed                        uint64
	stop                        []string
	ignoreEOS                   bool
	tokens                      int
}

func (f *samplingFlags) add(c *cobra.Command) {
	c.Flags().IntVarP(&f.tokens, "tokens", "n", 512, "most tokens to generate, 0: to the end of the context")
	c.Flags().StringArrayVar(&f.stop, "stop", nil, "end before this `text` (repeatable)")
	c.Flags().BoolVar(&f.ignoreEOS, "ignore-eos", false, "go on after the model's end token")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the choice (default: random)")
	c.Flag("seed").DefValue = ""
	for _, n := range f.numbers() {
		n.add(c.Flags())
	}
}

// number is a flag whose default is the model's.
type number struct {
	name, text string
	value      any // *float32 or *int
	ours       float64
	theirs     func(g *model.Generation) (float64, bool)
}

func (f *samplingFlags) numbers() []number {
	of := func(p func(g *model.Generation) *float32) func(g *model.Generation) (float64, bool) {
		return func(g *model.Generation) (float64, bool) {
			if v := p(g); v != nil {
				return float64(*v), true
			}
			return 0, false
		}
	}
	return []number{
		{"temp", "temperature, 0: always the most likely token", &f.temp, 0.8, func(g *model.Generation) (float64, bool) {
			if g.DoSample != nil && !*g.DoSample {
				return 0, true
			}
			return of(func(g *model.Generation) *float32 { return g.Temperature })(g)
		}},
		{"top-k", "choose among the K most likely tokens, 0: all", &f.topK, 40, func(g *model.Generation) (float64, bool) {
			if g.TopK != nil {
				return float64(*g.TopK), true
			}
			return 0, false
		}},
		{"top-p", "choose among the fewest tokens that hold this mass", &f.topP, 0.95, of(func(g *model.Generation) *float32 { return g.TopP })},
		{"min-p", "leave out tokens less likely than this share of the most likely", &f.minP, 0, of(func(g *model.Generation) *float32 { return g.MinP })},
		{"repeat-penalty", "divide the logits of tokens that the text has already", &f.repeat, 1, of(func(g *model.Generation) *float32 { return g.Repeat })},
		{"presence-penalty", "take this from the logits of tokens that were generated", &f.presence, 0, nil},
		{"frequency-penalty", "take this as often as they were generated", &f.frequency, 0, nil},
	}
}

func (n *number) add(flags *pflag.FlagSet) {
	text := fmt.Sprintf("%s (default: the model's, else %v)", n.text, n.ours)
	if n.theirs == nil {
		text = fmt.Sprintf("%s (default: %v)", n.text, n.ours)
	}
	switch v := n.value.(type) {
	case *float32:
		flags.Float32Var(v, n.name, float32(n.ours), text)
	case *int:
		flags.IntVar(v, n.name, int(n.ours), text)
	}
	flags.Lookup(n.name).DefValue = "" // the text says it
}

// params takes flags first, then the model's generation_config.json, then ours.
func (f *samplingFlags) params(c *cobra.Command, g *model.Generation) (sample.Params, error) {
	if f.tokens < 0 {
		return sample.Params{}, cli.Usage(fmt.Errorf("--tokens: got %d, want 0 or more", f.tokens))
	}
	for _, n := range f.numbers() {
		if c.Flags().Changed(n.name) || n.theirs == nil {
			continue
		}
		theirs, ok := n.theirs(g)
		if !ok {
			continue
		}
		switch v := n.value.(type) {
		case *float32:
			*v = float32(theirs)
		case *int:
			*v = int(theirs)
		}
	}
	p := sample.Params{Temperature: f.temp, TopK: f.topK, TopP: f.topP, MinP: f.minP,
		Repeat: f.repeat, Presence: f.presence, Frequency: f.frequency, Seed: f.seed}
	if !c.Flags().Changed("seed") {
		p.Seed = rand.Uint64() & math.MaxUint32
	}
	if err := p.Check(); err != nil {
		return p, cli.Usage(err)
	}
	return p, nil
}
