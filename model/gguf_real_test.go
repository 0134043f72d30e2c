package model_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"armor/kernels"
	"armor/model"
	"armor/model/checkpoint"
	"armor/runtime/sample"
)

// rounded is a GGUF file whose F32 tensors (norms and biases) are rounded to
// bfloat16, as those of the folders are that get_models.py makes of it.
type rounded struct {
	checkpoint.Source
	f32 []ggufTensor
}

func openRounded(t *testing.T, path string) *checkpoint.Checkpoint {
	t.Helper()
	src, err := checkpoint.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 16<<20)
	if _, err := src.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	r := &rounded{Source: src}
	for _, tensor := range walkGGUF(head).tensors {
		if tensor.kind == 0 {
			r.f32 = append(r.f32, tensor)
		}
	}
	ck, err := checkpoint.ReadGGUF(path, func(string) (checkpoint.Source, error) { return r, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ck.Close() })
	return ck
}

// ReadAt rounds what lies within an F32 tensor; reads begin at whole elements.
func (r *rounded) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.Source.ReadAt(p, off)
	for _, t := range r.f32 {
		if off < t.at || off >= t.at+4*t.n {
			continue
		}
		for i := 0; i+4 <= n; i += 4 {
			b := binary.LittleEndian.Uint32(p[i:])
			binary.LittleEndian.PutUint32(p[i:], (b+0x7fff+b>>16&1)&0xffff0000)
		}
	}
	return n, err
}

// hashes runs the golden prompts and the golden tokens after them, and hashes
// the bits of the logits of every position from the prompt's last on.
func (e *engine) hashes(cases []goldenCase) []uint64 {
	e.t.Helper()
	var sums []uint64
	for _, c := range cases {
		tokens := append(append([]int32{}, c.IDs...), c.Greedy...)
		out := all(len(tokens))[len(c.IDs)-1:]
		logits := e.run(&kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: len(tokens), Pages: e.pages(len(tokens))}}, Out: out})
		for _, row := range logits {
			h := fnv.New64a()
			var b [4]byte
			for _, v := range row {
				binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
				h.Write(b[:])
			}
			sums = append(sums, h.Sum64())
		}
	}
	return sums
}

// TestRealGGUFBits: dequantized to bf16, a file gives the bits of its folder.
func TestRealGGUFBits(t *testing.T) {
	for name, cases := range goldenCases(t, "logits.json") {
		t.Run(name, func(t *testing.T) {
			path := realModel(t, name)
			o := kernels.Options{ISA: kernels.BestISA()}
			want := newEngine(t, path, o).hashes(cases)
			b, err := kernels.NewCPU(o)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			m, err := model.LoadFrom(openRounded(t, path+".gguf"), b, model.Options{Weights: "bf16"})
			if err != nil {
				t.Fatal(err)
			}
			got := engineOf(t, m, o).hashes(cases)
			same := 0
			for i := range want {
				if got[i] == want[i] {
					same++
				}
			}
			t.Logf("%s: the logits of %d of %d positions are the folder's", m.Storage, same, len(want))
			if same != len(want) || len(want) < 100 {
				t.Error("not all of them")
			}
		})
	}
}

// clearMargin is what the margin of a golden token must exceed. Rounding Q4_1 to 8
// bits shifts logits by up to 0.17 here. Activations in int8, as backends that
// compute in bf16 have them, shift single logits of SmolLM2 by up to 1.8.
func clearMargin(storage string, compute kernels.DType) float64 {
	if compute == kernels.BF16 {
		return 0.3
	}
	if strings.Contains(storage, "Q4_1 as int8 in groups of 32, rounded") {
		return 0.2
	}
	return 0.1
}

