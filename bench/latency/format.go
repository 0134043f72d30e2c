package latency

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Formats that Write knows.
var Formats = []string{"md", "csv", "json", "jsonl"}

// Write prints the report. "md" is for readers; "json" is all of it; "csv" and
// "jsonl" have one record for each row, compared with the first model that others
// are compared with.
func (r *Report) Write(w io.Writer, format string) error {
	switch format {
	case "md":
		_, err := io.WriteString(w, r.markdown())
		return err
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(r)
	case "jsonl":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, x := range r.records() {
			if err := e.Encode(x); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		return r.csv(w)
	}
	return fmt.Errorf("format: got %q, want one of %s", format, strings.Join(Formats, ", "))
}

// record is a row on its own. Numbers that a test has not are null, in CSV empty.
type record struct {
	CPU             string   `json:"cpu"`
	Title           string   `json:"title"`
	Model           string   `json:"model"`
	Armor           bool     `json:"armor"`
	Kernel          string   `json:"kernel"`
	Threads         int      `json:"threads"`
	Test            Test     `json:"test"`
	Batch           int      `json:"batch"`
	Prompt          int      `json:"prompt"`
	Generate        int      `json:"generate"`
	Repetitions     int      `json:"repetitions"`
	Speed           float64  `json:"tokens_per_second"`
	Mean            float64  `json:"mean"`
	Deviation       float64  `json:"deviation"`
	StepWeightBytes *float64 `json:"step_weight_bytes"`
	StepKVBytes     *float64 `json:"step_kv_bytes"`
	BytesPerSecond  *float64 `json:"bytes_per_second"`
	Streaming       *float64 `json:"streaming"`
	StreamingShare  *float64 `json:"streaming_share"`
	Against         string   `json:"against"`
	Ratio           *float64 `json:"ratio"`
	RatioDeviation  *float64 `json:"ratio_deviation"`
	ByteBound       *float64 `json:"byte_bound"`
	BoundShare      *float64 `json:"bound_share"`
}

// columns are the record's keys, in their order.
var columns = []string{"cpu", "title", "model", "armor", "kernel", "threads", "test", "batch", "prompt", "generate", "repetitions",
	"tokens_per_second", "mean", "deviation", "step_weight_bytes", "step_kv_bytes", "bytes_per_second", "streaming",
	"streaming_share", "against", "ratio", "ratio_deviation", "byte_bound", "bound_share"}

func (r *Report) records() []record {
	some := func(v float64) *float64 {
		if v == 0 {
			return nil
		}
		return &v
	}
	var all []record
	for i := range r.Rows {
		x := &r.Rows[i]
		m := r.model(x.Model)
		c := record{CPU: r.Machine.CPU, Title: r.Title, Model: x.Model, Armor: m.Armor, Kernel: m.Kernel, Threads: x.Threads, Test: x.Test,
			Batch: x.Batch, Prompt: r.Settings.Prompt, Generate: r.Settings.Generate, Repetitions: len(x.Seconds),
			Speed: x.Speed, Mean: x.Mean, Deviation: x.Deviation,
			StepWeightBytes: some(float64(x.WeightBytes)), StepKVBytes: some(float64(x.KVBytes)),
			BytesPerSecond: some(x.BytesPerSecond), Streaming: some(x.Streaming), StreamingShare: some(x.StreamingShare)}
		if q := r.ratio(x.Model, "", x.Threads, x.Test, x.Batch); q != nil {
			c.Against, c.Ratio, c.RatioDeviation = q.Against, &q.Ratio, &q.Deviation
			c.ByteBound, c.BoundShare = some(q.ByteBound), some(q.BoundShare)
		}
		all = append(all, c)
	}
	return all
}

func (r *Report) model(name string) *Model {
	return &r.Models[slices.IndexFunc(r.Models, func(m Model) bool { return m.Name == name })]
}

// ratio finds that of a row to a model, "" for the first.
func (r *Report) ratio(model, against string, threads int, test Test, batch int) *Ratio {
	for i := range r.Ratios {
		q := &r.Ratios[i]
		if q.Model == model && (against == "" || q.Against == against) && q.Threads == threads && q.Test == test && q.Batch == batch {
			return q
		}
	}
	return nil
}

func (r *Report) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for _, x := range r.records() {
		number := func(v float64) string { return strconv.FormatFloat(v, 'g', 10, 64) }
		some := func(v *float64) string {
			if v == nil {
				return ""
			}
			return number(*v)
		}
		if err := out.Write([]string{x.CPU, x.Title, x.Model, strconv.FormatBool(x.Armor), x.Kernel, strconv.Itoa(x.Threads), string(x.Test),
			strconv.Itoa(x.Batch), strconv.Itoa(x.Prompt), strconv.Itoa(x.Generate), strconv.Itoa(x.Repetitions), number(x.Speed),
			number(x.Mean), number(x.Deviation), some(x.StepWeightBytes), some(x.StepKVBytes), some(x.BytesPerSecond), some(x.Streaming),
			some(x.StreamingShare), x.Against, some(x.Ratio), some(x.RatioDeviation), some(x.ByteBound), some(x.BoundShare)}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
