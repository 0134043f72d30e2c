package runtime

import (
	"context"
	"strings"

	"armor/model"
	"armor/model/tokenizer"
	"armor/model/tokenizer/chat"
)

// Prompt renders messages with the model's chat template and encodes them, so
// that special tokens written inside a message stay text.
func Prompt(m *model.Model, messages []chat.Message) ([]int32, error) {
	text, err := render(m, messages)
	if err != nil {
		return nil, err
	}
	return encodePrompt(m, text), nil
}

// render writes the text that encodePrompt reads, with guards in the messages.
func render(m *model.Model, messages []chat.Message) (string, error) {
	if m.Template == nil {
		return "", m.TemplateError
	}
	guarded := make([]chat.Message, len(messages))
	for i, msg := range messages {
		guarded[i] = chat.Text(msg.Role(), m.Tokenizer.Guard(msg.Content()))
	}
	return m.Template.Render(chat.Input{Messages: guarded, AddGenerationPrompt: true})
}

func encodePrompt(m *model.Model, text string) []int32 {
	return m.Tokenizer.Encode(text, tokenizer.Options{ParseSpecial: true, Guarded: true})
}

// Chat is a conversation with a model. Each turn reads only what is new.
type Chat struct {
	Messages []chat.Message

	engine *Engine
	conv   Conversation
	text   string  // what ids stand for, as rendered
	ids    []int32 // read or generated so far
}

// NewChat begins a conversation, with a system message unless it is empty.
func NewChat(e *Engine, system string) *Chat {
	c := &Chat{engine: e}
	if system != "" {
		c.Messages = append(c.Messages, chat.Text("system", system))
	}
	return c
}

// Close frees what the conversation holds.
func (c *Chat) Close() { c.engine.End(&c.conv) }

// Answer generates the assistant's message after Messages and appends it, also
// where ctx ended it early. g's prompt is filled in.
func (c *Chat) Answer(ctx context.Context, g Generation, emit func(string) error) (Result, error) {
	m := c.engine.model
	text, err := render(m, c.Messages)
	if err != nil {
		return Result{}, err
	}
	// An answer's own tokens stay, even if its text would be cut in other ones.
	rest, ok := strings.CutPrefix(text, c.text)
	if !ok {
		c.text, c.ids, rest = "", nil, text
	}
	ids := append(c.ids[:len(c.ids):len(c.ids)], encodePrompt(m, rest)...)
	var answer strings.Builder
	g.Prompt = ids
	r, err := c.engine.Continue(ctx, &c.conv, g, func(piece string) error {
		answer.WriteString(piece)
		return emit(piece)
	})
	if err != nil {
		return r, err
	}
	c.Messages = append(c.Messages, chat.Text("assistant", answer.String()))
	c.text, c.ids = text+m.Tokenizer.Guard(answer.String()), append(ids[:len(ids):len(ids)], r.IDs()...)
	if m.Tokenizer.Decode(r.IDs(), true) != answer.String() { // cut at a stop string
		c.text, c.ids = "", nil
	}
	return r, nil
}
