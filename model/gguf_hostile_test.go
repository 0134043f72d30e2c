package model_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"armor/kernels"
	"armor/model"
	"armor/model/checkpoint"
	"armor/model/tokenizer"
)

// loadGGUF loads a file in memory all the way, and uses its tokenizer.
func loadGGUF(data []byte, o model.Options) error {
	ck, err := checkpoint.ReadGGUF("m.gguf", func(string) (checkpoint.Source, error) { return checkpoint.FromBytes(data), nil })
	if err != nil {
		return err
	}
	b, err := kernels.NewCPU(kernels.Options{ISA: kernels.BestISA(), Threads: 1})
	if err != nil {
		return err
	}
	m, err := model.LoadFrom(ck, b, o)
	if err == nil {
		ids := m.Tokenizer.Encode("Hello <s>[INST] 12345 字😀\u0301 </s>\n \xff", tokenizer.Options{AddSpecial: true, ParseSpecial: true})
		m.Tokenizer.Decode(append(ids, 0, 1, -1, math.MaxInt32), false)
	}
	return errors.Join(err, b.Close(), ck.Close())
}

// hostile loads a file that may be anything and checks what that costs.
func hostile(t *testing.T, what string, data []byte, o model.Options) error {
	t.Helper()
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	err := loadGGUF(data, o)
	goruntime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
		t.Errorf("%s: allocates %d MiB", what, got>>20)
	}
	if err == nil {
		return nil
	}
	text := err.Error()
	control := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	if !strings.HasPrefix(text, "m.gguf: ") || len(text) > 600 || strings.ContainsFunc(text, control) {
		t.Errorf("%s: not a clear line: %q", what, text)
	}
	return err
}

// hostileFiles are sound files to change: SentencePiece with Q8_0, and byte-level
// BPE with BF16 and rope_freqs.
func hostileFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{"tiny-llama2-q8_0.gguf", "tiny-llama3-rope.gguf"} {
		data, err := os.ReadFile(goldenPath(name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = data
	}
	return files
}

// TestHostileGGUF: whatever is changed, a file is refused in one line or loads.
func TestHostileGGUF(t *testing.T) {
	var saved []hostileEntry
	defer func() {
		if dir := os.Getenv("ARMOR_BAD_GGUF"); dir != "" {
			manifest, err := json.Marshal(saved)
			if err = errors.Join(err, os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o644)); err != nil {
				t.Error(err)
			}
		}
	}()
	for name, good := range hostileFiles(t) {
		t.Run(name, func(t *testing.T) {
			h := &hostileCases{t: t, good: good, walk: walkGGUF(good)}
			if err := hostile(t, "unchanged", good, model.Options{}); err != nil {
				t.Fatal(err)
			}
			h.numbers()
			h.values()
			h.cuts()
			h.flips(rand.New(rand.NewPCG(1, 2)))
			saved = append(saved, h.saved...)
			t.Logf("%d cases, of which %d load", h.cases, h.loaded)
			if h.cases < 300 {
				t.Error("too few")
			}
		})
	}
}

type hostileCases struct {
	t             *testing.T
	good          []byte
	walk          *ggufWalk
	cases, loaded int
	saved         []hostileEntry
}

func (h *hostileCases) try(what string, data []byte) error {
	h.t.Helper()
	err := hostile(h.t, what, data, model.Options{})
	h.cases++
	if err == nil {
		h.loaded++
	}
	if dir := os.Getenv("ARMOR_BAD_GGUF"); dir != "" && h.cases%hostileKept == 0 {
		h.save(dir, what, data, err)
	}
	return err
}

// hostileKept: every so many cases are written where a program is to be run on
// them, see .ci/hostile.
const hostileKept = 8

// hostileEntry is one of a manifest as run_bad_models.py reads it.
type hostileEntry struct {
	Name   string   `json:"name"`
	Group  string   `json:"group"`
	Path   string   `json:"path"`
	Broken string   `json:"broken"`
	Expect string   `json:"expect"`
	Error  []string `json:"error"`
}

