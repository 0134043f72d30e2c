package model_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model"
)

func goldenPath(name string) string { return filepath.Join("..", "testdata", "golden", name) }

// goldenGGUF is the cases of the small GGUF files by file.
func goldenGGUF(t *testing.T) map[string][]goldenCase {
	t.Helper()
	files := map[string][]goldenCase{}
	maps.Copy(files, goldenCases(t, "tiny-llama2-logits.json"))
	files["tiny-llama3-rope.gguf"] = goldenCases(t, "tiny_logits.json")["tiny-llama3-rope"]
	return files
}

// TestGoldenGGUF: permuted heads, rope_freqs.weight, matrices kept as int8.
func TestGoldenGGUF(t *testing.T) {
	for name, cases := range goldenGGUF(t) {
		if len(cases) < 3 {
			t.Fatalf("%s: cases missing", name)
		}
		for _, isa := range isas(t) {
			for _, weights := range []string{"auto", "f32"} {
				t.Run(fmt.Sprintf("%s/%v/%s", name, isa, weights), func(t *testing.T) {
					e := newEngineWith(t, goldenPath(name), kernels.Options{ISA: isa, Threads: 2}, model.Options{Weights: weights})
					worst := 0.0
					for _, c := range cases {
						worst = max(worst, e.golden(&c, 1e-4))
					}
					t.Logf("%s: largest difference of a logit: %.3g", e.m.Storage, worst)
				})
			}
		}
	}
}

// TestStorageGGUF: what is kept, in how much memory.
func TestStorageGGUF(t *testing.T) {
	for _, c := range []struct {
		file, weights, want string
		compute             kernels.DType
	}{
		{"tiny-llama2.gguf", "", "F16 as f32", kernels.F32},
		{"tiny-llama2.gguf", "auto", "F16 as bf16", kernels.BF16},
		{"tiny-llama2-q8_0.gguf", "auto", "Q8_0 as int8 in groups of 32, exactly", kernels.BF16},
		{"tiny-llama2-q8_0.gguf", "bf16", "Q8_0 as bf16", kernels.F32},
		{"tiny-llama2-q8_0.gguf", "f32", "Q8_0 as f32", kernels.BF16},
		{"tiny-llama3-rope.gguf", "", "BF16 as bf16", kernels.F32},
	} {
		b, err := kernels.NewCPU(kernels.Options{Compute: c.compute, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		m, err := model.Load(goldenPath(c.file), b, model.Options{Weights: c.weights})
		if err != nil {
			t.Fatal(err)
		}
		if m.Storage != c.want {
			t.Errorf("%s, weights %q: %s, want %s", c.file, c.weights, m.Storage, c.want)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := model.Load(goldenPath("tiny-llama2.gguf"), nil, model.Options{Weights: "int3"})
	if err == nil || !strings.Contains(err.Error(), `weights: got "int3", want auto, bf16, f32, int8 or int4`) {
		t.Errorf("got %v", err)
	}
}
