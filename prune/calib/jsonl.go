package calib

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// jsonlFile has one JSON object a line, each a document; blank lines are none.
type jsonlFile struct {
	zipped bool
	limits
}

func (j *jsonlFile) scan(f *os.File, hash io.Writer, each func(int64) error) error {
	r, err := stream(f, hash, j.zipped, j.text)
	if err != nil {
		return err
	}
	return j.lines(r, func(_ int, line []byte) error {
		text, err := documentOf(line)
		if err != nil {
			return err
		}
		return each(int64(len(text)))
	})
}

func (j *jsonlFile) read(f *os.File, want []excerpt, got got) error {
	r, err := stream(f, nil, j.zipped, j.text)
	if err != nil {
		return err
	}
	err = j.lines(r, func(doc int, line []byte) error {
		if len(want) == 0 {
			return errEnough
		}
		if int(want[0].doc) != doc {
			return nil
		}
		text, err := documentOf(line)
		if err != nil {
			return err
		}
		for ; len(want) > 0 && int(want[0].doc) == doc; want = want[1:] {
			if err := got(want[0], []byte(text), 0, int64(len(text))); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

var errEnough = errors.New("enough")

// lines calls each with every line that is not blank, and its number among
// them. Errors name the line of the file, counted from 1.
func (j *jsonlFile) lines(r io.Reader, each func(doc int, line []byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, j.line)
	number, doc := 0, 0
	for s.Scan() {
		number++
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := each(doc, line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		doc++
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: longer than %d bytes", number+1, j.line)
	case err != nil:
		return fmt.Errorf("after line %d: %w", number, err)
	}
	return nil
}

// documentOf is the text of one line: "text", else "content", else the contents
// of "messages" with a blank line between. Null is an empty text. Half
// surrogates, which web texts have, become U+FFFD.
func documentOf(line []byte) (string, error) {
	if !utf8.Valid(line) {
		return "", errors.New("not UTF-8")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return "", jsonError("", err)
	}
	for _, key := range []string{"text", "content"} {
		if value, ok := object[key]; ok {
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return "", jsonError(key, err)
			}
			return text, nil
		}
	}
	value, ok := object["messages"]
	if !ok {
		return "", fmt.Errorf(`got the keys %s, want "text", "content" or "messages"`, keysOf(object))
	}
	var messages []struct{ Content json.RawMessage }
	if err := json.Unmarshal(value, &messages); err != nil {
		return "", jsonError("messages", err)
	}
	var texts []string
	for _, m := range messages {
		text, err := contentOf(m.Content)
		if err != nil {
			return "", err
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "\n\n"), nil
}

// contentOf is the text of a message: a string, null, or a list of parts, those
// of type "text" counting.
func contentOf(value json.RawMessage) (string, error) {
	if len(value) == 0 || value[0] != '[' {
		var text string
		if len(value) > 0 {
			if err := json.Unmarshal(value, &text); err != nil {
				return "", jsonError("messages.content", err)
			}
		}
		return text, nil
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(value, &parts); err != nil {
		return "", jsonError("messages.content", err)
	}
	var all strings.Builder
	for _, p := range parts {
		if p.Type == "text" {
			all.WriteString(p.Text)
		}
	}
	return all.String(), nil
}

// jsonError words an error of encoding/json in one line without Go's types.
func jsonError(key string, err error) error {
	if key != "" {
		key = fmt.Sprintf("%q: ", key)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		want := "a string"
		switch key {
		case "":
			want = "a JSON object"
		case `"messages": `:
			want = `a list of objects with "content"`
		case `"messages.content": `:
			want = `a string or a list of {"type", "text"}`
		}
		return fmt.Errorf("%sgot a JSON %s, want %s", key, wrong.Value, want)
	}
	return fmt.Errorf("%s%w", key, err)
}

// keysOf lists the keys of an object, as many and as much of them as fit in an
// error.
func keysOf[V any](object map[string]V) string {
	keys := slices.Sorted(maps.Keys(object))
	if len(keys) == 0 {
		return "{}"
	}
	const most, longest = 8, 40
	var list []string
	for _, key := range keys[:min(len(keys), most)] {
		if len(key) > longest {
			key = key[:longest] + "…"
		}
		list = append(list, fmt.Sprintf("%q", key))
	}
	if len(keys) > most {
		list = append(list, fmt.Sprintf("and %d more", len(keys)-most))
	}
	return strings.Join(list, ", ")
}
