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
		`{"model_type":"armor_qwen2"}`:                                "ArmorQwen2ForCausalLM",
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

func TestArmorFamilies(t *testing.T) {
	llama := Family{"LlamaForCausalLM", "llama"}
	for text, words := range map[string]string{
		`{"architectures":["LlamaForCausalLM"],"model_type":"llama"}`:                       "",
		`{"architectures":["LlamaForCausalLM"],"model_type":"llama","armor":null}`:          "",
		`{"architectures":["ArmorLlamaForCausalLM"],"model_type":"armor_llama","armor":{}}`: "",
		`{"architectures":["ArmorLlamaForCausalLM"],"armor":{}}`:                            "",
		`{"model_type":"armor_llama","armor":{}}`:                                           "",
		`{"architectures":["LlamaForCausalLM"],"model_type":"llama","armor":{}}`:            "key armor: needs the architecture ArmorLlamaForCausalLM, got LlamaForCausalLM",
		`{"architectures":["ArmorLlamaForCausalLM"],"model_type":"armor_llama"}`:            "key armor: missing, want an object",
		`{"architectures":["ArmorLlamaForCausalLM"],"model_type":"armor_llama","armor":[]}`: "key armor: got an array, want an object",
		`{"architectures":["ArmorLlamaForCausalLM"],"model_type":"llama","armor":{}}`:       `key model_type: "llama" is not supported, want armor_llama`,
		`{"architectures":["LlamaForCausalLM"],"model_type":"armor_llama","armor":{}}`:      `key model_type: "armor_llama" is not supported, want llama`,
		`{"architectures":["ArmorQwen2ForCausalLM"],"model_type":"armor_qwen2","armor":{}}`: `"ArmorQwen2ForCausalLM" is not supported, want LlamaForCausalLM`,
		`{"architectures":["ArmorArmorLlamaForCausalLM"],"model_type":"armor_armor_llama"}`: "is not supported",
	} {
		r := NewReader([]byte(text))
		f := r.OneOfFamilies(llama)
		err := r.Err()
		if words == "" && (err != nil || f != llama) || words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("%s: %v, %v, want %q", text, f, err, words)
		}
	}
}
