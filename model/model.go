// Package model opens a model: its checkpoint, its decoder on a backend and its
// tokenizer.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"armor/kernels"
	"armor/model/builtin"
	"armor/model/checkpoint"
	"armor/model/hfconfig"
	"armor/model/llama"
	"armor/model/nn"
	"armor/model/qwen"
	"armor/model/tokenizer"
	"armor/model/tokenizer/chat"
)

// Model is ready to run.
type Model struct {
	Path         string
	Architecture string // as the config spells it
	Storage      string // how matrices are kept, one line
	Decoder      *nn.Decoder
	Tokenizer    *tokenizer.Tokenizer
	Generation   Generation
	Backend      kernels.Backend

	Template      *chat.Template // nil where TemplateError says why there is none
	TemplateError error          // chat.ErrNoTemplate for a base model
}

// Options say how a model is loaded.
type Options struct {
	// Weights is how matrices are kept: "auto" (or nothing), "bf16", "f32", "int8" or
	// "int4", see nn.Weights. Norms and biases are always f32.
	Weights string
}

func (o *Options) weights() (nn.Weights, error) {
	switch w := nn.Weights(o.Weights); w {
	case "":
		return nn.WeightsAuto, nil
	case nn.WeightsAuto, nn.WeightsBF16, nn.WeightsF32, nn.WeightsInt8, nn.WeightsInt4:
		return w, nil
	}
	return "", fmt.Errorf("weights: got %q, want auto, bf16, f32, int8 or int4", o.Weights)
}

// Open opens the model at path: a folder, or a GGUF file, which ends in .gguf or
// begins with that format's magic.
func Open(path string) (*checkpoint.Checkpoint, error) {
	if checkpoint.IsGGUF(path) {
		return checkpoint.OpenGGUF(path)
	}
	return checkpoint.OpenFolder(path)
}

// Load opens the folder or GGUF file at path and packs its weights into b.
func Load(path string, b kernels.Backend, o Options) (*Model, error) {
	ck, err := Open(path)
	if err != nil {
		return nil, err
	}
	m, err := load(ck, b, o)
	return m, errors.Join(err, ck.Close())
}

// LoadBuiltin packs the model that is part of the program.
func LoadBuiltin(b kernels.Backend, o Options) (*Model, error) {
	ck, err := builtin.Open()
	if err != nil {
		return nil, err
	}
	m, err := load(ck, b, o)
	return m, errors.Join(err, ck.Close())
}

func load(ck *checkpoint.Checkpoint, b kernels.Backend, o Options) (*Model, error) {
	weights, err := o.weights()
	if err != nil {
		return nil, err
	}
	m := &Model{Path: ck.Path, Backend: b}
	if m.Tokenizer, err = LoadTokenizer(ck); err != nil {
		return nil, err
	}
	if m.Generation, err = loadGeneration(ck, m.Tokenizer); err != nil {
		return nil, err
	}
	if m.Template, m.TemplateError = loadTemplate(ck, m.Tokenizer); m.TemplateError != nil {
		m.TemplateError = fmt.Errorf("%s: %w", ck.Path, m.TemplateError)
	}
	s, err := ShapeOf(ck)
	if err != nil {
		return nil, err
	}
	if m.Decoder, err = nn.NewLoader(ck, b, weights).Decoder(s.Config, s.Extras); err != nil {
		return nil, err
	}
	m.Architecture, m.Storage = s.Architecture, m.Decoder.Storage
	if got, want := m.Tokenizer.VocabSize(), m.Decoder.Vocab; got > want {
		return nil, fmt.Errorf("%s: the tokenizer has %d tokens, the model %d", ck.Path, got, want)
	}
	return m, nil
}

// Shape is what a decoder is made of.
type Shape struct {
	Architecture string // as the config spells it
	Config       nn.Config
	Extras       nn.Extras
}

// ShapeOf reads the config of a model of any family. It reads no weights.
func ShapeOf(ck *checkpoint.Checkpoint) (Shape, error) {
	if ck.GGUF() != nil {
		return shapeOfGGUF(ck)
	}
	s, err := shapeOfFolder(ck)
	if err != nil {
		return s, fmt.Errorf("%s: %w", filepath.Join(ck.Path, "config.json"), err)
	}
	return s, nil
}

func shapeOfFolder(ck *checkpoint.Checkpoint) (s Shape, err error) {
	if s.Architecture, err = hfconfig.Architecture(ck.Config()); err != nil {
		return s, err
	}
	switch s.Architecture {
	case "LlamaForCausalLM", "ArmorLlamaForCausalLM":
		c, err := llama.ParseConfig(ck.Config())
		return Shape{s.Architecture, c.Config, c.Extras()}, err
	case "Qwen2ForCausalLM", "Qwen3ForCausalLM", "ArmorQwen2ForCausalLM", "ArmorQwen3ForCausalLM":
		c, err := qwen.ParseConfig(ck.Config())
		return Shape{s.Architecture, c.Config, c.Extras()}, err
	}
	return s, fmt.Errorf("key architectures: %q is not supported, want LlamaForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM", s.Architecture)
}

// LoadTokenizer reads a folder's tokenizer.json, or a GGUF file's vocabulary.
func LoadTokenizer(ck *checkpoint.Checkpoint) (*tokenizer.Tokenizer, error) {
	if g := ck.GGUF(); g != nil {
		return tokenizerOfGGUF(g)
	}
	data, err := ck.File("tokenizer.json")
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(ck.Path, "tokenizer.json"), err)
	}
	return t, nil
}

// Generation is what a model's files say about sampling; absent values are nil.
type Generation struct {
	Stop        []int32 // tokens that end a text
	DoSample    *bool
	Temperature *float32
	TopK        *int
	TopP        *float32
	MinP        *float32
	Repeat      *float32 // repetition_penalty
}

// ids is a token or a list of them.
type ids []int32

func (v *ids) UnmarshalJSON(data []byte) error {
	var one *int32
	if json.Unmarshal(data, &one) == nil {
		if one != nil {
			*v = ids{*one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]int32)(v))
}

// loadGeneration reads generation_config.json and the end tokens of config.json,
// or those of a GGUF file.
func loadGeneration(ck *checkpoint.Checkpoint, t *tokenizer.Tokenizer) (Generation, error) {
	var g Generation
	if metadata := ck.GGUF(); metadata != nil {
		var err error
		g.Stop, err = endsOfGGUF(metadata, t)
		return g, err
	}
	for _, name := range []string{"config.json", "generation_config.json"} {
		data, err := ck.File(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return g, err
		}
		var file struct {
			EOS         ids      `json:"eos_token_id"`
			DoSample    *bool    `json:"do_sample"`
			Temperature *float32 `json:"temperature"`
			TopK        *int     `json:"top_k"`
			TopP        *float32 `json:"top_p"`
			MinP        *float32 `json:"min_p"`
			Repeat      *float32 `json:"repetition_penalty"`
		}
		if err := json.Unmarshal(data, &file); err != nil {
			return g, fmt.Errorf("%s: %w", filepath.Join(ck.Path, name), err)
		}
		for _, id := range file.EOS {
			if !slices.Contains(g.Stop, id) {
				g.Stop = append(g.Stop, id)
			}
		}
		if name == "generation_config.json" {
			g.DoSample, g.Temperature, g.TopK, g.TopP = file.DoSample, file.Temperature, file.TopK, file.TopP
			g.MinP, g.Repeat = file.MinP, file.Repeat
		}
	}
	return g, nil
}
