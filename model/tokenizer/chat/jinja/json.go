package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// DecodeJSON reads one JSON value as Python's json.loads does: objects keep the
// order of their keys, 1 is an int and 1.0 a float.
func DecodeJSON(data []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decode(d, 0)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("text after the JSON value")
		}
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

func decode(d *json.Decoder, depth int) (Value, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("%w: JSON nested more than %d deep", ErrLimit, MaxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		return decodeNumber(string(t))
	case json.Delim:
		dict, items := NewDict(), []Value{}
		for d.More() {
			key := json.Token("")
			if t == '{' {
				if key, err = d.Token(); err != nil {
					return nil, err
				}
			}
			v, err := decode(d, depth+1)
			if err != nil {
				return nil, err
			}
			if t == '{' {
				dict.put(key, v)
			} else {
				items = append(items, v)
			}
		}
		if _, err = d.Token(); t == '{' {
			return dict, err
		}
		return NewList(items...), err
	}
	return t, nil // a string, a bool or nil
}

func decodeNumber(s string) (Value, error) {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, nil
		}
		return bigInt(s), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if math.IsInf(f, 0) {
		err = nil // as in Python
	}
	return f, err
}

// EncodeJSON writes a value of DecodeJSON as json.dumps(v, ensure_ascii=False).
func EncodeJSON(v Value) (text string, err error) {
	defer stop(&err)
	return newMachine().tojson(v, &arguments{}), nil
}

type dumpOptions struct {
	ascii     bool // escape what is not ASCII
	sorted    bool
	lines     bool // a line per item, indented
	indent    string
	item, key string // separators
}

// tojson is the filter as transformers defines it, around json.dumps.
func (m *machine) tojson(v Value, a *arguments) string {
	o := dumpOptions{item: ", ", key: ": ", ascii: truth(a.opt("ensure_ascii", false))}
	switch indent := plain(a.opt("indent", nil)).(type) {
	case nil:
	case string:
		o.lines, o.indent, o.item = true, indent, ","
	default:
		o.lines, o.indent, o.item = true, m.repeat(" ", m.integer(indent)), ","
	}
	if sep := a.opt("separators", nil); sep != nil {
		parts := m.iterate(sep)
		if len(parts) != 2 {
			failf("separators must be two strings")
		}
		o.item, o.key = m.str(parts[0]), m.str(parts[1])
	}
	o.sorted = truth(a.opt("sort_keys", false))
	b := &buffer{m: m}
	b.json(v, &o, 0)
	return b.String()
}

func (b *buffer) json(v Value, o *dumpOptions, depth int) {
	b.step(depth)
	switch v := plain(v).(type) {
	case nil, Blank:
		b.add("null")
	case bool:
		b.add(strconv.FormatBool(v))
	case float64:
		switch {
		case math.IsNaN(v):
			b.add("NaN")
		case math.IsInf(v, 0):
			b.add(map[bool]string{false: "-Infinity", true: "Infinity"}[v > 0])
		default:
			b.add(floatText(v))
		}
	case int64, bigInt:
		b.repr(v, depth)
	case string:
		b.jsonString(v, o.ascii)
	case *Seq:
		if v.kind == generator {
			failf("Object of type generator is not JSON serializable")
		}
		b.jsonItems("[", "]", o, depth, len(v.items), func(i int) { b.json(v.items[i], o, depth+1) })
	case *Dict:
		keys := v.keys
		if o.sorted {
			b.m.alloc(sizeValue * len(keys))
			keys = slices.SortedFunc(slices.Values(keys), b.m.order)
		}
		b.jsonItems("{", "}", o, depth, len(keys), func(i int) {
			key, ok := keys[i].(string)
			if !ok { // json.dumps makes it one
				inner := &buffer{m: b.m}
				inner.json(keys[i], o, depth+1)
				key = inner.String()
			}
			b.jsonString(key, o.ascii)
			b.add(o.key)
			b.json(v.values[keys[i]], o, depth+1)
		})
	default:
		failf("Object of type %s is not JSON serializable", strings.Trim(typeName(v), "'"))
	}
}

func (b *buffer) jsonItems(open, end string, o *dumpOptions, depth, n int, item func(i int)) {
	line := func(depth int) {
		if o.lines && n > 0 {
			b.add("\n")
			for range depth {
				b.add(o.indent)
			}
		}
	}
	b.items(open, "", o.item, n, func(i int) {
		line(depth + 1)
		item(i)
	})
	line(depth)
	b.add(end)
}

func (b *buffer) jsonString(s string, ascii bool) {
	b.add(`"`)
	b.escape(s, func(r rune) string {
		switch at := strings.IndexRune("\"\\\n\r\t\b\f", r); {
		case at >= 0:
			return `\` + `"\nrtbf`[at:at+1]
		case r < ' ' || ascii && r >= 0x7f && r < 0x10000:
			return fmt.Sprintf(`\u%04x`, r)
		case ascii && r >= 0x10000:
			hi, lo := utf16.EncodeRune(r)
			return fmt.Sprintf(`\u%04x\u%04x`, hi, lo)
		}
		return ""
	})
	b.add(`"`)
}
