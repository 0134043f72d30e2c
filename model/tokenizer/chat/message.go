package chat

import (
	"errors"
	"fmt"
	"strings"

	"armor/model/tokenizer/chat/jinja"
)

// Message is one message of a conversation: a JSON object with a role and,
// mostly, a content, as clients of OpenAI's interface and Hugging Face's write
// it. Keys that this package does not know reach the template in their order.
// A Message is immutable.
type Message struct{ fields *jinja.Dict }

// Text makes a message of a role ("system", "user", "assistant") and a text.
func Text(role, content string) Message {
	d := jinja.NewDict()
	d.Set("role", strings.ToValidUTF8(role, "\uFFFD"))
	d.Set("content", strings.ToValidUTF8(content, "\uFFFD"))
	return Message{d}
}

// Role is who speaks.
func (m Message) Role() string {
	s, _ := m.get("role").(string)
	return s
}

// Content is the text of the message. A content of parts gives theirs, each on
// its own line; none gives "".
func (m Message) Content() string {
	s, _ := flatten(m.get("content")).(string)
	return s
}

func (m Message) get(key string) jinja.Value {
	if m.fields == nil {
		return nil
	}
	v, _ := m.fields.Get(key)
	return v
}

// UnmarshalJSON reads a message and checks what templates rely on: a role, a
// content that is a text, null or a list of text parts, a list of tool calls.
func (m *Message) UnmarshalJSON(data []byte) error {
	v, err := jinja.DecodeJSON(data)
	if err != nil {
		return err
	}
	d, ok := v.(*jinja.Dict)
	if !ok {
		return errors.New("a message must be an object")
	}
	*m = Message{d}
	if _, ok := m.get("role").(string); !ok {
		return errors.New("a message needs a role that is a text")
	}
	switch content := m.get("content").(type) {
	case nil, string:
	case *jinja.Seq:
		for _, part := range content.Items() {
			if _, ok := partText(part); !ok {
				return errors.New(`content: a part must be {"type": "text", "text": …}; other kinds are not supported`)
			}
		}
	default:
		return errors.New("content must be a text, null or a list of parts")
	}
	switch m.get("tool_calls").(type) {
	case nil, *jinja.Seq:
		return nil
	}
	return errors.New("tool_calls must be a list")
}

// MarshalJSON writes the message with its keys in order.
func (m Message) MarshalJSON() ([]byte, error) {
	if m.fields == nil {
		return nil, errors.New("chat: an empty message")
	}
	s, err := jinja.EncodeJSON(m.fields)
	return []byte(s), err
}

// partText is the text of a part of a content.
func partText(part jinja.Value) (string, bool) {
	d, ok := part.(*jinja.Dict)
	if !ok {
		return "", false
	}
	kind, _ := d.Get("type")
	v, _ := d.Get("text")
	text, ok := v.(string)
	return text, ok && kind == "text"
}

// flatten makes a text of a content in parts.
func flatten(content jinja.Value) jinja.Value {
	parts, ok := content.(*jinja.Seq)
	if !ok {
		return content
	}
	var texts []string
	for _, part := range parts.Items() {
		text, _ := partText(part)
		texts = append(texts, text)
	}
	return strings.Join(texts, "\n")
}

// form is a way to show messages to a template.
type form struct {
	parts   bool // contents in parts as they are, else as one text
	objects bool // arguments that are JSON in a string as objects
}

// forms are those to try, the likeliest first: templates read either contents
// in parts or texts, and arguments as objects or as strings, and fail on others.
func forms(messages []Message, parts, decode bool) []form {
	inParts, calls := false, false
	for _, m := range messages {
		_, list := m.get("content").(*jinja.Seq)
		inParts = inParts || list
		calls = calls || m.get("tool_calls") != nil
	}
	all := []form{{parts && inParts, decode && calls}}
	if all[0].parts {
		all = append(all, form{false, all[0].objects})
	}
	if all[0].objects {
		for _, f := range all {
			all = append(all, form{f.parts, false})
		}
	}
	return all
}

// values makes the template's messages.
func values(messages []Message, f form) (*jinja.Seq, error) {
	items := make([]jinja.Value, len(messages))
	for i, m := range messages {
		if m.fields == nil {
			return nil, fmt.Errorf("message %d is empty", i)
		}
		d := m.fields.Copy()
		if content, ok := d.Get("content"); ok && content == nil {
			d.Set("content", jinja.Blank{})
		} else if ok && !f.parts {
			d.Set("content", flatten(content))
		}
		if calls, ok := m.get("tool_calls").(*jinja.Seq); ok && f.objects {
			d.Set("tool_calls", decodeCalls(calls))
		}
		items[i] = d
	}
	return jinja.NewList(items...), nil
}

// decodeCalls makes objects of arguments that are JSON objects in strings.
func decodeCalls(calls *jinja.Seq) *jinja.Seq {
	items := make([]jinja.Value, len(calls.Items()))
	for i, call := range calls.Items() {
		items[i] = decodeCall(call)
	}
	return jinja.NewList(items...)
}

// decodeCall does it in a call or in the "function" of one.
func decodeCall(call jinja.Value) jinja.Value {
	d, ok := call.(*jinja.Dict)
	if !ok {
		return call
	}
	key, change := "function", decodeCall
	if s, ok := d.Get("arguments"); ok {
		key, change = "arguments", func(jinja.Value) jinja.Value {
			text, _ := s.(string)
			if v, err := jinja.DecodeJSON([]byte(text)); err == nil {
				if _, ok := v.(*jinja.Dict); ok {
					return v
				}
			}
			return s
		}
	}
	old, ok := d.Get(key)
	if !ok {
		return call
	}
	d = d.Copy()
	d.Set(key, change(old))
	return d
}
