// Package chat renders conversations as a model was trained to read them, by
// the chat template that comes with its tokenizer.
package chat

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"armor/model/tokenizer/chat/jinja"
)

// ErrNoTemplate says that a model has no chat template, as base models do.
var ErrNoTemplate = errors.New("the model has no chat template")

// ErrLimit is wrapped by the errors of a template that is or does too much.
var ErrLimit = jinja.ErrLimit

// RaisedError is what a template reports by itself, as "roles must alternate".
type RaisedError = jinja.RaisedError

// SpecialTokens are the texts of tokens that templates write; "" where the
// tokenizer has none, and then the template finds the name undefined.
type SpecialTokens struct{ BOS, EOS, PAD, UNK string }

// Template is a model's chat template, safe for concurrent use.
type Template struct {
	plain, tools *jinja.Program // tools is for conversations with tools
	tokens       SpecialTokens
}

// Input is what a template is rendered with.
type Input struct {
	Messages            []Message
	Tools               json.RawMessage // a list; absent or null for none
	Documents           json.RawMessage
	AddGenerationPrompt bool
	EnableThinking      *bool // undefined in the template if nil
	// Extra are further variables, as chat_template_kwargs of other servers.
	Extra map[string]json.RawMessage
	// DecodeArguments makes objects of tool calls' arguments that are JSON in a
	// string, as OpenAI's clients send them. A template that fails on objects
	// gets the strings.
	DecodeArguments bool
	Now             time.Time // for strftime_now; the current time if zero
}

// Parse compiles a template.
func Parse(source string, tokens SpecialTokens) (*Template, error) {
	p, err := jinja.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return &Template{p, p, tokens}, nil
}

// FromConfig finds a model's template and special tokens in the text of its
// tokenizer_config.json and that of its chat_template.jinja, either of which
// may be nil; the latter wins. Of several named templates it takes "default",
// and "tool_use" for conversations with tools.
func FromConfig(tokenizerConfig, jinjaFile []byte) (*Template, error) {
	config := jinja.NewDict()
	if tokenizerConfig != nil {
		v, err := jinja.DecodeJSON(tokenizerConfig)
		if err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
		var ok bool
		if config, ok = v.(*jinja.Dict); !ok {
			return nil, errors.New("tokenizer_config.json: not an object")
		}
	}
	var tokens SpecialTokens
	for key, to := range map[string]*string{
		"bos_token": &tokens.BOS, "eos_token": &tokens.EOS, "pad_token": &tokens.PAD, "unk_token": &tokens.UNK,
	} {
		v, _ := config.Get(key)
		if d, ok := v.(*jinja.Dict); ok { // an added token
			v, _ = d.Get("content")
		}
		var ok bool
		if *to, ok = v.(string); !ok && v != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %s is no text", key)
		}
	}
	if jinjaFile != nil {
		return Parse(string(jinjaFile), tokens)
	}
	sources := map[string]string{}
	switch v, _ := config.Get("chat_template"); v := v.(type) {
	case nil:
	case string:
		return Parse(v, tokens)
	case *jinja.Seq:
		for _, item := range v.Items() {
			d, _ := item.(*jinja.Dict)
			if d == nil {
				d = jinja.NewDict()
			}
			name, _ := d.Get("name")
			text, _ := d.Get("template")
			n, ok := name.(string)
			if sources[n], _ = text.(string); !ok || sources[n] == "" {
				return nil, errors.New("tokenizer_config.json: chat_template: want a list of named templates")
			}
		}
	default:
		return nil, errors.New("tokenizer_config.json: chat_template: want a text or a list of named templates")
	}
	return fromNamed(sources, tokens)
}

func fromNamed(sources map[string]string, tokens SpecialTokens) (*Template, error) {
	t := &Template{tokens: tokens}
	for name, to := range map[string]**jinja.Program{"default": &t.plain, "tool_use": &t.tools} {
		source, ok := sources[name]
		if !ok {
			continue
		}
		var err error
		if *to, err = jinja.Compile(source); err != nil {
			return nil, fmt.Errorf("chat template %q: %w", name, err)
		}
	}
	switch {
	case t.plain == nil && len(sources) > 0:
		return nil, fmt.Errorf(`%w named "default"`, ErrNoTemplate)
	case t.plain == nil:
		return nil, ErrNoTemplate
	case t.tools == nil:
		t.tools = t.plain
	}
	return t, nil
}

// Render writes the conversation. An error is the template's or the input's:
// errors.As finds a *RaisedError, errors.Is ErrLimit.
func (t *Template) Render(in Input) (string, error) {
	vars, err := t.variables(in)
	if err != nil {
		return "", err
	}
	now := in.Now
	if now.IsZero() {
		now = time.Now()
	}
	p := t.plain
	if vars["tools"] != nil {
		p = t.tools
	}
	var first error
	for _, f := range forms(in.Messages, p.Mentions("text"), in.DecodeArguments) {
		if vars["messages"], err = values(in.Messages, f); err != nil {
			return "", err
		}
		text, err := p.Render(vars, now)
		if err == nil {
			return text, nil
		}
		if first = cmp.Or(first, err); errors.Is(err, ErrLimit) {
			break
		}
	}
	return "", fmt.Errorf("chat template: %w", first)
}

func (t *Template) variables(in Input) (map[string]jinja.Value, error) {
	vars := map[string]jinja.Value{"add_generation_prompt": in.AddGenerationPrompt}
	for name, text := range map[string]string{
		"bos_token": t.tokens.BOS, "eos_token": t.tokens.EOS, "pad_token": t.tokens.PAD, "unk_token": t.tokens.UNK,
	} {
		if text != "" {
			vars[name] = text
		}
	}
	if in.EnableThinking != nil {
		vars["enable_thinking"] = *in.EnableThinking
	}
	for name, raw := range in.Extra {
		switch name {
		case "messages", "tools", "documents", "add_generation_prompt":
			return nil, fmt.Errorf("%s is no further variable of a chat template", name)
		}
		v, err := jinja.DecodeJSON(raw)
		if err != nil {
			return nil, fmt.Errorf("template variable %q: %w", name, err)
		}
		vars[name] = v
	}
	for name, raw := range map[string]json.RawMessage{"tools": in.Tools, "documents": in.Documents} {
		vars[name] = nil // defined, but none
		if len(raw) == 0 {
			continue
		}
		v, err := jinja.DecodeJSON(raw)
		if _, ok := v.(*jinja.Seq); err == nil && !ok && v != nil {
			err = errors.New("not a list")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		vars[name] = v
	}
	return vars, nil
}
