package prune

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"armor/model/checkpoint"
	"armor/prune/report"
)

// TestReport: what the report says of sizes, checksums and predictions is what is
// on disk and what was measured.
func TestReport(t *testing.T) {
	text := text(t)
	j := newJob(filepath.Join(t.TempDir(), "out"), text)
	j.Recipe.Budget = Budget{Sparse: 0.6, Tokens: 64}
	j.Version = "test"
	j.Evaluate = func(_ context.Context, source, folder string, _ Compute) (*Evaluation, error) {
		if _, err := os.Stat(filepath.Join(folder, "config.json")); err != nil || source != j.Source {
			t.Errorf("evaluated %s against %s: %v", folder, source, err)
		}
		return &Evaluation{File: "x/y.txt", Windows: 3, Window: 64, Dense: 10, Pruned: 11, Ratio: 1.1, KL: 0.09}, nil
	}
	if err := j.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(j.Target, "armor_report.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := report.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	ck, err := checkpoint.OpenFolder(j.Target)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	total, of := int64(0), map[string]int64{}
	for _, name := range ck.Names() {
		x, _ := ck.Tensor(name)
		total += x.Bytes()
		of[name[:strings.LastIndex(name, ".")]] += x.Bytes()
	}
	if r.BytesPacked != total {
		t.Errorf("bytes_packed: got %d, on disk are %d", r.BytesPacked, total)
	}
	dense := 0
	for _, s := range r.Sensitivity {
		if s.KeptDense {
			dense++
		}
	}
	if len(r.Modules)+dense != 14 || dense == 0 || len(r.Modules) == 0 {
		t.Errorf("%d modules are pruned and %d dense, want 14 in all and some of both", len(r.Modules), dense)
	}
	sum := 0.0
	for i := range r.Modules {
		m := &r.Modules[i]
		if got := m.BytesPacked(); got != of[m.Name] {
			t.Errorf("%s: got %d bytes, on disk are %d", m.Name, got, of[m.Name])
		}
		if m.LossRounded > m.LossStart || m.KL == nil {
			t.Errorf("%s: loss %v from %v, KL %v", m.Name, m.LossRounded, m.LossStart, m.KL)
		} else {
			sum += max(0, *m.KL)
		}
	}
	if p := r.Prediction; p == nil || math.Abs(p.KLSum-sum) > 1e-9 || p.MeasuredPPLRatio == nil || *p.MeasuredPPLRatio != 1.1 {
		t.Errorf("prediction: got %+v, want the sum %v and 1.1 measured", p, sum)
	}
	for name, want := range r.Shards {
		data, err := os.ReadFile(filepath.Join(j.Target, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s: sha256 is not the report's", name)
		}
	}
	page, err := os.ReadFile(filepath.Join(j.Target, "armor_report.html"))
	if err != nil || !strings.Contains(string(page), "model.layers.1.mlp.") {
		t.Errorf("the page does not name the modules (%v)", err)
	}
}
