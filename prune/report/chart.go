package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Charts are drawn in percent of their frame; the frame stretches, line widths
// and labels, which are HTML, do not.

// tick is a labelled place on an axis, in percent from the left or the top.
type tick struct {
	At    float64
	Label string
}

// curves is the chart of losses over sweeps.
type curves struct {
	Lines  []line
	Median string // SVG path data
	Y, X   []tick
	Text   string // what the chart shows, for those who cannot see it
}

type line struct{ Name, Path string }

// maxPoints of one line; more cannot be told apart.
const maxPoints = 64

// lossCurves draws one line a module and the median over modules, where one
// that has ended stays at its last loss. nil if no module has two losses.
func lossCurves(modules []Module) *curves {
	type series struct {
		name   string
		losses []float64
		sweeps float64
	}
	var all []series
	low, high, last := math.Inf(1), 0.0, 0.0
	for _, m := range modules {
		s := series{m.Name, m.Losses, float64(m.Sweeps)}
		if len(s.losses) < 2 && m.Sweeps > 0 {
			s.losses = []float64{m.LossStart, m.LossEnd}
		}
		if len(s.losses) < 2 {
			continue
		}
		if s.sweeps == 0 {
			s.sweeps = float64(len(s.losses) - 1)
		}
		for _, l := range s.losses {
			if l > 0 {
				low, high = min(low, l), max(high, l)
			}
		}
		last = max(last, s.sweeps)
		all = append(all, s)
	}
	if high == 0 {
		return nil
	}
	bottom, top := math.Log10(low), math.Log10(high)
	pad := max((top-bottom)*0.05, 0.02)
	bottom, top = bottom-pad, top+pad
	y := func(loss float64) float64 {
		return 100 * (top - math.Log10(max(loss, low))) / (top - bottom)
	}
	at := func(s series, sweep float64) float64 { // between two measured ones, straight
		i := min(sweep/s.sweeps, 1) * float64(len(s.losses)-1)
		j := min(int(i), len(s.losses)-2)
		return s.losses[j] + (i-float64(j))*(s.losses[j+1]-s.losses[j])
	}
	c := &curves{}
	for _, s := range all {
		n := min(len(s.losses), maxPoints)
		c.Lines = append(c.Lines, line{s.name, path(n, func(i int) (float64, float64) {
			sweep := s.sweeps * float64(i) / float64(n-1)
			return 100 * sweep / last, y(at(s, sweep))
		})})
	}
	column := make([]float64, len(all)) // [modules]
	median := func(sweep float64) float64 {
		for i, s := range all {
			column[i] = at(s, sweep)
		}
		return middle(column)
	}
	n := int(min(last+1, maxPoints))
	c.Median = path(n, func(i int) (float64, float64) {
		sweep := last * float64(i) / float64(n-1)
		return 100 * sweep / last, y(median(sweep))
	})
	for _, l := range logTicks(low, high) {
		if l.At >= bottom && l.At <= top {
			c.Y = append(c.Y, tick{round(100 * (top - l.At) / (top - bottom)), l.Label})
		}
	}
	for _, share := range []float64{0, 0.25, 0.5, 0.75, 1} {
		if sweep := math.Round(last * share); share == 0 || share == 1 || last >= 4 {
			c.X = append(c.X, tick{round(100 * sweep / last), strconv.Itoa(int(sweep))})
		}
	}
	c.Text = fmt.Sprintf("Relative loss of %d modules over %g sweeps, on a logarithmic axis; the median goes from %s to %s.",
		len(all), last, number(median(0)), number(median(last)))
	return c
}

// logTicks are 1, 2 and 5 times powers of ten from low to high, or the powers
// alone where there are many; At is their logarithm.
func logTicks(low, high float64) []tick {
	var ticks []tick
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	factors := []float64{1, 2, 5}
	if last-first > 3 {
		factors = factors[:1]
	}
	for e, every := first, max(1, math.Ceil((last-first)/8)); e <= last; e += every {
		for _, f := range factors {
			ticks = append(ticks, tick{e + math.Log10(f), number(f * math.Pow(10, e))})
		}
	}
	return ticks
}

