package checkpoint

import (
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"armor/kernels"
	"armor/model/internal/gguftest"

	"github.com/x448/float16"
)

// ggufBlocks is an entry of testdata/gguf_blocks.json.gz.
type ggufBlocks struct {
	Type           uint32
	Blocks, Values []byte
}

func readBlocks(t testing.TB) map[string]ggufBlocks {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "gguf_blocks.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all map[string]ggufBlocks
	z, err := gzip.NewReader(f)
	if err == nil {
		err = json.NewDecoder(z).Decode(&all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (b *ggufBlocks) values() []float32 {
	v := make([]float32, len(b.Values)/4)
	decodeF32(v, b.Values)
	return v
}

// sameFloats compares bits. Which NaN it is depends on the processor.
func sameFloats(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] != got[i] && want[i] != want[i]) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// TestDecodeGGUF: all types are as gguf-py reads them, bit for bit.
func TestDecodeGGUF(t *testing.T) {
	all := readBlocks(t)
	if len(all) != 13 {
		t.Errorf("%d types", len(all))
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			want := b.values()
			const rows = 4
			cols := len(want) / rows
			c := mustOpenGGUF(t, &ggufFile{Keys: []ggufKey{architecture("x")}, Tensors: []ggufEntry{
				gguftest.NewTensor("before", []uint64{3}, 0, make([]byte, 12)),
				gguftest.NewTensor("w", []uint64{uint64(cols), 2, 2}, b.Type, b.Blocks)}})
			w, err := c.Need("w", 2, 2, cols)
			if err != nil {
				t.Fatal(err)
			}
			if w.DType.String() != name || w.Rows() != rows || w.Cols() != cols || w.Bytes() != int64(len(b.Blocks)) {
				t.Fatalf("%v, %d x %d, %d bytes", w.DType, w.Rows(), w.Cols(), w.Bytes())
			}
			got := make([]float32, len(want))
			if err := w.ReadRows(got, 0, rows); err != nil {
				t.Fatal(err)
			}
			sameFloats(t, "all", got, want)
			if err := w.ReadRows(got, 1, 2); err != nil {
				t.Fatal(err)
			}
			sameFloats(t, "rows 1 and 2", got[:2*cols], want[cols:3*cols])
			wantError(t, w.ReadRows(got, 3, 2), "model/m.gguf: tensor w: rows: got 2 from 3 on")
			checkCodes(t, w, want)
		})
	}
}

// checkCodes: codes times scales are the values, in the types that have them.
func checkCodes(t *testing.T, w *Tensor, want []float32) {
	t.Helper()
	q8, q4 := kernels.Quant{Bits: 8, Group: 32}, kernels.Quant{Bits: 4, Group: 32}
	rows, cols := w.Rows(), w.Cols()
	codes, scales := make([]int8, rows*cols), make([]uint16, rows*cols/32)
	switch w.DType {
	case Q40, Q50, Q80:
	default:
		if w.Fits(q8) || w.Fits(q4) || w.Fits(kernels.Quant{}) {
			t.Error("fits")
		}
		wantError(t, w.ReadCodes(codes, scales, 0, rows), "codes: got "+w.DType.String()+", want Q4_0, Q5_0 or Q8_0")
		return
	}
	if !w.Fits(q8) || w.Fits(q4) != (w.DType == Q40) || w.Fits(kernels.Quant{Bits: 8, Group: 64}) {
		t.Error("does not fit")
	}
	if err := w.ReadCodes(codes, scales, 0, rows); err != nil {
		t.Fatal(err)
	}
	for r := range rows {
		one, scale := make([]int8, cols), make([]uint16, cols/32)
		if err := w.ReadCodes(one, scale, r, 1); err != nil {
			t.Fatal(err)
		}
		got := make([]float32, cols)
		for i, c := range one {
			got[i] = float32(c) * float16.Frombits(scale[i/32]).Float32()
			if c != codes[r*cols+i] || w.DType == Q40 && (c < -8 || c > 7) {
				t.Fatalf("row %d, code %d: got %d, with all rows %d", r, i, c, codes[r*cols+i])
			}
		}
		sameFloats(t, "codes times scales", got, want[r*cols:][:cols])
	}
	wantError(t, w.ReadCodes(codes, scales, 1, rows), "rows: got")
	wantError(t, w.ReadCodes(codes, scales[1:], 0, rows), "destination: got")
	wantError(t, w.ReadCodes(codes[1:], scales, 0, rows), "destination: got")
}

