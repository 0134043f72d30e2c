package jinja

import (
	"errors"
	goruntime "runtime"
	"strings"
	"testing"
	"time"
)

// hostile are templates that would run away without bounds.
var hostile = map[string]string{
	"recursion":              `{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}`,
	"mutual recursion":       `{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}`,
	"recursion by namespace": `{% set ns = namespace() %}{% macro m() %}{{ ns.f() }}{% endmacro %}{% set ns.f = m %}{{ ns.f() }}`,
	"recursion by argument":  `{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}`,
	"recursion in default":   `{% macro m(x=m()) %}{% endmacro %}{{ m() }}`,
	"branching recursion":    `{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(90) }}`,
	"doubling ~":             `{% set ns = namespace(s='a') %}{% for i in range(90) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}`,
	"doubling +":             `{% set ns = namespace(s='a') %}{% for i in range(90) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
	"doubling lists":         `{% set ns = namespace(s=[1]) %}{% for i in range(90) %}{% set ns.s = ns.s + ns.s %}{% endfor %}`,
	"doubling join":          `{% set ns = namespace(s='aa') %}{% for i in range(90) %}{% set ns.s = ns.s | join(ns.s) %}{% endfor %}`,
	"doubling replace":       `{% set ns = namespace(s='aa') %}{% for i in range(90) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}`,
	"replace of nothing":     `{% set s = 'a' * 1000000 %}{{ s.replace('', s) | length }}`,
	"doubling a set block":   `{% set x = 'a' %}{% for i in range(90) %}{% set x %}{{ x }}{{ x }}{% endset %}{% set ns = namespace(x=x) %}{% for j in range(90) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}{% endfor %}`,
	"repeat text":            `{{ 'a' * 1000000000000 }}`,
	"repeat list":            `{{ ([1] * 1000000000000) | length }}`,
	"repeat list of lists":   `{% set a = [1] * 1000 %}{% set b = [a] * 1000 %}{% set c = [b] * 1000 %}{{ c }}`,
	"repeat negative":        `{{ 'a' * -5 }}{{ [1] * -5 }}{{ raise_exception('fine') }}`,
	"shared lists":           `{% set ns = namespace(l=[]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}`,
	"shared lists as JSON":   `{% set ns = namespace(l=[]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}`,
	"shared lists compared":  `{% set ns = namespace(l=[], k=[]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.k = [ns.k, ns.k] %}{% endfor %}{{ ns.l == ns.k }}`,
	"deep list":              `{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}`,
	"deep list compared":     `{% set ns = namespace(l=[], k=[]) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% set ns.k = [ns.k] %}{% endfor %}{{ ns.l == ns.k }}`,
	"cycle":                  `{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.l = [ns, ns] %}{{ ns }}`,
	"retained lists":         `{% set ns = namespace(l=[]) %}` + loops(`{% set ns.l = [ns.l, 1] %}`),
	"retained macros":        `{% set ns = namespace(l=[]) %}` + loops(`{% macro m() %}{% endmacro %}{% set ns.l = [ns.l, m] %}`),
	"retained loops":         `{% set ns = namespace(l=[]) %}` + loops(`{% for x in [1] %}{% set ns.l = [ns.l, loop] %}{% endfor %}`),
	"retained methods":       `{% set ns = namespace(l=[]) %}` + loops(`{% set ns.l = [ns.l, 'a'.strip] %}`),
	"retained dicts":         `{% set ns = namespace(l=[]) %}` + loops(`{% set ns.l = {'a': ns.l} %}`),
	"retained texts":         `{% set ns = namespace(l=[]) %}{% set s = 'a' * 1000 %}` + loops(`{% set ns.l = [ns.l, s ~ loop.index] %}`),
	"nested loops":           loops(``),
	"nested loops of text":   `{% set s = 'a' * 1000000 %}{% for a in s %}{% for b in s %}{% endfor %}{% endfor %}`,
	"loop with output":       loops(`aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`),
	"loop filter":            `{% for a in range(100000) %}{% for b in range(100000) if false %}{% endfor %}{% endfor %}`,
	"loop of searches":       `{% set s = 'a' * 1000000 %}` + loops(`{% if 'b' in s %}{% endif %}`),
	"loop of splits":         `{% set s = 'a ' * 500000 %}` + loops(`{% set x = s.split() %}`),
	"loop of strips":         `{% set s = ' ' * 1000000 %}` + loops(`{% set x = s.strip() %}`),
	"loop of strip sets":     `{% set s = 'a' * 1000000 %}{% set x = s.strip('b' * 900000 + 'a') %}`,
	"loop of upper":          `{% set s = 'a' * 1000000 %}` + loops(`{% set x = s.upper() %}`),
	"loop of lengths":        `{% set s = 'a' * 1000000 %}` + loops(`{% set x = s | length %}`),
	"loop of indices":        `{% set s = 'a' * 1000000 %}` + loops(`{% set x = s[5] %}`),
	"loop of slices":         `{% set s = [1] * 1000000 %}` + loops(`{% set x = s[::-1] %}`),
	"loop of sorts":          `{% set s = range(100000) | list %}` + loops(`{% set x = s | sort %}`),
	"loop of maps":           `{% set s = range(100000) | list %}` + loops(`{% set x = s | map('string') | list %}`),
	"loop of titles":         `{% set s = 'ab ' * 300000 %}` + loops(`{% set x = s.title() %}`),
	"loop of quotes":         `{% set s = ["\n" * 100000] %}` + loops(`{% set x = s | string %}`),
	"loop of numbers":        `{% set s = '9' * 1000000 %}` + loops(`{% set x = s | int %}`),
	"loop of prefixes":       `{% set s = 'a' * 1000000 %}` + loops(`{% set x = s.startswith(s) %}`),
	"loop of equal texts":    `{% set s = 'a' * 500000 %}{% set t = s ~ 'b' %}{% set u = s ~ 'b' %}` + loops(`{% set x = t == u %}`),
	"many attributes":        `{% set p = 'a.' * 400000 %}` + loops(`{% set x = [1] | map(attribute=p) | list %}`),
	"loop of long keys":      `{% set s = 'a' * 1000000 %}{% set d = {'a': 1, s: 2} %}` + loops(`{% set x = d[s] %}`),
	"loop of long keys in":   `{% set s = 'a' * 1000000 %}{% set d = {'a': 1, s: 2} %}` + loops(`{% set x = s in d %}`),
	"loop of long keys made": `{% set s = 'a' * 1000000 %}` + loops(`{% set x = {s: 1} %}`),
	"loop of long keys got":  `{% set s = 'a' * 1000000 %}{% set d = {'a': 1, s: 2} %}` + loops(`{% set x = d.get(s) %}`),
	"loop of dates":          `{% set s = '%Y' * 400000 %}` + loops(`{% set x = strftime_now(s) %}`),
	"loop of missing":        loops(`{% set x = a.b %}{% set x = nope %}`),
	"loop of tests":          loops(`{% if a is eq a and a is number %}{% endif %}`),
	"loop of methods":        loops(`{% set x = 'a'.upper().strip() %}`),
	"loop of prints":         loops(`{{ true }}{{ 1.5 }}`),
	"many affixes":           `{% set s = 'a' * 1000000 %}{% set x = s.startswith((s ~ '',) * 100000) %}`,
	"map of long name":       `{% set s = 'a' * 1000000 %}{% set x = range(100000) | map(s ~ '') | list %}`,
	"map of long path":       `{% set s = '1' * 1000000 %}{% set x = range(100000) | map(attribute=s) | list %}` + loops(``),
	"select of long test":    `{% set s = 'a' * 1000000 %}{% set x = range(100000) | select(s ~ '') | list %}`,
	"long name":              `{{ ` + strings.Repeat("a", 500000) + ` }}`,
	"huge range":             `{% for i in range(1000000000000) %}{% endfor %}`,
	"range of extremes":      `{{ range(-9223372036854775807, 9223372036854775807) }}`,
	"range of rare extremes": `{% for i in range(-9223372036854775807, 9223372036854775807, 9223372036854775807) %}{% endfor %}{{ raise_exception('fine') }}`,
	"huge indent":            `{{ [1] | tojson(indent=1000000000) }}`,
	"deep indent":            `{{ [[[[[[[[1]]]]]]]] | tojson(indent=1000000) }}`,
	"indent filter":          `{{ ('a\n' * 100000) | indent(1000000) }}`,
	"huge precision":         `{{ '%.1000000000f' | format(1.0) }}`,
	"huge multiplication":    `{{ 9223372036854775807 * 9223372036854775807 }}`,
	"least integer":          `{{ (-9223372036854775807 - 1) // -1 }}`,
	"long output":            `{% for i in range(100000) %}aaaaaaaaaaaaaaaa{% endfor %}`,
	"many variables":         strings.Repeat(`{% set abcdefghij = 1 %}`, 40000) + `{{ raise_exception('fine') }}`,
	"long source of text":    strings.Repeat("a", 1_000_000) + `{{ raise_exception('fine') }}`,
	"long source of tags":    strings.Repeat("{{a}}", 200_000) + `{{ raise_exception('fine') }}`,
	"long source of braces":  strings.Repeat("{", 1_000_000),
	"long source of ifs":     strings.Repeat("{%if a%}", 130_000),
	"long source of elifs":   "{%if a%}" + strings.Repeat("{%elif a%}", 100_000) + "{%endif%}",
	"long source of comment": "{#" + strings.Repeat("#", 1_000_000),
	"long source of spaces":  strings.Repeat(" \n", 500_000) + "{%- if",
	"long source of opens":   strings.Repeat("{%- ", 250_000),
	"long string":            "{{ '" + strings.Repeat(`\`, 999_990) + "' }}{{ raise_exception('fine') }}",
	"too long a source":      strings.Repeat("a", MaxSource+1),
	"deep parentheses":       "{{ " + strings.Repeat("(", 100_000) + "1" + strings.Repeat(")", 100_000) + " }}",
	"deep brackets":          "{{ " + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + " }}",
	"deep braces":            "{{ " + strings.Repeat("{1:", 300_000) + " }}",
	"deep not":               "{{ " + strings.Repeat("not ", 200_000) + "1 }}",
	"deep minus":             "{{ " + strings.Repeat("-", 900_000) + "1 }}",
	"deep else":              "{{ " + strings.Repeat("1 if 0 else ", 80_000) + "1 }}",
	"deep targets":           "{% for " + strings.Repeat("(", 300_000) + "a",
	"long attributes":        "{{ a" + strings.Repeat(".a", 400_000) + " }}",
	"long calls":             "{{ a" + strings.Repeat("()", 400_000) + " }}",
	"long filters":           "{{ 'a'" + strings.Repeat("|e", 400_000) + " }}",
	"long sums":              "{{ 1" + strings.Repeat("+1", 400_000) + " }}",
	"long tests":             "{{ 1" + strings.Repeat(" is a()", 130_000) + " }}",
	"long and":               "{{ 1" + strings.Repeat(" and 1", 130_000) + " }}{{ raise_exception('fine') }}",
	"long concatenation":     "{{ 1" + strings.Repeat("~1", 400_000) + " }}{{ raise_exception('fine') }}",
	"long comparison":        "{{ 1" + strings.Repeat("<1", 400_000) + " }}{{ raise_exception('fine') }}",
	"escape to files":        `{{ ''.__class__.__mro__ }}`,
	"import":                 `{% import 'os' as os %}`,
	"not UTF-8":              "\xff{{ 1 }}",
}

// loops runs body 10^5 times 10^5 times.
func loops(body string) string {
	return `{% for i in range(100000) %}{% for j in range(100000) %}` + body + `{% endfor %}{% endfor %}`
}

// TestHostile lets every template end in an error, within its budgets and in little
// memory. That a budget pays for what is done is TestPaid's.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some 15 s, for the templates that use up their budget")
	}
	for name, source := range hostile {
		var before, compiled goruntime.MemStats
		goruntime.GC()
		goruntime.ReadMemStats(&before)
		peak := watchHeap(t)
		p, err := Compile(source)
		goruntime.ReadMemStats(&compiled)
		// A tree has some hundred bytes for a byte of source, an error some more.
		if got, most := compiled.TotalAlloc-before.TotalAlloc, uint64(1<<20+1000*len(source)); got > most {
			t.Errorf("%s: compiling %d bytes allocates %d, want at most %d", name, len(source), got, most)
		}
		m := newMachine()
		if err == nil {
			var text string
			text, err = p.render(m, map[string]Value{"a": int64(1)})
			if err == nil {
				t.Errorf("%s: no error but %.60q", name, text)
			}
		}
		heap := peak() - min(before.HeapAlloc, peak())
		if heap > 256<<20 || m.work < 0 || m.memory < 0 {
			t.Errorf("%s: %d MiB, with %d units of work and %d bytes left", name, heap>>20, m.work, m.memory)
		}
		if err != nil && strings.Contains(err.Error(), "internal error") {
			t.Errorf("%s: %v", name, err)
		}
		if heap > 100<<20 {
			t.Logf("%s: %d MiB: %.100v", name, heap>>20, err)
		}
	}
}

// TestPaid: whatever looks at all of a text, or all elements of a list, takes a unit
// of work at least for each. So no loop does more than the budget allows.
func TestPaid(t *testing.T) {
	for _, source := range []string{
		`'b' in s`, `s.split()`, `s.split('b')`, `s.rsplit('b')`, `s.splitlines()`, `spaces.strip()`, `spaces.lstrip()`, `spaces.rstrip()`, `'a'.strip(s ~ 'b')`,
		`s.upper()`, `s.lower()`, `s.title()`, `s.capitalize()`, `s | upper`, `s | title`, `s | length`, `s[5]`, `s[::-1]`, `s[1:]`,
		`s.startswith(t)`, `s.endswith(t)`, `s.removeprefix(t)`, `s.removesuffix(t)`, `s == t`, `s < t`, `s in d`, `d[s]`, `d.get(s)`, `{s: 1}`, `strftime_now(s)`,
		`s ~ ''`, `s + t`, `s * 2`, `s | string`, `[s] | string`, `s | tojson`, `s | replace('a', 'c')`, `s.replace('', 'c')`, `s.find('b')`, `s.count('b')`, `s | trim`,
		`s | e`, `s | indent`, `s | list`, `s | first`, `s | last`, `s | reverse`, `s | default(1)  ~ 'a'`, `'%s' | format(s)`, `s is eq t`, `s is in d`,
		`l | sort`, `l | unique | list`, `l | map('string') | list`, `l | map(attribute='a') | list`, `l | select('odd') | list`, `l | rejectattr('a') | list`,
		`l | join`, `','.join(words)`, `l | reverse | list`, `l[::-1]`, `l + l`, `l * 2`, `l == k`, `l | tojson`, `l | string`, `7 in l`, `range(n) | list`,
	} {
		p, err := Compile("{% set x = " + source + " %}")
		if err != nil {
			t.Fatal(err)
		}
		spent := func(n int) int {
			text := strings.Repeat("a ", n/2)
			var numbers, more, words []Value
			for i := range n {
				numbers, more, words = append(numbers, int64(-1-i)), append(more, int64(-1-i)), append(words, "")
			}
			d := NewDict()
			d.Set(strings.Clone(text), int64(1))
			m := newMachine()
			_, err := p.render(m, map[string]Value{
				"s": text, "t": strings.Clone(text), "spaces": strings.Repeat(" ", n), "d": d, "n": int64(n),
				"l": &Seq{items: numbers}, "k": &Seq{items: more}, "words": &Seq{items: words},
			})
			if err != nil {
				t.Logf("%s: %v", source, err)
			}
			return maxWork - m.work
		}
		const n = 10_000
		if more := spent(2*n) - spent(n); more < n {
			t.Errorf("%s: %d more of a text or list cost %d units", source, n, more)
		}
	}
}

// watchHeap samples the size of the heap until the returned function gives the
// largest.
func watchHeap(t *testing.T) func() uint64 {
	stop, result := make(chan bool), make(chan uint64)
	go func() {
		var most uint64
		for {
			var s goruntime.MemStats
			goruntime.ReadMemStats(&s)
			most = max(most, s.HeapAlloc)
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	var most uint64
	return func() uint64 {
		if most == 0 {
			stop <- true
			most = <-result
		}
		return most
	}
}

// TestHostileInput gives a harmless template harmful input.
func TestHostileInput(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	if _, err := DecodeJSON([]byte(deep)); !errors.Is(err, ErrLimit) {
		t.Errorf("deep JSON: %v", err)
	}
	p, err := Compile("{{ x }}{{ x | tojson }}")
	if err != nil {
		t.Fatal(err)
	}
	wide := map[string]Value{"x": strings.Repeat("a", MaxOutput)}
	if _, err := p.Render(wide, time.Time{}); !errors.Is(err, ErrLimit) {
		t.Errorf("long text: %v", err)
	}
	for _, text := range []string{"[1,]", "[1 2]", `{"a" 1}`, "", "[", "1 2", `{"a":1}}`, "nul", `{1:2}`, "[}"} {
		if v, err := DecodeJSON([]byte(text)); err == nil {
			t.Errorf("%q decodes to %v", text, v)
		}
	}
}
