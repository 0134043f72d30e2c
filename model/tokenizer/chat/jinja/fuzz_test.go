package jinja

import (
	"strings"
	"testing"
)

func seed(f *testing.F) {
	for _, c := range readCases(f).Cases {
		f.Add(c.Source)
	}
	for _, source := range hostile {
		if len(source) < 1000 {
			f.Add(source)
		}
	}
}

// FuzzParse compiles anything without a panic.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, source string) {
		if _, err := Compile(source); err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
	})
}

// FuzzRender renders anything without a panic and within the bounds.
func FuzzRender(f *testing.F) {
	seed(f)
	vars := variables(f, readCases(f).Variables)
	vars["blank"] = Blank{}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile(source)
		if err != nil {
			return
		}
		m := newMachine()
		m.work /= 64 // fuzzing makes it that much slower
		text, err := p.render(m, vars)
		if err != nil && strings.Contains(err.Error(), "internal error") {
			t.Fatal(err)
		}
		if len(text) > MaxOutput || m.work < 0 || m.memory < 0 {
			t.Fatalf("%d bytes, with %d units of work and %d bytes left", len(text), m.work, m.memory)
		}
	})
}
