package latency

import (
	"fmt"
	"strings"
)

// Bar is what a measurement is held to.
type Bar struct {
	What  string  `json:"what"`
	Model string  `json:"model"`
	Got   float64 `json:"got"`
	Want  float64 `json:"want"` // at least, or with Most at most
	Most  bool    `json:"most,omitempty"`
}

// Met says whether it is reached.
func (b *Bar) Met() bool {
	if b.Most {
		return b.Got <= b.Want
	}
	return b.Got >= b.Want
}

// BarTable is the bars as a table.
func BarTable(bars []Bar) string {
	rows := [][]string{{"what", "model", "measured", "bar", ""}}
	for _, b := range bars {
		sign, verdict := "≥", "met"
		if b.Most {
			sign = "≤"
		}
		if !b.Met() {
			verdict = "missed"
		}
		rows = append(rows, []string{b.What, b.Model, fmt.Sprintf("%.2f", b.Got), fmt.Sprintf("%s %.2f", sign, b.Want), verdict})
	}
	return table(rows, 2, 3)
}

// share is of the bytes' bound, which every decode of one token is held to.
const share = 0.90

// gains are what an ARMOR model must be faster than a dense one of its type: of
// decodes of several sequences in bf16, and of prefills by type.
type gains struct {
	batches  map[int]float64
	prefills map[string]float64
}

var (
	gainsAMX    = gains{map[int]float64{4: 1.45, 16: 1.4, 64: 1.1}, map[string]float64{"bf16": 0.95, "int8": 0.95, "int4": 0.95}}
	gainsVector = gains{map[int]float64{4: 1.4, 16: 1.25, 64: 1.2}, map[string]float64{"f32": 1.25, "bf16": 1.2, "int8": 1.25}}
)

// Bars holds a report of random models to the design's bars for CPUs.
func (r *Report) Bars() []Bar {
	types := map[string]string{}
	armor := map[string]bool{}
	for i := range r.Models {
		types[r.Models[i].Name], armor[r.Models[i].Name] = r.Models[i].Type, r.Models[i].Armor
	}
	var bars []Bar
	for i := range r.Rows {
		if x := &r.Rows[i]; x.Test == Decode && x.Batch == 1 && x.StreamingShare > 0 {
			bars = append(bars, Bar{What: "decode × 1: its bytes against a plain read of memory", Model: x.Model, Got: x.StreamingShare, Want: share})
		}
	}
	for i := range r.Ratios {
		q := &r.Ratios[i]
		kind := types[q.Model]
		if !armor[q.Model] || kind != types[q.Against] {
			continue
		}
		want := gainsVector
		if strings.HasPrefix(r.Rows[0].Backend, "cpu amx") && kind != "f32" {
			want = gainsAMX
		}
		name := q.Model + " : " + q.Against
		switch {
		case q.Test == Prefill && want.prefills[kind] > 0:
			bars = append(bars, Bar{What: "prefill " + fmt.Sprint(r.Settings.Prompt), Model: name, Got: q.Ratio, Want: want.prefills[kind]})
		case q.Test == Decode && q.Batch == 1:
			bars = append(bars, Bar{What: fmt.Sprintf("decode × 1, of the %.2f that bytes allow", q.ByteBound), Model: name, Got: q.BoundShare, Want: share})
		case q.Test == Decode && kind == "bf16" && want.batches[q.Batch] > 0:
			bars = append(bars, Bar{What: fmt.Sprintf("decode × %d", q.Batch), Model: name, Got: q.Ratio, Want: want.batches[q.Batch]})
		}
	}
	return bars
}

// ThreadBars holds a report of two numbers of threads, the processors' and one
// more, to at most 1.3 times the time.
func (r *Report) ThreadBars() []Bar {
	var bars []Bar
	for i := range r.Rows {
		x := &r.Rows[i]
		for j := range r.Rows {
			y := &r.Rows[j]
			if y.Threads == x.Threads+1 && y.Model == x.Model && y.Test == x.Test && y.Batch == x.Batch {
				bars = append(bars, Bar{What: fmt.Sprintf("%s × %d: time with %d threads : with %d", x.Test, x.Batch, y.Threads, x.Threads),
					Model: x.Model, Got: x.Speed / y.Speed, Want: 1.3, Most: true})
			}
		}
	}
	return bars
}
