package model_test

import (
	"math"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/tokenizer"
)

// TestBuiltin: the embedded model is whole, and expects a story more than noise.
func TestBuiltin(t *testing.T) {
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Compute: kernels.BF16})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, err := model.LoadBuiltin(b, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.TemplateError != nil {
		t.Error(m.TemplateError)
	}
	e := engineOf(t, m, kernels.Options{Compute: kernels.BF16})
	story := "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
	noise := "Park the in outside play to loved she. Lily named girl little a was there, time a upon once."
	good, bad := e.bitsPerByte(story), e.bitsPerByte(noise)
	t.Logf("bits per byte: %.3f, the words in reverse %.3f", good, bad)
	if !(good < 1 && bad > 2*good) {
		t.Errorf("bits per byte of a story %.3f, of its words in reverse %.3f", good, bad)
	}
}

// bitsPerByte is the model's surprise at a text.
func (e *engine) bitsPerByte(text string) float64 {
	ids := e.m.Tokenizer.Encode(text, tokenizer.Options{AddSpecial: true})
	n := len(ids)
	logits := e.run(&kernels.Batch{Tokens: ids, Seqs: []kernels.Span{{Rows: n, Pages: e.pages(n)}}, Out: all(n)})
	nll := 0.0
	for i, id := range ids[1:] {
		nll += logSumExp(logits[i]) - float64(logits[i][id])
	}
	return nll / math.Ln2 / float64(len(text))
}
