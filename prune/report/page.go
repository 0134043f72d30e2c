package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"size": size, "number": number, "seconds": duration, "deref": func(v *float64) float64 { return *v },
}).Parse(pageText))

// view is what the page shows, ready to print.
type view struct {
	*Report
	Title  string
	Tiles  []tile
	Bars   []bar
	Facts  []factList
	Curves *curves
	Heat   []*heatMap
	Ranked []ranked // sensitivities, the largest a weight first
	Hidden []ranked // those beyond maxRanked
	Dense  int      // modules kept dense
	KL     bool     // modules have one
	Recipe string
}

type tile struct{ Name, Value, Note string }

// bar is a stacked bar; widths are percent of the longer one.
type bar struct {
	Name  string
	Bytes int64
	Parts []part
}

type part struct {
	Name, Class string
	Bytes       int64
	Width       float64
}

type factList struct {
	Title string
	Facts []fact
}

type fact struct{ Name, Value string }

type ranked struct {
	Sensitivity
	Width float64
}

// maxRanked is how many sensitivities are drawn before the rest is folded away.
const maxRanked = 28

// HTML writes the page: no scripts, nothing loaded from anywhere.
func (r *Report) HTML(w io.Writer) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("armor_report.html: %w", err)
	}
	v := &view{Report: r, Curves: lossCurves(r.Modules), Bars: r.bars(), Facts: r.facts()}
	if v.Title = r.Source.Model; v.Title == "" {
		v.Title = "Pruned model"
	}
	if len(r.Recipe) > 0 {
		var b bytes.Buffer
		if err := json.Indent(&b, r.Recipe, "", "  "); err != nil {
			return fmt.Errorf("armor_report.html: recipe: %w", err)
		}
		v.Recipe = b.String()
	}
	var losses, kls []value
	known := map[string]bool{}
	for _, m := range r.Modules {
		losses = append(losses, value{name: m.Name, v: m.LossEnd})
		if m.KL != nil {
			v.KL, known[m.Name] = true, true
			kls = append(kls, value{name: m.Name, v: *m.KL})
		}
	}
	most := 0.0
	for _, s := range r.Sensitivity {
		most = max(most, s.KLPerWeight)
		if s.KeptDense {
			v.Dense++
			losses = append(losses, value{name: s.Name, dense: true})
		}
		if !known[s.Name] {
			kls = append(kls, value{name: s.Name, v: s.KL})
		}
	}
	for _, s := range r.Sensitivity {
		k := ranked{Sensitivity: s}
		if most > 0 {
			k.Width = round(100 * max(s.KLPerWeight, 0) / most)
		}
		v.Ranked = append(v.Ranked, k)
	}
	slices.SortStableFunc(v.Ranked, func(a, b ranked) int {
		switch {
		case a.KLPerWeight > b.KLPerWeight:
			return -1
		case a.KLPerWeight < b.KLPerWeight:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	if len(v.Ranked) > maxRanked {
		v.Ranked, v.Hidden = v.Ranked[:maxRanked], v.Ranked[maxRanked:]
	}
	for _, h := range []*heatMap{newHeatMap("Loss at the end", losses), newHeatMap("KL of each module alone", kls)} {
		if h != nil && h.Width > 1 {
			v.Heat = append(v.Heat, h)
		}
	}
	v.Tiles = r.tiles()
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		return fmt.Errorf("armor_report.html: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (r *Report) tiles() []tile {
	tiles := []tile{
		{"Method", r.methods(), fmt.Sprintf("%d modules", len(r.Modules))},
		{"Size", size(r.BytesDense) + " → " + size(r.BytesPacked), share(r.BytesPacked, r.BytesDense) + " of dense"},
	}
	if len(r.Modules) > 0 {
		var start, end []float64
		for _, m := range r.Modules {
			start, end = append(start, m.LossStart), append(end, m.LossRounded)
		}
		tiles = append(tiles, tile{"Median loss", number(middle(start)) + " → " + number(middle(end)), "start to stored, relative"})
	}
	if e := r.Eval; e != nil && e.PPLPacked > 0 {
		t := tile{"Perplexity", number(e.PPLPacked), e.File}
		if e.PPLDense > 0 {
			t.Value = number(e.PPLDense) + " → " + number(e.PPLPacked)
			t.Note = fmt.Sprintf("× %.3f, on %s", e.PPLPacked/e.PPLDense, e.File)
		}
		tiles = append(tiles, t)
	}
	note := ""
	if r.Machine.Threads > 0 {
		note = fmt.Sprintf("%d threads", r.Machine.Threads)
	}
	if r.Seconds > 0 {
		tiles = append(tiles, tile{"Time", duration(r.Seconds), note})
	}
	return tiles
}

// methods lists what the modules were pruned with.
func (r *Report) methods() string {
	var names []string
	for _, m := range r.Modules {
		name := m.Method
		if m.Solver != "" {
			name += " (" + m.Solver + ")"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 3 {
		names = append(names[:3], "…")
	}
	return orDash(strings.Join(names, ", "))
}

// bars are the sizes of the source and of what was written, to one scale.
func (r *Report) bars() []bar {
	var dense int64
	var m Module
	for i := range r.Modules {
		dense += r.Modules[i].BytesDense
		m.BytesValues += r.Modules[i].BytesValues
		m.BytesIndex += r.Modules[i].BytesIndex
		m.BytesWrappers += r.Modules[i].BytesWrappers
		m.BytesScales += r.Modules[i].BytesScales
	}
	bars := []bar{
		{"Dense", r.BytesDense, []part{
			{"Modules to prune", "weights", dense, 0},
			{"Rest", "rest", r.BytesDense - dense, 0},
		}},
		{"Packed", r.BytesPacked, []part{
			{"Values", "values", m.BytesValues, 0},
			{"Index", "index", m.BytesIndex, 0},
			{"Wrappers A, B", "wrappers", m.BytesWrappers, 0},
			{"Scales", "scales", m.BytesScales, 0},
			{"Rest (dense)", "rest", r.BytesPacked - m.BytesPacked(), 0},
		}},
	}
	longest := float64(max(r.BytesDense, r.BytesPacked, 1))
	for _, b := range bars {
		for i := range b.Parts {
			b.Parts[i].Width = round(100 * float64(b.Parts[i].Bytes) / longest)
		}
	}
	return bars
}

// facts are the lists at the end of the page; empty values are left out.
func (r *Report) facts() []factList {
	var lists []factList
	add := func(title string, facts ...fact) {
		facts = slices.DeleteFunc(facts, func(f fact) bool { return f.Value == "" || f.Value == "0" || f.Value == size(0) })
		if len(facts) > 0 {
			lists = append(lists, factList{title, facts})
		}
	}
	s, m := r.Source, r.Machine
	add("Source", fact{"Model", s.Model}, fact{"Revision", s.Revision}, fact{"Architecture", s.Architecture},
		fact{"Parameters", count(s.Parameters)}, fact{"Type", s.DType}, fact{"SHA-256", s.SHA256}, fact{"armor", r.ArmorVersion})
	add("Machine", fact{"CPU", m.CPU}, fact{"Kernels", m.ISA}, fact{"Threads", strconv.Itoa(m.Threads)},
		fact{"Memory", size(m.Memory)}, fact{"Peak memory", size(m.Peak)}, fact{"System", strings.Trim(m.OS+"/"+m.Arch, "/")}, fact{"Go", m.Go})
	if c := r.Calibration; c != nil {
		add("Calibration", fact{"File", c.File}, fact{"SHA-256", c.SHA256}, fact{"File size", size(c.FileBytes)},
			fact{"Documents", fmt.Sprintf("%s used of %s", count(int64(c.DocumentsUsed)), count(int64(c.Documents)))},
			fact{"Text used", size(c.Bytes)}, fact{"Windows", fmt.Sprintf("%d × %d tokens, seed %d", c.Samples, c.SeqLen, c.Seed)})
	}
	if e := r.Eval; e != nil {
		facts := []fact{{"File", e.File}, {"SHA-256", e.SHA256}, {"Mode", e.Mode},
			{"Tokens scored", count(int64(e.Tokens))}, {"Windows", strconv.Itoa(e.Windows)}, {"Tokens of a window", strconv.Itoa(e.Window)},
			{"Perplexity dense", number(e.PPLDense)}, {"Perplexity packed", number(e.PPLPacked)}, {"Standard error", number(e.PPLError)},
			{"Perplexity NoWag-P", number(e.BaselinePPL)}}
		if e.KL != nil {
			facts = append(facts, fact{"KL", number(*e.KL)})
		}
		if e.Top1 > 0 {
			facts = append(facts, fact{"Top-1 agreement", fmt.Sprintf("%.1f %%", 100*e.Top1)})
		}
		add("Evaluation", facts...)
	}
	if p := r.Prediction; p != nil {
		facts := []fact{{"Sum of the modules' KL", number(p.KLSum)}, {"Predicted perplexity ratio", number(p.PredictedPPLRatio)}}
		if p.MeasuredKL != nil {
			facts = append(facts, fact{"Measured KL", number(*p.MeasuredKL)})
		}
		if p.MeasuredPPLRatio != nil {
			facts = append(facts, fact{"Measured perplexity ratio", number(*p.MeasuredPPLRatio)})
		}
		add("Prediction", facts...)
	}
	return lists
}

func orDash(s string) string {
	if s == "" {
		return "—"
	}
	return s
}

// size keeps number and unit in one line.
func size(n int64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if shift := 40 - 10*i; n >= 1<<shift {
			f := float64(n) / float64(int64(1)<<shift)
			if f < 10 {
				return fmt.Sprintf("%.2f\u00a0%s", f, unit)
			}
			return fmt.Sprintf("%.1f\u00a0%s", f, unit)
		}
	}
	return fmt.Sprintf("%d\u00a0B", n)
}

func share(part, whole int64) string {
	if whole == 0 {
		return "—"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}

// number has three or four significant digits, without an exponent where it is
// between 0.001 and 100,000.
func number(x float64) string {
	a := math.Abs(x)
	switch {
	case x == 0:
		return "0"
	case a >= 1e5 || a < 1e-3:
		s := strconv.FormatFloat(x, 'e', 2, 64)
		mantissa, exponent, _ := strings.Cut(s, "e")
		mantissa = strings.TrimSuffix(strings.TrimRight(mantissa, "0"), ".")
		sign := strings.TrimPrefix(exponent[:1], "+")
		return mantissa + "e" + strings.TrimPrefix(sign, "+") + strings.TrimLeft(exponent[1:], "0")
	case a >= 100:
		return trim(strconv.FormatFloat(x, 'f', 1, 64))
	case a >= 1:
		return trim(strconv.FormatFloat(x, 'f', 3, 64))
	}
	digits := 3 - int(math.Floor(math.Log10(a))) - 1
	return trim(strconv.FormatFloat(x, 'f', digits, 64))
}

func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }

// count puts thin spaces between the thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func duration(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("%.2f s", seconds)
	}
	if seconds < 120 || seconds > 1e9 {
		return fmt.Sprintf("%.0f s", seconds)
	}
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}
