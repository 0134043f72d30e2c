package latency

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/nn"
)

// TestShapes: a shape has as many parameters as the published model.
func TestShapes(t *testing.T) {
	published := map[string]int64{
		"smollm2-135m": 134_515_008, "smollm2-360m": 361_821_120, "smollm2-1.7b": 1_711_376_384,
		"llama-3.2-1b": 1_235_814_400, "llama-3.2-3b": 3_212_749_824, "llama-3.1-8b": 8_030_261_248, "llama-2-7b": 6_738_415_616,
		"qwen2.5-0.5b": 494_032_768, "qwen2.5-1.5b": 1_543_714_304, "qwen2.5-3b": 3_085_938_688, "qwen2.5-7b": 7_615_616_512,
		"qwen3-0.6b": 596_049_920, "qwen3-8b": 8_190_735_360,
	}
	for _, name := range ShapeNames() {
		config, err := ShapeConfig(name)
		if err != nil {
			t.Fatal(err)
		}
		ck, err := RandomModel(name, config, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := int64(0)
		for _, n := range ck.Names() {
			x, _ := ck.Tensor(n)
			got += int64(x.Rows()) * int64(x.Cols())
		}
		if got != published[name] {
			t.Errorf("%s: got %d parameters, want %d", name, got, published[name])
		}
	}
	if _, err := ShapeConfig("llama-9"); err == nil {
		t.Error("an unknown shape was accepted")
	}
}

// TestRandomLoads: every family loads dense and pruned, with sizes that are no
// whole tiles and blocks that do not divide all of them.
func TestRandomLoads(t *testing.T) {
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Compute: kernels.BF16, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, family := range []string{"llama", "qwen2", "qwen3"} {
		shapes = append(shapes, named{family + "-test", family, 72, 2, 3, 1, 24, 100, 260, 512, family == "llama"})
		config, err := ShapeConfig(family + "-test")
		shapes = shapes[:len(shapes)-1]
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*Pruning{nil, {}, {Block: 8}, {Block: 64}, {Block: 16, ShareB: true}} {
			t.Run(fmt.Sprint(family, p), func(t *testing.T) {
				ck, err := RandomModel(family, config, p)
				if err != nil {
					t.Fatal(err)
				}
				s, err := model.ShapeOf(ck)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := nn.NewLoader(ck, b, nn.WeightsAuto).Decoder(s.Config, s.Extras); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestRandomReads: the bytes of a file do not depend on how it is read.
func TestRandomReads(t *testing.T) {
	b := builder{prune: &Pruning{Block: 4}}
	s, err := shapeOf("tiny", tinyConfig)
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Vocab = 1
	b.decoder(&s.Config, s.Extras)
	b.linear("half", 5, 44, false, "")
	b.add("odd", "U8", masks, 1, 1, 13)
	b.add("last", "U8", masks, 1, 3, 3)
	f := b.file()
	whole := make([]byte, f.Size())
	if n, err := f.ReadAt(whole, 0); n != len(whole) || err != nil {
		t.Fatalf("got %d of %d bytes, %v", n, len(whole), err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		off := rng.IntN(len(whole) + 1)
		p := make([]byte, rng.IntN(300))
		n, err := f.ReadAt(p, int64(off))
		if want := min(len(p), len(whole)-off); n != want || (err != nil) != (n < len(p)) || !bytes.Equal(p[:n], whole[off:off+n]) {
			t.Fatalf("%d bytes at %d: got %d, %v, want %d like those of the whole", len(p), off, n, err, want)
		}
	}
	if n, err := f.ReadAt(make([]byte, 1), f.Size()+1); n != 0 || err == nil {
		t.Errorf("beyond the end: got %d, %v", n, err)
	}
}