func (h *hostileCases) save(dir, what string, data []byte, err error) {
	h.t.Helper()
	e := hostileEntry{Name: fmt.Sprintf("%s_%d", strings.ReplaceAll(h.t.Name(), "/", "_"), h.cases), Group: "gguf", Broken: what, Expect: "either", Error: []string{}}
	if err != nil {
		e.Expect = "reject"
	}
	e.Path = e.Name + ".gguf"
	h.saved = append(h.saved, e)
	if err := os.WriteFile(filepath.Join(dir, e.Path), data, 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// numbers puts extremes in place of each number that the structure depends on.
func (h *hostileCases) numbers() {
	le := binary.LittleEndian
	for _, n := range h.walk.numbers {
		old := uint64(le.Uint32(h.good[n.at:]))
		if n.size == 8 {
			old = le.Uint64(h.good[n.at:])
		}
		for _, v := range []uint64{0, 1, old - 1, old + 1, 2 * old, 1 << 31, 1 << 40, math.MaxInt64, 1 << 63, math.MaxUint64} {
			data := slices.Clone(h.good)
			if n.size == 8 {
				le.PutUint64(data[n.at:], v)
			} else {
				le.PutUint32(data[n.at:], uint32(v))
			}
			h.try(fmt.Sprintf("%s: %d", n.what, v), data)
		}
	}
}

// values overwrites the beginning of each value.
func (h *hostileCases) values() {
	for key, at := range h.walk.values {
		for _, v := range []uint32{0, 1, 2, 3, 7, 1 << 16, 1 << 30, math.MaxInt32, math.MaxUint32, 0x7fc00000, 0x7f800000, 0xbf800000} {
			data := slices.Clone(h.good)
			binary.LittleEndian.PutUint32(data[at:], v)
			h.try(fmt.Sprintf("%s begins with %#x", key, v), data)
		}
	}
}

// cuts ends the file at the borders of its structure, and elsewhere.
func (h *hostileCases) cuts() {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range len(h.walk.borders) + 50 {
		n := rng.IntN(len(h.good) - 64)
		if i < len(h.walk.borders) {
			n = h.walk.borders[i]
		}
		if h.try(fmt.Sprintf("cut to %d", n), h.good[:n:n]) == nil {
			h.t.Errorf("cut to %d of %d bytes, and loads", n, len(h.good))
		}
	}
}

// flips changes bits, in most cases of what comes before the tensors' data.
func (h *hostileCases) flips(rng *rand.Rand) {
	for i := range 400 {
		end := h.walk.at
		if i%8 == 0 {
			end = len(h.good)
		}
		data := slices.Clone(h.good)
		for range 1 + rng.IntN(3) {
			data[rng.IntN(end)] ^= 1 << rng.IntN(8)
		}
		h.try(fmt.Sprintf("flips %d", i), data)
	}
}

// TestNaNScales: codes are kept with scales that are not numbers, and fail only
// where values must be rounded.
func TestNaNScales(t *testing.T) {
	good := hostileFiles(t)["tiny-llama2-q8_0.gguf"]
	walk := walkGGUF(good)
	data := slices.Clone(good)
	var down ggufTensor
	for _, tensor := range walk.tensors {
		if tensor.name == "blk.1.ffn_down.weight" {
			down = tensor
		}
	}
	binary.LittleEndian.PutUint16(data[down.at:], 0x7e00)
	for _, weights := range []string{"auto", "bf16", "f32"} {
		if err := hostile(t, weights, data, model.Options{Weights: weights}); err != nil {
			t.Errorf("%s: %v", weights, err)
		}
	}
	// The same bytes as Q4_1, which is rounded to 8 bits.
	for _, n := range walk.numbers {
		if n.what == down.name+" type" {
			binary.LittleEndian.PutUint32(data[n.at:], 3)
		}
	}
	err := hostile(t, "Q4_1", data, model.Options{})
	if err == nil || !strings.Contains(err.Error(), "cannot be quantized") {
		t.Errorf("Q4_1: got %v", err)
	}
}

func FuzzGGUF(f *testing.F) {
	for _, data := range hostileFiles(f) {
		f.Add(data)
		f.Add(data[:1000])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 4<<20 {
			_ = hostile(t, "fuzz", data, model.Options{})
		}
	})
}
