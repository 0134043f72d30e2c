package runtime_test

import (
	"fmt"
	"testing"

	"armor/runtime"
	"armor/runtime/sample"
)

// TestStepAllocs: a step of decoding, sampling with it, allocates nothing.
func TestStepAllocs(t *testing.T) {
	m := load(t, "tiny-llama")
	for _, kv := range []runtime.KV{runtime.KVF32, runtime.KVBF16, runtime.KVInt8} {
		for name, params := range map[string]sample.Params{
			"greedy":  {},
			"sampled": {Temperature: 1, TopK: 40, TopP: 0.9, Seed: 1},
		} {
			t.Run(fmt.Sprintf("%v/%s", kv, name), func(t *testing.T) {
				e := newEngine(t, m, runtime.Options{Seqs: 2, KV: kv})
				for range 2 {
					if _, err := e.Add(runtime.Request{Prompt: []int32{1, 2, 3}, Sampling: params, Logprobs: -1}); err != nil {
						t.Fatal(err)
					}
				}
				var err error
				step := func() {
					if _, e := e.Step(); e != nil {
						err = e
					}
				}
				for range 20 {
					step() // scratch grows
				}
				if n := testing.AllocsPerRun(40, step); n != 0 || err != nil {
					t.Errorf("%v allocations a step, %v", n, err)
				}
			})
		}
	}
}
