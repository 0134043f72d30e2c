package hfconfig

import (
	"strings"
	"testing"
)

func TestArchitecture(t *testing.T) {
	for text, want := range map[string]string{
		`{"architectures":["LlamaForCausalLM"],"model_type":"llama"}`: "LlamaForCausalLM",
		`{"architectures":["FooForCausalLM","LlamaForCausalLM"]}`:     "FooForCausalLM",
		`{"architectures":null,"model_type":"qwen2"}`:                 "Qwen2ForCausalLM",
		`{"architectures":[],"model_type":"qwen3"}`:                   "Qwen3ForCausalLM",
		`{"model_type":"llama"}`:                                      "LlamaForCausalLM",
	} {
		if got, err := Architecture([]byte(text)); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, words := range map[string]string{
		``:                                    "invalid JSON",
		`{}`:                                  "architectures and model_type: missing",
		`{"ARCHITECTURES":["A"]}`:             "missing",
		`{"architectures":5}`:                 "key architectures: got 5, want an array",
		`{"architectures":[null]}`:            "key architectures: got null",
		`{"architectures":[""]}`:              "want the name of a class",
		`{"architectures":["a b"]}`:           "want the name of a class",
		`{"model_type":"mamba"}`:              `key model_type: "mamba" is not supported, want llama, qwen2 or qwen3`,
		`{"model_type":["llama"]}`:            "key model_type: got an array, want a string",
		`{"model_type":"a","model_type":"b"}`: "duplicate key model_type",
		`{"architectures":["` + strings.Repeat("A", 1<<20) + `"]}`: `AAA"... is not supported`,
	} {
		got, err := Architecture([]byte(text))
		if err == nil || got != "" || !strings.Contains(err.Error(), words) || len(err.Error()) > 400 {
			t.Errorf("%.80s: %q, %v, want %q", text, got, err, words)
		}
	}
}
