package chat

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func parse(t testing.TB, source string) *Template {
	t.Helper()
	tmpl, err := Parse(source, SpecialTokens{BOS: "<s>", EOS: "</s>"})
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func messages(t testing.TB, text string) (all []Message) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMessage(t *testing.T) {
	text := `{"z": 1.0, "role": "tool", "content": "é <b>", "a": {"y": null, "x": [1, 18446744073709551616]}}`
	var m Message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if m.Role() != "tool" || m.Content() != "é <b>" {
		t.Errorf("role %q, content %q", m.Role(), m.Content())
	}
	var again Message
	data, err := m.MarshalJSON()
	if err != nil || string(data) != text {
		t.Errorf("%s, %v; want %s", data, err, text)
	}
	if err := again.UnmarshalJSON(data); err != nil {
		t.Error(err)
	}
	if m := Text("user", "a\xffb"); m.Content() != "a\uFFFDb" {
		t.Errorf("%q", m.Content())
	}
	parts := messages(t, `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`)
	if got := parts[0].Content(); got != "a\nb" {
		t.Errorf("content of parts: %q", got)
	}
	var none Message
	if _, err := none.MarshalJSON(); err == nil || none.Role() != "" || none.Content() != "" {
		t.Error("an empty message is one")
	}
}

func TestMessageErrors(t *testing.T) {
	for text, want := range map[string]string{
		`3`:                               "object",
		`{}`:                              "role",
		`{"role": 1}`:                     "role",
		`{"role": "u", "content": 1}`:     "content",
		`{"role": "u", "content": {}}`:    "content",
		`{"role": "u", "content": ["a"]}`: "part",
		`{"role": "u", "content": [{"type": "image_url", "text": "x"}]}`:                  "part",
		`{"role": "u", "content": [{"type": "text"}]}`:                                    "part",
		`{"role": "u", "tool_calls": {}}`:                                                 "tool_calls",
		`{"role": "u", "x": ` + strings.Repeat("[", 200):                                  "",
		`{"role": "u", "x": ` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}": "deep",
	} {
		var m Message
		if err := json.Unmarshal([]byte(text), &m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

// TestForms: what clients send reaches each kind of template as it needs it.
func TestForms(t *testing.T) {
	const user = `[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":2.0}"}}]}]`
	const parts = `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`
	for name, c := range map[string]struct {
		source, messages string
		decode           bool
		want             string
	}{
		"objects":         {"{{ messages[1].tool_calls[0].function.arguments | tojson }}", user, true, `{"b": 1, "a": 2.0}`},
		"strings as sent": {"{{ messages[1].tool_calls[0].function.arguments | tojson }}", user, false, `"{\"b\":1,\"a\":2.0}"`},
		"needs strings":   {"{{ 'x' + messages[1].tool_calls[0].function.arguments }}", user, true, `x{"b":1,"a":2.0}`},
		"null content":    {"{{ '[' + messages[1].content + ']' }}{{ messages[1].content }}{{ messages[1].content is none }}", user, false, "[]True"},
		"reads parts":     {"{% for p in messages[0].content %}<{{ p['text'] }}>{% endfor %}", parts, false, "<a><b>"},
		"reads text":      {"{{ messages[0].content + '!' }}", parts, false, "a\nb!"},
		"names text":      {"{% set text = messages[0].content + '!' %}{{ text }}", parts, false, "a\nb!"},
		"bare call":       {"{{ messages[0].tool_calls[0].arguments.a }}", `[{"role":"assistant","tool_calls":[{"name":"f","arguments":"{\"a\":[1]}"}]}]`, true, "[1]"},
		"broken JSON":     {"{{ messages[0].tool_calls[0].arguments }}", `[{"role":"assistant","tool_calls":[{"name":"f","arguments":"{\"a\":"}]}]`, true, `{"a":`},
	} {
		got, err := parse(t, c.source).Render(Input{Messages: messages(t, c.messages), DecodeArguments: c.decode})
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestVariables(t *testing.T) {
	tmpl := parse(t, "{{ bos_token }}{{ eos_token }}{{ unk_token is defined }}{{ add_generation_prompt }}{{ tools is none }}{{ documents is none }}"+
		"|{{ enable_thinking is defined }}{{ enable_thinking }}|{{ documents | tojson }}|{{ x }}|{{ strftime_now('%Y') }}")
	in := Input{Messages: []Message{Text("user", "q")}, Now: time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC)}
	no := false
	full := in
	full.EnableThinking, full.AddGenerationPrompt = &no, true
	full.Tools, full.Documents = json.RawMessage("[]"), json.RawMessage(`[{"b":1,"a":2}]`)
	full.Extra = map[string]json.RawMessage{"x": json.RawMessage(`{"k": null}`)}
	for want, in := range map[string]Input{
		"<s></s>FalseFalseTrueTrue|False|null||2001":                               in,
		`<s></s>FalseTrueFalseFalse|TrueFalse|[{"b": 1, "a": 2}]|{'k': None}|2001`: full,
	} {
		if got, err := tmpl.Render(in); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	for name, change := range map[string]func(*Input){
		"tools":    func(in *Input) { in.Tools = json.RawMessage("{}") },
		"document": func(in *Input) { in.Documents = json.RawMessage("[") },
		"messages": func(in *Input) { in.Extra = map[string]json.RawMessage{"messages": json.RawMessage("[]")} },
		"variable": func(in *Input) { in.Extra = map[string]json.RawMessage{"x": json.RawMessage("?")} },
		"empty":    func(in *Input) { in.Messages = []Message{{}} },
	} {
		bad := in
		change(&bad)
		if _, err := tmpl.Render(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrors(t *testing.T) {
	in := Input{Messages: []Message{Text("user", "q")}}
	_, err := parse(t, "a\n{% if true %}\n{{ raise_exception('roles must alternate') }}{% endif %}").Render(in)
	var raised *RaisedError
	if !errors.As(err, &raised) || raised.Message != "roles must alternate" || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("raise_exception: %v", err)
	}
	if _, err = parse(t, "{{ 'a' * 10000000 }}").Render(in); !errors.Is(err, ErrLimit) {
		t.Errorf("too long: %v", err)
	}
	if _, err = Parse(strings.Repeat("a", 2<<20), SpecialTokens{}); !errors.Is(err, ErrLimit) {
		t.Errorf("long source: %v", err)
	}
	if _, err = Parse("\n\n{% foo %}", SpecialTokens{}); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("syntax: %v", err)
	}
}

// BenchmarkRender renders a conversation of 40 messages.
func BenchmarkRender(b *testing.B) {
	tmpl := parse(b, `{% for m in messages %}{% if m.role == "user" and loop.index0 % 2 == 0 %}{{ "<u>" + m.content | trim + "\n" }}{% else %}{{ m.content }}{% endif %}{% endfor %}`)
	var in Input
	for range 20 {
		in.Messages = append(in.Messages, Text("user", strings.Repeat("a question ", 50)), Text("assistant", strings.Repeat("an answer ", 100)))
	}
	for b.Loop() {
		if _, err := tmpl.Render(in); err != nil {
			b.Fatal(err)
		}
	}
}
