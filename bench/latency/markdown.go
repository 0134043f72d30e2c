package latency

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// column is one test of a table.
type column struct {
	test  Test
	batch int
	title string
}

func (r *Report) tests() []column {
	var all []column
	if r.Settings.Prompt > 0 {
		all = append(all, column{Prefill, 1, fmt.Sprintf("prefill %d", r.Settings.Prompt)})
	}
	if r.Settings.Generate > 0 {
		for _, b := range r.Settings.Batch {
			all = append(all, column{Decode, b, fmt.Sprintf("decode × %d", b)})
		}
	}
	return all
}

func (r *Report) markdown() string {
	var b strings.Builder
	s := &r.Settings
	fmt.Fprintf(&b, "## %s\n%s, %d processors, %s. ", r.Title, r.Machine.CPU, r.Machine.Processors, r.Machine.System)
	fmt.Fprintf(&b, "Medians of %s, the models in turns, ± one standard deviation; keys and values in %s.\n\n", plural(s.Repetitions, "repetition"), s.KV)
	b.WriteString(r.modelTable())
	for _, t := range s.Threads {
		b.WriteString(r.speedTable(t))
		b.WriteString(r.ratioTable(t))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	if len(r.Notes) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(r.legend())
	return b.String()
}

func (r *Report) modelTable() string {
	rows := [][]string{{"model", "weights in memory", "read for a token", "of that the head", "kernel", "kept as"}}
	for i := range r.Models {
		m := &r.Models[i]
		kernel := m.Kernel
		if m.HeadKernel != kernel {
			kernel += ", head " + m.HeadKernel
		}
		rows = append(rows, []string{m.Name, megabytes(m.WeightBytes), megabytes(m.TokenBytes), megabytes(m.HeadBytes), kernel, m.Storage})
	}
	return table(rows, 1, 2, 3)
}

// speedTable has tokens a second and, of decodes, the share of streaming.
func (r *Report) speedTable(threads int) string {
	head := []string{"tokens/s"}
	cells := map[string][]string{}
	streaming := []float64{}
	backend := ""
	for _, c := range r.tests() {
		head = append(head, c.title)
	}
	for i := range r.Rows {
		x := &r.Rows[i]
		if x.Threads != threads {
			continue
		}
		backend = x.Backend
		text := fmt.Sprintf("%s ± %s", digits(x.Speed), digits(x.Deviation))
		if x.StreamingShare > 0 {
			text += fmt.Sprintf(" (%.0f %%)", 100*x.StreamingShare)
			streaming = append(streaming, x.Streaming)
		}
		cells[x.Model] = append(cells[x.Model], text)
	}
	rows := [][]string{head}
	for i := range r.Models {
		rows = append(rows, append([]string{r.Models[i].Name}, cells[r.Models[i].Name]...))
	}
	title := fmt.Sprintf("### %s\n", backend)
	if len(streaming) > 0 {
		title = fmt.Sprintf("### %s; memory streams at %.1f to %.1f GB/s\n", backend, slices.Min(streaming)/1e9, slices.Max(streaming)/1e9)
	}
	return title + table(rows, numbered(len(head))...)
}

// ratioTable has what each model is faster than those it is compared with, and
// what bytes allow.
func (r *Report) ratioTable(threads int) string {
	var head []string
	for _, c := range r.tests() {
		head = append(head, c.title)
	}
	rows := [][]string{append([]string{"times faster"}, head...)}
	seen := map[string]bool{}
	for i := range r.Ratios {
		q := &r.Ratios[i]
		name := q.Model + " : " + q.Against
		if q.Threads != threads || seen[name] {
			continue
		}
		seen[name] = true
		row := []string{name}
		for _, c := range r.tests() {
			v := r.ratio(q.Model, q.Against, threads, c.test, c.batch)
			text := fmt.Sprintf("%.2f", v.Ratio)
			if v.ByteBound > 0 {
				text += fmt.Sprintf(" of %.2f (%.0f %%)", v.ByteBound, 100*v.BoundShare)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	if len(rows) == 1 {
		return ""
	}
	return table(rows, numbered(len(rows[0]))...)
}

func (r *Report) legend() string {
	var parts []string
	if r.Settings.Prompt > 0 {
		parts = append(parts, fmt.Sprintf("Prefill reads %d tokens of one sequence.", r.Settings.Prompt))
	}
	if r.Settings.Generate > 0 {
		parts = append(parts, fmt.Sprintf("Decode × b generates %d tokens for each of b sequences at once, after %d; the speed is of all together, without sampling.", r.Settings.Generate, r.Settings.Prompt))
		if slices.ContainsFunc(r.Rows, func(x Row) bool { return x.StreamingShare > 0 }) {
			parts = append(parts, "In brackets: the bytes that a step needs of weights, head, keys and values, each read once, a second, as a share of what a plain read of memory gives.")
		}
	}
	if len(r.Ratios) > 0 {
		parts = append(parts, "Times faster is a ratio of medians")
		if r.Settings.Generate > 0 {
			parts[len(parts)-1] += ", for decodes beside the ratio of those bytes, which bounds it where memory is the limit, and the share of it that is reached"
		}
		parts[len(parts)-1] += "."
	}
	return strings.Join(parts, " ") + "\n"
}

// table aligns cells; right are the columns of numbers.
func table(rows [][]string, right ...int) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if slices.Contains(right, i) {
				cell = pad + cell
			} else {
				cell += pad
			}
			fmt.Fprintf(&b, "| %s ", cell)
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i := range row {
			rule := strings.Repeat("-", width[i])
			if slices.Contains(right, i) {
				rule = rule[1:] + ":"
			}
			fmt.Fprintf(&b, "| %s ", rule)
		}
		b.WriteString("|\n")
	}
	b.WriteByte('\n')
	return b.String()
}

// numbered are the columns 1 … n-1.
func numbered(n int) []int {
	var all []int
	for i := 1; i < n; i++ {
		all = append(all, i)
	}
	return all
}

// digits has about three that count.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func megabytes(n int64) string { return digits(float64(n)/1e6) + " MB" }