// TestHeads: rows of q and k are read in Hugging Face's order, as floats and as
// codes, and so are the elements of their biases; nothing else is reordered.
func TestHeads(t *testing.T) {
	const heads, kv, dim, cols = 3, 1, 8, 32
	values := func(rows int) []byte { // F32, element = row of the file
		var b []byte
		for i := range rows * cols {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(i/cols)))
		}
		return b
	}
	codes := func(rows int) []byte { // Q8_0 of scale 1
		var b []byte
		for r := range rows {
			b = append(b, 0x00, 0x3c)
			for range cols {
				b = append(b, byte(r))
			}
		}
		return b
	}
	vector := func(n int) []byte { // F16, element = its number
		var b []byte
		for i := range n {
			b = binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(float32(i)).Bits())
		}
		return b
	}
	tensors := []ggufEntry{
		gguftest.NewTensor("blk.0.attn_q.weight", []uint64{cols, heads * dim}, 0, values(heads*dim)),
		gguftest.NewTensor("blk.0.attn_k.weight", []uint64{cols, kv * dim}, 8, codes(kv*dim)),
		gguftest.NewTensor("blk.0.attn_v.weight", []uint64{cols, kv * dim}, 8, codes(kv*dim)),
		gguftest.NewTensor("blk.1.attn_q.weight", []uint64{cols, heads * dim}, 8, codes(heads*dim)),
		gguftest.NewTensor("blk.0.attn_q.bias", []uint64{heads * dim}, 1, vector(heads*dim)),
		gguftest.NewTensor("blk.0.attn_k.bias", []uint64{kv * dim}, 1, vector(kv*dim)),
		gguftest.NewTensor("blk.0.attn_q_norm.weight", []uint64{dim}, 1, vector(dim)),
	}
	for _, arch := range []string{"llama", "qwen2"} {
		c := mustOpenGGUF(t, &ggufFile{Keys: []ggufKey{architecture(arch), {"llama.attention.head_count", uint32(heads)},
			{"llama.attention.head_count_kv", uint32(kv)}}, Tensors: tensors})
		for name, permuted := range map[string]bool{
			"model.layers.0.self_attn.q_proj.weight": true, "model.layers.1.self_attn.q_proj.weight": true,
			"model.layers.0.self_attn.k_proj.weight": true, "model.layers.0.self_attn.v_proj.weight": false,
			"model.layers.0.self_attn.q_proj.bias": true, "model.layers.0.self_attn.k_proj.bias": true,
			"model.layers.0.self_attn.q_norm.weight": false,
		} {
			w, ok := c.Tensor(name)
			if !ok {
				t.Fatalf("no %s", name)
			}
			n := w.Rows() * w.Cols()
			if len(w.Shape) == 2 {
				n = w.Rows()
			}
			stored := make([]float32, n)
			for i := range stored { // as llama.cpp's converter moves rows
				stored[i] = float32(i)
				if head, r := i/dim, i%dim; permuted && arch == "llama" {
					stored[i] = float32(head*dim + r%(dim/2)*2 + r/(dim/2))
				}
			}
			checkStored(t, name, w, stored)
		}
	}
}

func checkStored(t *testing.T, name string, w *Tensor, stored []float32) {
	t.Helper()
	if len(w.Shape) == 1 {
		got := make([]float32, w.Cols())
		if err := w.ReadRows(got, 0, 1); err != nil {
			t.Fatal(err)
		}
		sameFloats(t, name, got, stored)
		return
	}
	cols := w.Cols()
	for row := range stored {
		for n := range len(stored) - row + 1 {
			got := make([]float32, n*cols)
			if err := w.ReadRows(got, row, n); err != nil {
				t.Fatal(err)
			}
			codes, scales := make([]int8, n*cols), make([]uint16, n*cols/32)
			if w.DType == Q80 {
				if err := w.ReadCodes(codes, scales, row, n); err != nil {
					t.Fatal(err)
				}
			}
			for i := range n * cols {
				if want := stored[row+i/cols]; got[i] != want || w.DType == Q80 && (float32(codes[i]) != want || scales[i/32] != 0x3c00) {
					t.Fatalf("%s: rows %d on, element %d: got %v, code %d, want %v", name, row, i, got[i], codes[i], want)
				}
			}
			w.Release(row, n)
		}
	}
}

func BenchmarkDecodeGGUF(b *testing.B) {
	for name, blocks := range readBlocks(b) {
		b.Run(name, func(b *testing.B) {
			d, err := ggufDType(blocks.Type)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]float32, len(blocks.Values)/4)
			b.SetBytes(int64(len(blocks.Values)))
			for b.Loop() {
				decode(dst, d, blocks.Blocks)
			}
		})
	}
}
