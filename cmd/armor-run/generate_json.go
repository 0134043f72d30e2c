package main

import (
	"encoding/json"
	"os"

	"armor/internal/cli"
	"armor/model"
	"armor/runtime"
	"armor/runtime/sample"
)

// generated is what generate --json prints.
type generated struct {
	Text     string         `json:"text"`
	Tokens   []int32        `json:"tokens"`
	Reason   runtime.Reason `json:"reason"`
	Seed     uint64         `json:"seed"`
	Prompt   int            `json:"prompt_tokens"`
	Prefill  float64        `json:"prefill_seconds"`
	Decode   float64        `json:"decode_seconds"`
	Logprobs []tokenLogprob `json:"logprobs,omitempty"`
}

type tokenLogprob struct {
	Token   string         `json:"token"`
	ID      int32          `json:"id"`
	Logprob float64        `json:"logprob"`
	Top     []tokenLogprob `json:"top,omitempty"`
}

func (f *generateFlags) printJSON(m *model.Model, text string, r *runtime.Result, seed uint64) error {
	out := generated{Text: text, Tokens: r.IDs(), Reason: r.Reason, Seed: seed, Prompt: r.Prompt,
		Prefill: r.Prefill.Seconds(), Decode: r.Decode.Seconds()}
	named := func(l sample.Logprob) tokenLogprob {
		return tokenLogprob{Token: m.Tokenizer.Decode([]int32{l.ID}, false), ID: l.ID, Logprob: l.Logprob}
	}
	if f.logprobs >= 0 {
		for _, t := range r.Tokens {
			l := named(t.Chosen)
			for _, top := range t.Top {
				l.Top = append(l.Top, named(top))
			}
			out.Logprobs = append(out.Logprobs, l)
		}
	}
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		return err
	}
	if r.Reason == runtime.ReasonCancel {
		return cli.ErrInterrupted
	}
	return nil
}
