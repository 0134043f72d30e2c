package chat

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

type goldenCase struct {
	Model    string          `json:"model"`
	Name     string          `json:"name"`
	Messages []Message       `json:"messages"`
	Tools    json.RawMessage `json:"tools"`
	Prompt   bool            `json:"add_generation_prompt"`
	Text     string          `json:"text"`
}

func readFile(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestGoldenChat renders what transformers rendered with two real templates.
func TestGoldenChat(t *testing.T) {
	models := os.Getenv("ARMOR_MODELS")
	if models == "" {
		t.Skip("ARMOR_MODELS names no folder with the real models, whose templates this test renders")
	}
	var file struct{ Cases []goldenCase }
	if err := json.Unmarshal(readFile(t, "testdata", "chat.json"), &file); err != nil {
		t.Fatal(err)
	}
	templates := map[string]*Template{}
	for _, c := range file.Cases {
		tmpl := templates[c.Model]
		if tmpl == nil {
			var err error
			if tmpl, err = FromConfig(readFile(t, models, c.Model, "tokenizer_config.json"), nil); err != nil {
				t.Fatal(err)
			}
			templates[c.Model] = tmpl
		}
		got, err := tmpl.Render(Input{Messages: c.Messages, Tools: c.Tools, AddGenerationPrompt: c.Prompt})
		if err != nil || got != c.Text {
			t.Errorf("%s %s %v: %v\ngot  %q\nwant %q", c.Model, c.Name, c.Prompt, err, got, c.Text)
		}
	}
	if len(file.Cases) != 54 {
		t.Errorf("%d cases, want 54", len(file.Cases))
	}
}