func path(n int, point func(i int) (x, y float64)) string {
	var b strings.Builder
	for i := range n {
		x, y := point(i)
		b.WriteByte("ML"[min(i, 1)])
		b.WriteString(strconv.FormatFloat(round(x), 'f', -1, 64))
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(round(y), 'f', -1, 64))
	}
	return b.String()
}

// middle is the median; it reorders v.
func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[(len(v)-1)/2]/2 + v[len(v)/2]/2
}

// heatMap is kinds of module × layers.
type heatMap struct {
	Title     string
	Rows      []heatRow
	Columns   []tick // of the layers, some
	Width     int    // layers
	Low, High string // the ends of the scale
	Dense     bool   // some cells are kept dense
}

type heatRow struct {
	Kind  string
	Cells []heatCell
}

// heatCell is one module. Shade is 0 to 1; -1 for a module kept dense.
type heatCell struct {
	X     int
	Shade float64
	Label string
}

// value of one module in a heat map; dense ones have none.
type value struct {
	name  string
	v     float64
	dense bool
}

// newHeatMap places values by their names; names without a layer are left out.
// The scale is logarithmic where it spans more than a factor of four.
func newHeatMap(title string, values []value) *heatMap {
	h := &heatMap{Title: title}
	low, high := math.Inf(1), 0.0
	layers := map[int]int{}
	kinds := map[string][]value{}
	for _, v := range values {
		layer, kind, ok := place(v.name)
		if !ok {
			continue
		}
		layers[layer] = 0
		kinds[kind] = append(kinds[kind], v)
		if v.v > 0 && !v.dense {
			low, high = min(low, v.v), max(high, v.v)
		}
	}
	if high == 0 {
		return nil
	}
	var order []int
	for layer := range layers {
		order = append(order, layer)
	}
	slices.Sort(order)
	every := 1
	for _, step := range []int{2, 5, 10, 20, 50, 100} {
		if len(order) > 10*every {
			every = step
		}
	}
	for i, layer := range order {
		layers[layer] = i
		if i%every == 0 {
			h.Columns = append(h.Columns, tick{round(100 * (float64(i) + 0.5) / float64(len(order))), strconv.Itoa(layer)})
		}
	}
	h.Width, h.Low, h.High = len(order), number(low), number(high)
	shade := func(v float64) float64 {
		v = min(max(v, low), high)
		switch {
		case high == low:
			return 1
		case high > 4*low:
			return math.Log(v/low) / math.Log(high/low)
		}
		return (v - low) / (high - low)
	}
	var names []string
	for kind := range kinds {
		names = append(names, kind)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(kindOrder(a), kindOrder(b)), cmp.Compare(a, b))
	})
	for _, kind := range names {
		row := heatRow{Kind: kind}
		for _, v := range kinds[kind] {
			layer, _, _ := place(v.name)
			cell := heatCell{X: layers[layer], Shade: -1, Label: v.name + ": kept dense"}
			if v.dense {
				h.Dense = true
			} else {
				cell.Shade = round(0.08 + 0.92*shade(v.v))
				cell.Label = v.name + ": " + number(v.v)
			}
			row.Cells = append(row.Cells, cell)
		}
		h.Rows = append(h.Rows, row)
	}
	return h
}

// place reads model.layers.LAYER.….KIND.
func place(name string) (layer int, kind string, ok bool) {
	parts := strings.Split(name, ".")
	for _, p := range parts[:len(parts)-1] {
		if n, err := strconv.Atoi(p); err == nil && n >= 0 {
			return n, parts[len(parts)-1], true
		}
	}
	return 0, parts[len(parts)-1], false
}

func kindOrder(kind string) int {
	order := []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order)
}

// round keeps two decimals, so that the page stays small.
func round(x float64) float64 { return math.Round(100*x) / 100 }
