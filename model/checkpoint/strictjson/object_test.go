package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	nested := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}" }
	if _, err := Parse([]byte(nested(MaxDepth))); err != nil {
		t.Errorf("nested %d deep: %v", MaxDepth, err)
	}
	for text, words := range map[string]string{
		"":                      "unexpected end",
		" ":                     "unexpected end",
		"{":                     "unexpected end",
		`{"a`:                   "unexpected end of a string",
		`{"a":`:                 "unexpected end, want a value",
		`{"a":1`:                "unexpected end",
		`{"a":[1`:               "unexpected end",
		`{"a":"\`:               "invalid escape",
		`{"a":"\u12`:            "invalid escape",
		`{"a":"\x"}`:            "invalid escape",
		`{"a":"\u12g4"}`:        "invalid escape",
		`{"a":"\ud800"}`:        "surrogate",
		`{"a":"\ud800\u0041"}`:  "surrogate",
		`{"a":"\udc00\ud800"}`:  "surrogate",
		"{\"a\":\"\xff\"}":      "invalid UTF-8",
		"{\"a\":\"\xed\xa0\x80": "invalid UTF-8",
		"{\"a\":\"\n\"}":        "control character 0x0a",
		"\ufeff{}":              "unexpected character 0xef",
		`{'a':1}`:               `unexpected character ''', want '"'`,
		`{a:1}`:                 "unexpected character 'a'",
		`{"a" 1}`:               "want ':'",
		`{"a":1 "b":2}`:         "want ',' or '}'",
		`{"a":[1 2]}`:           "want ',' or ']'",
		`{"a":1,}`:              "invalid JSON",
		`{"a":[1,]}`:            "want a value",
		`{"a":NaN}`:             "unexpected character 'N'",
		`{"a":Infinity}`:        "invalid JSON",
		`{"a":nul}`:             "invalid JSON",
		`{"a":nulll}`:           "invalid JSON",
		`{"a":01}`:              "invalid JSON",
		`{"a":1.}`:              "want a digit",
		`{"a":.5}`:              "invalid JSON",
		`{"a":+1}`:              "invalid JSON",
		`{"a":-}`:               "want a digit",
		`{"a":1e}`:              "want a digit",
		`{"a":0x10}`:            "invalid JSON",
		`{/**/}`:                "invalid JSON",
		`{}x`:                   "trailing text",
		`{}{}`:                  "trailing text",
		"{}\x00":                "trailing text",
		`[]`:                    "got an array, want a JSON object",
		`null`:                  "got null",
		"5 \x1b[2J":             "got 5, want",
		`"a` + "\u202e" + `"`:   `got "a\u202e", want`,
		`{"a":1,"a":1}`:         "duplicate key a",
		`{"a":1,"\u0061":1}`:    "duplicate key a",
		`{"a":[{"b":1,"b":2}]}`: "duplicate key b",
		`{"a":{"b":{},"b":{}}}`: "duplicate key b",
		nested(MaxDepth + 1):    "nested deeper than 64",
		nested(3_000_000):       "nested deeper",
	} {
		_, err := Parse([]byte(text))
		checkError(t, err, words)
	}
}

func checkError(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted, want %q", words)
		return
	}
	if !strings.Contains(err.Error(), words) || len(err.Error()) > 500 {
		t.Errorf("got %q, want %q in it", err, words)
	}
	for _, c := range []byte(err.Error()) {
		if c < ' ' || c >= 0x7f {
			t.Errorf("byte 0x%02x in %q", c, err)
			return
		}
	}
}

func TestValues(t *testing.T) {
	o, err := Parse([]byte(`{"int":64,"whole":64.0,"exp":1e3,"half":2.5,"big":1e30,"neg":-1,"text":"64","esc":"a\u0041\ud83d\ude00",
		"t":true,"f":false,"null":null,"INT":1,"o":{"in":{"x":3}},"list":["a","\u0062"],"nums":[0,9223372036854775807],"mixed":[1,"a"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"int": 64, "whole": 64, "exp": 1000, "neg": -1, "INT": 1} {
		if got, err := o.Int(key, -1, 1000); got != want || err != nil {
			t.Errorf("%s: %d, %v", key, got, err)
		}
	}
	_, err = o.Int("int", 1, 63)
	checkError(t, err, "key int: got 64, want a whole number from 1 to 63")
	for _, key := range []string{"half", "big", "text", "t", "null", "o", "list"} {
		_, err := o.Int(key, -1000, 1000)
		checkError(t, err, "key "+key+": got ")
	}
	_, err = o.Int("Int", 1, 63)
	checkError(t, err, "key Int: missing")
	if f, err := o.Float("half", 0, 3); f != 2.5 || err != nil {
		t.Errorf("%g, %v", f, err)
	}
	_, err = o.Float("half", 0, 2)
	checkError(t, err, "key half: got 2.5, want a number from 0 to 2")
	if v, err := o.Bool("t"); !v || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := o.Bool("f"); v || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	_, err = o.Bool("int")
	checkError(t, err, "key int: got 64, want true or false")
	if s, err := o.String("esc"); s != "aA😀" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	_, err = o.String("null")
	checkError(t, err, "key null: got null, want a string")
	in, err := o.Object("o")
	if err != nil {
		t.Fatal(err)
	}
	if in, err = in.Object("in"); err != nil {
		t.Fatal(err)
	}
	_, err = in.Int("x", 0, 2)
	checkError(t, err, "key o.in.x: got 3")
	if v, err := o.Strings("list", 2); strings.Join(v, "") != "ab" || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	_, err = o.Strings("list", 1)
	checkError(t, err, "key list: too many elements, want at most 1")
	_, err = o.Strings("mixed", 9)
	checkError(t, err, "key mixed: got 1 in it")
	if v, err := o.Naturals("nums", 2); len(v) != 2 || v[1] != 1<<63-1 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	_, err = o.Naturals("mixed", 2)
	checkError(t, err, `key mixed: got "a" in it`)
	if o.Set("null") || !o.Null("null") || !o.Has("null") || o.Has("none") || o.Null("none") || o.Raw("none") != nil {
		t.Error("null and absent are mixed up")
	}
}

// FuzzParse: what Parse accepts encoding/json accepts too, with the same members.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,-2.5e+3,{"b":null}],"\ud83d\ude00":"\n\u00e9é"}`, `{"a":{"a":true},"b":false}`, ` {"":""} `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := Parse(data)
		if err != nil {
			checkError(t, err, "")
			return
		}
		var theirs map[string]json.RawMessage
		if err := json.Unmarshal(data, &theirs); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if len(theirs) != len(o.Keys()) {
			t.Fatalf("%d members, encoding/json has %d", len(o.Keys()), len(theirs))
		}
		for _, key := range o.Keys() {
			if string(theirs[key]) != string(o.Raw(key)) {
				t.Fatalf("%q is %s, encoding/json says %s", key, o.Raw(key), theirs[key])
			}
		}
	})
}
