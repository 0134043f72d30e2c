package jinja

import (
	"sync"
	"testing"
	"time"
)

// TestBlank: a content of none is none to tests, and an empty text where
// Jinja2 would print None or fail.
func TestBlank(t *testing.T) {
	for source, want := range map[string]string{
		"[{{ c }}]":                                       "[]",
		"{{ 'a' + c + 'b' }}{{ c + 'x' }}":                "abx",
		"{{ 'a' ~ c }}":                                   "a",
		"{{ c is none }}{{ c == none }}{{ not c }}":       "TrueTrueTrue",
		"{{ c is string }}{{ c is defined }}":             "FalseTrue",
		"{{ c is none and d.content is none }}":           "True",
		"{{ c | trim }}{{ c.strip() }}{{ c.split('x') }}": "['']",
		"{{ c | length }}{{ 'x' in c }}":                  "0False",
		"{% for p in c %}x{% else %}none{% endfor %}":     "none",
		"{{ d | tojson }}{{ c | tojson }}":                `{"content": null}null`,
		"{{ c or 'other' }}{{ c | default('q', true) }}":  "otherq",
		"{{ [c] }}": "[None]",
	} {
		p, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		d := NewDict()
		d.Set("content", Blank{})
		got, err := p.Render(map[string]Value{"c": Blank{}, "d": d}, time.Time{})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", source, got, err, want)
		}
	}
}

// TestConcurrent renders one program at once on shared variables.
func TestConcurrent(t *testing.T) {
	file := readCases(t)
	vars := variables(t, file.Variables)
	var programs []*Program
	var want []string
	for _, c := range file.Cases {
		if p, err := Compile(c.Source); err == nil && c.Error == "" {
			programs, want = append(programs, p), append(want, c.Text)
		}
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i, p := range programs {
				if got, err := p.Render(vars, file.Now); err != nil || got != want[i] {
					t.Errorf("%q, %v; want %q", got, err, want[i])
				}
			}
		})
	}
	group.Wait()
}
