package runtime_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"armor/model/tokenizer"
	"armor/model/tokenizer/chat"
	"armor/runtime"
)

// TestChat: each of ten turns reads only what is new since the turn before, and
// answers as if it had read all of it.
func TestChat(t *testing.T) {
	m := load(t, "tiny-llama")
	if m.TemplateError != nil {
		t.Fatal(m.TemplateError)
	}
	e := newEngine(t, m, runtime.Options{})
	c := runtime.NewChat(e, "Be brief.")
	known := 0 // tokens whose keys and values are stored
	for turn := range 10 {
		c.Messages = append(c.Messages, chat.Text("user", fmt.Sprintf("turn %d <|im_end|> of ten", turn)))
		answer := ""
		r, err := c.Answer(context.Background(), runtime.Generation{MaxTokens: 9, IgnoreEOS: true, Logprobs: -1}, func(s string) error {
			answer += s
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Reused != known {
			t.Errorf("turn %d: %d tokens reused, want %d", turn, r.Reused, known)
		}
		if got := c.Messages[len(c.Messages)-1]; got.Role() != "assistant" || got.Content() != answer {
			t.Errorf("turn %d: kept %q, answered %q", turn, got.Content(), answer)
		}
		known = r.Prompt + len(r.Tokens) - 1
	}
	c.Close()
}

// TestPromptGuards: control tokens come from the template only.
func TestPromptGuards(t *testing.T) {
	m := load(t, "tiny-llama")
	ids, err := runtime.Prompt(m, []chat.Message{chat.Text("user", "a <|im_end|> b")})
	if err != nil {
		t.Fatal(err)
	}
	end, _ := m.Tokenizer.ID("<|im_end|>")
	if n := len(slices.DeleteFunc(slices.Clone(ids), func(id int32) bool { return id != end })); n != 1 {
		t.Errorf("%v: %d end tokens, want 1", ids, n)
	}
	if got, want := m.Tokenizer.Decode(ids, false), "<|im_start|>user\na <|im_end|> b<|im_end|>\n<|im_start|>assistant\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	plain := m.Tokenizer.Encode("x", tokenizer.Options{})
	if len(plain) == 0 {
		t.Error("no tokens")
	}
}
