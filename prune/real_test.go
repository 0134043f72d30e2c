package prune

import (
	"os"
	"path/filepath"
	"testing"

	"armor/kernels"
)

// TestRealModel prunes two layers of a real model: every module's loss falls to
// less than two thirds of NoWag-P's.
func TestRealModel(t *testing.T) {
	models := os.Getenv("ARMOR_MODELS")
	if models == "" {
		t.Skip("ARMOR_MODELS is not set")
	}
	for _, name := range []string{"smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"} {
		j := &Job{Source: filepath.Join(models, name), Target: filepath.Join(t.TempDir(), "out"), Calib: text(t),
			Recipe: DefaultRecipe(), Compute: Compute{ISA: kernels.BestISA()}, End: 2}
		j.Recipe.Block, j.Recipe.Sweeps, j.Recipe.Samples, j.Recipe.SeqLen = 64, 10, 4, 256
		modules := 0
		j.Progress = func(e Event) {
			if e.Phase != "prune" {
				return
			}
			if modules++; e.Loss > e.Start*2/3 {
				t.Errorf("%s: %s: loss %.4f, NoWag-P's is %.4f", name, e.Module, e.Loss, e.Start)
			}
		}
		if err := j.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if modules != 14 {
			t.Errorf("%s: %d modules, want 14", name, modules)
		}
	}
}
