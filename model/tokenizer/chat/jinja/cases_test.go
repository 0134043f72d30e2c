package jinja

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// variables decodes an object into the variables of a rendering.
func variables(t testing.TB, data []byte) map[string]Value {
	t.Helper()
	v, err := DecodeJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]Value{}
	for _, key := range v.(*Dict).Keys() {
		vars[key.(string)], _ = v.(*Dict).Get(key.(string))
	}
	return vars
}

type caseFile struct {
	Now       time.Time
	Variables json.RawMessage
	Cases     []struct{ Name, Source, Text, Error string }
}

func readCases(t testing.TB) (file caseFile) {
	t.Helper()
	data, err := os.ReadFile("testdata/cases.json")
	if err == nil {
		err = json.Unmarshal(data, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCases compares with what Jinja2 makes of the same templates, or with its
// refusal.
func TestCases(t *testing.T) {
	file := readCases(t)
	vars := variables(t, file.Variables)
	for _, c := range file.Cases {
		got, err := "", error(nil)
		p, err := Compile(c.Source)
		if err == nil {
			got, err = p.Render(vars, file.Now)
		}
		switch {
		case (err != nil) != (c.Error != ""):
			t.Errorf("%s: %v, Jinja2 says %q and %q\ngot %q", c.Name, err, c.Error, c.Text, got)
		case got != c.Text:
			t.Errorf("%s\ngot  %q\nwant %q", c.Name, got, c.Text)
		}
	}
	if len(file.Cases) < 450 {
		t.Errorf("only %d cases", len(file.Cases))
	}
}