// TestRealGGUFGreedy: with quantized weights kept as integers the golden tokens
// stay the most likely ones wherever that was clear.
func TestRealGGUFGreedy(t *testing.T) {
	for name, cases := range goldenCases(t, "logits.json") {
		for _, o := range []struct {
			compute kernels.DType
			weights string
		}{{kernels.F32, "auto"}, {kernels.BF16, "auto"}, {kernels.F32, "bf16"}} {
			t.Run(fmt.Sprintf("%s/%v/%s", name, o.compute, o.weights), func(t *testing.T) {
				path := realModel(t, name) + ".gguf"
				e := newEngineWith(t, path, kernels.Options{ISA: kernels.BestISA(), Compute: o.compute}, model.Options{Weights: o.weights})
				var differ []string
				steps := 0
				for _, c := range cases {
					tokens := append(append([]int32{}, c.IDs...), c.Greedy[:len(c.Greedy)-1]...)
					out := all(len(tokens))[len(c.IDs)-1:]
					logits := e.run(&kernels.Batch{Tokens: tokens, Seqs: []kernels.Span{{Rows: len(tokens), Pages: e.pages(len(tokens))}}, Out: out})
					for i, want := range c.Greedy {
						steps++
						got := sample.Argmax(logits[i])
						if got == want {
							continue
						}
						differ = append(differ, fmt.Sprintf("%s %d (%.3f)", c.Prompt, i, c.Margin[i]))
						if c.Margin[i] > clearMargin(e.m.Storage, o.compute) {
							t.Errorf("%s, greedy token %d: got %d, want %d (margin %v)", c.Prompt, i, got, want, c.Margin[i])
						}
					}
				}
				if 20*len(differ) > steps {
					t.Errorf("%d of %d tokens differ, more than a twentieth", len(differ), steps)
				}
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				memory := e.m.Decoder.WeightBytes()
				t.Logf("%s: %d of %d tokens differ (margin): %s; weights take %.1f MiB, the file %.1f", e.m.Storage, len(differ),
					steps, strings.Join(differ, ", "), float64(memory)/(1<<20), float64(info.Size())/(1<<20))
			})
		}
	}
}

// TestRealGGUFPython: every row of the real files is what gguf-py makes of it.
func TestRealGGUFPython(t *testing.T) {
	python := os.Getenv("ARMOR_PYTHON")
	if python == "" {
		t.Skip("set ARMOR_PYTHON to a Python with gguf and numpy to compare with gguf-py")
	}
	for name := range goldenCases(t, "logits.json") {
		t.Run(name, func(t *testing.T) {
			path := realModel(t, name) + ".gguf"
			want := pythonDigests(t, python, path)
			ck, err := checkpoint.OpenGGUF(path)
			if err != nil {
				t.Fatal(err)
			}
			defer ck.Close()
			if len(want) != len(ck.Names()) || len(want) < 100 {
				t.Errorf("%d tensors, want %d", len(ck.Names()), len(want))
			}
			for _, name := range ck.Names() {
				tensor, _ := ck.Tensor(name)
				if got := digest(t, tensor); got != want[name] {
					t.Errorf("%s, %v: digest %s, want %s", name, tensor.DType, got, want[name])
				}
			}
		})
	}
}

// pythonDigests gives the digest of each tensor, as testdata/gguf_digests.py
// computes them, by its Hugging Face name.
func pythonDigests(t *testing.T, python, path string) map[string]string {
	t.Helper()
	out, err := exec.Command(python, filepath.Join("testdata", "gguf_digests.py"), path).Output()
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, sum, _ := strings.Cut(strings.TrimSpace(line), " ")
		digests[name] = sum
	}
	return digests
}

// digest is the SHA-256 of a tensor's elements as little-endian f32.
func digest(t *testing.T, tensor *checkpoint.Tensor) string {
	t.Helper()
	const step = 256
	h := sha256.New()
	rows := make([]float32, step*tensor.Cols())
	for row := 0; row < tensor.Rows(); row += step {
		n := min(step, tensor.Rows()-row)
		if err := tensor.ReadRows(rows, row, n); err != nil {
			t.Fatal(err)
		}
		if err := binary.Write(h, binary.LittleEndian, rows[:n*tensor.Cols()]); err != nil {
			t.Fatal(err)
		}
		tensor.Release(row, n)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
