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
	"armor/model/checkpoint"
	"armor/model/hfconfig"
	"armor/model/llama"
	"armor/model/nn"
	"armor/model/qwen"
	"armor/model/tokenizer"
)

// Model is ready to run.
type Model struct {
	Path         string
	Architecture string // as the config spells it
	Decoder      *nn.Decoder
	Tokenizer    *tokenizer.Tokenizer
	Generation   Generation
	Backend      kernels.Backend
}

// Load opens the folder at path and packs its weights into b.
func Load(path string, b kernels.Backend) (*Model, error) {
	ck, err := checkpoint.OpenFolder(path)
	if err != nil {
		return nil, err
	}
	m, err := load(ck, b)
	return m, errors.Join(err, ck.Close())
}

func load(ck *checkpoint.Checkpoint, b kernels.Backend) (*Model, error) {
	m := &Model{Path: ck.Path, Backend: b}
	var err error
	if m.Tokenizer, err = LoadTokenizer(ck); err != nil {
		return nil, err
	}
	if m.Generation, err = loadGeneration(ck); err != nil {
		return nil, err
	}
	if m.Architecture, m.Decoder, err = loadDecoder(ck, b); err != nil {
		return nil, err
	}
	if got, want := m.Tokenizer.VocabSize(), m.Decoder.Vocab; got > want {
		return nil, fmt.Errorf("%s: the tokenizer has %d tokens, the model %d", ck.Path, got, want)
	}
	return m, nil
}

// ParseConfig reads the shape of a model of any family.
func ParseConfig(config []byte) (architecture string, c nn.Config, err error) {
	if architecture, err = hfconfig.Architecture(config); err != nil {
		return "", nn.Config{}, err
	}
	switch architecture {
	case "LlamaForCausalLM":
		c, err := llama.ParseConfig(config)
		return architecture, c.Config, err
	case "Qwen2ForCausalLM", "Qwen3ForCausalLM":
		c, err := qwen.ParseConfig(config)
		return architecture, c.Config, err
	}
	return architecture, nn.Config{}, unsupported(architecture)
}

func unsupported(architecture string) error {
	return fmt.Errorf("key architectures: %q is not supported, want LlamaForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM", architecture)
}

func loadDecoder(ck *checkpoint.Checkpoint, b kernels.Backend) (string, *nn.Decoder, error) {
	path := filepath.Join(ck.Path, "config.json")
	architecture, err := hfconfig.Architecture(ck.Config())
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", path, err)
	}
	var d *nn.Decoder
	switch architecture {
	case "LlamaForCausalLM":
		var c llama.Config
		if c, err = llama.ParseConfig(ck.Config()); err != nil {
			return "", nil, fmt.Errorf("%s: %w", path, err)
		}
		d, err = llama.Load(ck, c, b)
	case "Qwen2ForCausalLM", "Qwen3ForCausalLM":
		var c qwen.Config
		if c, err = qwen.ParseConfig(ck.Config()); err != nil {
			return "", nil, fmt.Errorf("%s: %w", path, err)
		}
		d, err = qwen.Load(ck, c, b)
	default:
		err = fmt.Errorf("%s: %w", path, unsupported(architecture))
	}
	return architecture, d, err
}

// LoadTokenizer reads a folder's tokenizer.json.
func LoadTokenizer(ck *checkpoint.Checkpoint) (*tokenizer.Tokenizer, error) {
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

// Generation is what a folder says about sampling; absent values are nil.
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

// loadGeneration reads generation_config.json and the end tokens of config.json.
func loadGeneration(ck *checkpoint.Checkpoint) (Generation, error) {
	var g Generation
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
