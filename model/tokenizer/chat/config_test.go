package chat

import (
	"errors"
	"strings"
	"testing"
)

func TestFromConfig(t *testing.T) {
	hi := Input{Messages: []Message{Text("user", "hi")}}
	withTools := hi
	withTools.Tools = []byte(`[{"name":"f"}]`)
	for name, c := range map[string]struct {
		config, file string
		in           Input
		want         string
	}{
		"text":           {`{"chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}}`, "", hi, "<s>hi</s>"},
		"null tokens":    {`{"chat_template": "{{ bos_token is defined }}{{ bos_token }}|{{ pad_token }}", "bos_token": null, "pad_token": "p"}`, "", hi, "False|p"},
		"file wins":      {`{"chat_template": "config", "eos_token": "e"}`, "file{{ eos_token }}\n", hi, "filee"},
		"file alone":     {"", "file", hi, "file"},
		"named":          {`{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}`, "", hi, "D"},
		"named, tools":   {`{"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}`, "", withTools, "T"},
		"default, tools": {`{"chat_template": [{"name": "default", "template": "D{{ tools | tojson }}"}, {"name": "rag", "template": "{% bad"}]}`, "", withTools, `D[{"name": "f"}]`},
	} {
		var config, file []byte
		if c.config != "" {
			config = []byte(c.config)
		}
		if c.file != "" {
			file = []byte(c.file)
		}
		tmpl, err := FromConfig(config, file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := tmpl.Render(c.in); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestFromConfigErrors(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                      "no chat template",
		`{"chat_template": null}`: "no chat template",
		`{"chat_template": [{"name": "rag", "template": "x"}]}`: `named "default"`,
		`{"chat_template": []}`:                                 "no chat template",
		`{"chat_template": 3}`:                                  "want a text",
		`{"chat_template": [3]}`:                                "named templates",
		`{"chat_template": [{"name": "a"}]}`:                    "named templates",
		`{"chat_template": "{{"}`:                               "line 1",
		`{"bos_token": 3}`:                                      "bos_token",
		`[]`:                                                    "not an object",
		`{"a": `:                                                "unexpected EOF",
	} {
		_, err := FromConfig([]byte(config), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
		if none := strings.Contains(want, "no chat") || strings.Contains(want, "named \"d"); errors.Is(err, ErrNoTemplate) != none {
			t.Errorf("%s: is ErrNoTemplate: %v", config, !none)
		}
	}
	if _, err := FromConfig(nil, nil); !errors.Is(err, ErrNoTemplate) {
		t.Errorf("nothing: %v", err)
	}
}

// TestTinyModels renders with the templates of the tiny models.
func TestTinyModels(t *testing.T) {
	for _, name := range []string{"tiny-llama", "tiny-llama3-rope", "tiny-qwen2", "tiny-qwen3"} {
		tmpl, err := FromConfig(readFile(t, "../../../testdata/golden", name, "tokenizer_config.json"), nil)
		if err != nil {
			t.Fatal(err)
		}
		in := Input{Messages: []Message{Text("system", "Be brief."), Text("user", "Hi")}, AddGenerationPrompt: true}
		want := "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
		if got, err := tmpl.Render(in); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
