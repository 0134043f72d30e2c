package latency

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Machine is what the numbers were measured on.
type Machine struct {
	CPU        string `json:"cpu"`
	Processors int    `json:"processors"`
	System     string `json:"system"`
}

func thisMachine() Machine {
	name := cpuid.CPU.BrandName
	if name == "" {
		name = "unknown processor"
	}
	return Machine{name, goruntime.NumCPU(), goruntime.GOOS + "/" + goruntime.GOARCH}
}

// note adds the lines that a reader must not miss.
func (r *Report) note() {
	for _, t := range r.Settings.Threads {
		if t > r.Machine.Processors {
			r.Notes = append(r.Notes, fmt.Sprintf("%d threads are more than the %d processors", t, r.Machine.Processors))
		}
	}
	r.noteLosses()
	r.noteCaches()
}

// noteCaches names the models with a share of streaming above 1.
func (r *Report) noteCaches() {
	var names []string
	for i := range r.Rows {
		if x := &r.Rows[i]; x.StreamingShare > 1 && !slices.Contains(names, x.Model) {
			names = append(names, x.Model)
		}
	}
	if len(names) > 0 {
		r.Notes = append(r.Notes, strings.Join(names, "; ")+": some decodes read faster than memory streams: a part stays in the processor's caches, or other work disturbed the streaming read")
	}
}

// noteLosses says where a model is slower than what it is compared with: one line
// for all batches of a test.
func (r *Report) noteLosses() {
	type pair struct {
		model, against string
		threads        int
		test           Test
	}
	var order []pair
	losses := map[pair][]string{}
	for i := range r.Ratios {
		q := &r.Ratios[i]
		if q.Ratio >= 1 {
			continue
		}
		p := pair{q.Model, q.Against, q.Threads, q.Test}
		if losses[p] == nil {
			order = append(order, p)
		}
		text := fmt.Sprintf("%.2f ×", q.Ratio)
		if q.Test == Decode {
			text += fmt.Sprintf(" with %s (bytes allow %.2f ×)", sequences(q.Batch), q.ByteBound)
		}
		losses[p] = append(losses[p], text)
	}
	for _, p := range order {
		r.Notes = append(r.Notes, fmt.Sprintf("no gain here: %s against %s, %s, %s: %s",
			p.model, p.against, p.test, threads(p.threads), strings.Join(losses[p], ", ")))
	}
}

func threads(n int) string { return plural(n, "thread") }

func sequences(n int) string { return plural(n, "sequence") }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
