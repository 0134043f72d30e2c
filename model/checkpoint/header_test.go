package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

const (
	qName = "model.layers.0.self_attn.q_proj.weight"
	qGood = `"` + qName + `":{"dtype":"BF16","shape":[4,8],"data_offsets":[0,64]}`
	kGood = `"model.layers.0.self_attn.k_proj.weight":{"dtype":"BF16","shape":[2,8],"data_offsets":[64,96]}`
)

// entryOf is a header whose q_proj has these three values.
func entryOf(dtype, shape, offsets string) string {
	return fmt.Sprintf(`{"%s":{"dtype":%s,"shape":%s,"data_offsets":%s},%s}`, qName, dtype, shape, offsets, kGood)
}

func length(n uint64) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), make([]byte, 96)...)
}

func TestBadFiles(t *testing.T) {
	data := make([]byte, 96)
	good := "{" + qGood + "," + kGood + "}"
	file := withHeader(good, data)
	head := func(header string) []byte { return withHeader(header, data) }
	const bf16, shape, offsets = `"BF16"`, "[4,8]", "[0,64]"
	nested := func(n int) string {
		return `{"__metadata__":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "," + qGood + "," + kGood + "}"
	}
	var bomb strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&bomb, `,"x%d":{"dtype":"BF16","shape":[4,8],"data_offsets":[0,64]}`, i)
	}
	bigEndian := binary.BigEndian.AppendUint64(nil, uint64(len(good)))

	for _, c := range []struct {
		name  string
		file  []byte
		words string
	}{
		// The length prefix.
		{"empty", nil, "too short"},
		{"7 bytes", file[:7], "too short"},
		{"prefix only", file[:8], "too short"},
		{"length 0", length(0), "header length: got 0"},
		{"length 2^64-1", length(math.MaxUint64), "header length"},
		{"length 2^63-1", length(math.MaxInt64), "header length"},
		{"length 100 MB + 1", length(maxHeader + 1), "header length"},
		{"length of the file", length(104), "header length"},
		{"big-endian", append(bigEndian, file[8:]...), "header length"},
		{"one short", append(length(uint64(len(good) - 1))[:8], file[8:]...), "invalid JSON"},
		{"one long", append(length(uint64(len(good) + 1))[:8], file[8:]...), "invalid JSON"},
		{"cut in header", file[:40], "header length"},
		{"LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"},
		{"GGUF", []byte("GGUF\x03\x00\x00\x00\x22\x01\x00\x00"), "GGUF"},
		{"zip", []byte("PK\x03\x04\x00\x00\x08\x08\x00\x00"), "zip"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), "gzip"},

		// The JSON.
		{"not JSON", head("{" + strings.Repeat("garbage ", 8)), "invalid JSON"},
		{"array", head("[]"), "header: got"},
		{"null", head("null"), "header: got"},
		{"no tensors", withHeader("{}", nil), "no tensors"},
		{"leading space", head(" " + good), "header: got"},
		{"byte order mark", head("\ufeff" + good), "header: got"},
		{"UTF-16", head("{\x00\"\x00}\x00"), "invalid JSON"},
		{"invalid UTF-8", head(strings.Replace(good, "model", "\xff\xfe\xfd\xfc", 1)), "invalid UTF-8"},
		{"lone surrogate", head(`{"\ud800":{},` + qGood + "}"), "surrogate"},
		{"trailing text", head(good + "xyz"), "trailing"},
		{"two objects", head(good + good), "trailing"},
		{"trailing comma", head(good[:len(good)-1] + ",}"), "invalid JSON"},
		{"comment", head("{/* x */" + good[1:]), "invalid JSON"},
		{"nested 100,000", head(nested(100_000)), "nested deeper"},
		{"nested 3,000,000", head(nested(3_000_000)), "nested deeper"},
		{"control character", head("{\"a\nb\":1}"), "control character"},

		// The keys.
		{"twice, equal", head(good[:len(good)-1] + "," + qGood + "}"), "duplicate"},
		{"twice, escaped", head(good[:len(good)-1] + "," + strings.Replace(qGood, "model", `\u006dodel`, 1) + "}"), "duplicate"},
		{"metadata twice", head(`{"__metadata__":{},"__metadata__":{},` + good[1:]), "duplicate"},
		{"metadata of numbers", head(`{"__metadata__":{"a":1},` + good[1:]), "__metadata__.a: got 1"},
		{"metadata is text", head(`{"__metadata__":"a",` + good[1:]), "__metadata__"},
		{"entry is a number", head(`{"` + qName + `":5,` + kGood + "}"), "tensor " + qName + ": got 5"},
		{"entry is null", head(`{"` + qName + `":null,` + kGood + "}"), "got null"},
		{"no dtype", head(`{"a":{"shape":[4,8],"data_offsets":[0,64]}}`), "tensor a: key dtype: missing"},
		{"no shape", head(`{"a":{"dtype":"BF16","data_offsets":[0,64]}}`), "key shape: missing"},
		{"no data_offsets", head(`{"a":{"dtype":"BF16","shape":[4,8]}}`), "key data_offsets: missing"},
		{"keys in upper case", head(`{"a":{"DTYPE":"BF16","SHAPE":[4,8],"DATA_OFFSETS":[0,64]}}`), "key dtype: missing"},
		{"keys twice in two cases", head(`{"a":{"dtype":"BF16","DTYPE":"F32","shape":[4,8],"data_offsets":[0,64]}}`), "unknown key DTYPE"},
		{"shape twice", head(`{"a":{"dtype":"BF16","shape":[4,8],"shape":[8,4],"data_offsets":[0,64]}}`), "duplicate key shape"},

		{"dtype F99", head(entryOf(`"F99"`, shape, offsets)), `dtype "F99" is not supported`},
		{"dtype in lower case", head(entryOf(`"bf16"`, shape, offsets)), "dtype"},
		{"dtype is a number", head(entryOf(`7`, shape, offsets)), "dtype"},

		// Shapes.
		{"negative", head(entryOf(bf16, "[-4,8]", offsets)), "shape: got -4"},
		{"both negative", head(entryOf(bf16, "[-4,-8]", offsets)), "shape: got -4"},
		{"float", head(entryOf(bf16, "[2.5,8]", offsets)), "shape: got 2.5"},
		{"whole float", head(entryOf(bf16, "[4.0,8]", offsets)), "shape: got 4.0"},
		{"text", head(entryOf(bf16, `["4",8]`, offsets)), `shape: got "4"`},
		{"shape null", head(entryOf(bf16, "null", offsets)), "shape: got null"},
		{"scalar", head(entryOf(bf16, "[]", offsets)), "got 64 bytes, want 2"},
		{"2^64-2", head(entryOf(bf16, "[2,18446744073709551614]", offsets)), "shape"},
		{"2^63-1", head(entryOf(bf16, "[2,9223372036854775807]", offsets)), "overflows"},
		{"elements wrap", head(entryOf(bf16, "[4294967296,4294967296]", "[0,0]")), "overflows"},
		{"elements wrap to true", head(entryOf(bf16, "[9223372036854775807,32]", offsets)), "overflows"},
		{"bytes wrap", head(entryOf(bf16, "[4,2305843009213693960]", offsets)), "overflows"},
		{"zero hides overflow", head(entryOf(bf16, "[9223372036854775807,9223372036854775807,0]", "[0,0]")), "overflows"},
		{"rank 1000", head(entryOf(bf16, "[4,8"+strings.Repeat(",1", 998)+"]", offsets)), "shape: too many"},
		{"rank 1,000,000", head(entryOf(bf16, "[4,8"+strings.Repeat(",1", 999_998)+"]", offsets)), "shape: too many"},
		{"shape against offsets", head(entryOf(bf16, "[4,9]", offsets)), "got 64 bytes, want 72 for shape [4 9] of BF16"},
		{"zero dimension", head(entryOf(bf16, "[0,8]", offsets)), "got 64 bytes, want 0"},

		// Offsets.
		{"reversed", head(entryOf(bf16, shape, "[64,0]")), "data_offsets"},
		{"negative begin", head(entryOf(bf16, shape, "[-64,0]")), "data_offsets"},
		{"past the end", head(entryOf(bf16, "[4,9]", "[64,136]")), "beyond the 96 bytes"},
		{"wholly past the end", head(entryOf(bf16, shape, "[960,1024]")), "beyond"},
		{"2^64", head(entryOf(bf16, shape, "[18446744073709551552,18446744073709551616]")), "data_offsets"},
		{"2^63-1", head(entryOf(bf16, shape, "[9223372036854775743,9223372036854775807]")), "beyond"},
		{"floats", head(entryOf(bf16, shape, "[0.0,64.0]")), "data_offsets"},
		{"one", head(entryOf(bf16, shape, "[64]")), "data_offsets: got 1"},
		{"three", head(entryOf(bf16, shape, "[0,64,64]")), "data_offsets: too many"},
		{"strings", head(entryOf(bf16, shape, `["0","64"]`)), "data_offsets"},
		{"null", head(entryOf(bf16, shape, "null")), "data_offsets"},
		{"0,0", head(entryOf(bf16, shape, "[0,0]")), "data_offsets: got 0 bytes, want 64"},
		{"overlap", head(entryOf(bf16, "[2,8]", "[64,96]")), "a hole after the header"},
		{"overlap by half", head(entryOf(bf16, "[5,8]", "[0,80]")), "an overlap after " + qName},
		{"all on one range", head("{" + qGood + bomb.String() + "," + kGood + "}"), "an overlap"},
		{"hole", head(entryOf(bf16, "[2,8]", "[0,32]")), "a hole after"},
		{"first not at 0", withHeader(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}}`, make([]byte, 16)), "a hole after the header"},
		{"trailing bytes", withHeader(good, make([]byte, 118)), "trailing bytes"},
		{"last byte cut", file[:len(file)-1], "beyond the 95 bytes"},
		{"no data", file[:8+len(good)], "beyond the 0 bytes"},

		// What comes from the file is escaped and short in messages.
		{"terminal codes", head(`{"\u001b[31m\u0000\n\u202e":{"dtype":"X","shape":[],"data_offsets":[0,0]}}`), `\x1b[31m`},
		{"name of 1 MB", head(`{"` + strings.Repeat("n", 1<<20) + `":{"dtype":"X","shape":[],"data_offsets":[0,0]}}`), `nnn"...`},
		{"dtype of 1 MB", head(entryOf(`"`+strings.Repeat("X", 1<<20)+`"`, shape, offsets)), `XXX"...`},
		{"number of 1 MB", head(entryOf(bf16, "["+strings.Repeat("9", 1<<20)+"]", offsets)), "999..."},
		{"too many tensors", head("{" + manyTensors(maxTensors+1) + "}"), "too many tensors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open("model", single(c.file).open)
			wantError(t, err, c.words)
			if err != nil && !strings.HasPrefix(err.Error(), "model/model.safetensors: ") {
				t.Errorf("no path in %q", err)
			}
		})
	}
}

func manyTensors(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return b.String()[1:]
}

func TestGoodFiles(t *testing.T) {
	data := make([]byte, 96)
	for i := range data {
		data[i] = byte(i)
	}
	for name, header := range map[string]string{
		"plain":        "{" + qGood + "," + kGood + "}",
		"padded":       "{" + qGood + "," + kGood + "}" + strings.Repeat(" ", 4096),
		"odd length":   "{" + qGood + "," + kGood + "} ",
		"shuffled":     "{" + kGood + "," + qGood + "}",
		"metadata":     `{"__metadata__":{"format":"pt","x":"` + strings.Repeat("x", 1<<20) + `"},` + qGood + "," + kGood + "}",
		"empty tensor": `{"e":{"dtype":"F32","shape":[0,7],"data_offsets":[64,64]},` + qGood + "," + kGood + "}",
		"empty first":  `{"e":{"dtype":"F32","shape":[7,0],"data_offsets":[0,0]},` + qGood + "," + kGood + "}",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Open("model", single(withHeader(header, data)).open)
			if err != nil {
				t.Fatal(err)
			}
			q, err := c.Need(qName, 4, 8)
			if err != nil {
				t.Fatal(err)
			}
			row := make([]float32, 8)
			if err := q.ReadRows(row, 3, 1); err != nil {
				t.Fatal(err)
			}
			if got, want := math.Float32bits(row[7]), uint32(0x3f3e0000); got != want {
				t.Errorf("q[3, 7] is %08x, want %08x", got, want)
			}
		})
	}
}

// FuzzHeader: whatever the header says, there is one line of error or tensors
// that can all be read and that the library finds valid too.
func FuzzHeader(f *testing.F) {
	f.Add("{"+qGood+","+kGood+"}", 96)
	f.Add(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 4)
	f.Add(`{"__metadata__":{"format":"pt"},"a":{"dtype":"I64","shape":[0,3],"data_offsets":[0,0]}}`, 0)
	f.Add(entryOf(`"F16"`, "[9223372036854775807,32]", "[0,64]"), 96)
	f.Add(`{"\ud83d\ude00":{"dtype":"F16","shape":[1,1,2],"data_offsets":[0,4]}}`, 4)
	f.Fuzz(func(t *testing.T, header string, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		file := withHeader(header, bytes.Repeat([]byte{0x40}, size))
		c, err := Open("model", single(file).open)
		if err != nil {
			wantError(t, err, "model/model.safetensors: ")
			return
		}
		theirs, err := safetensors.Deserialize(file)
		if err != nil {
			t.Fatalf("the library says %v", err)
		}
		if len(c.Names()) != theirs.Len() {
			t.Fatalf("%d tensors, the library has %d", len(c.Names()), theirs.Len())
		}
		for _, name := range c.Names() {
			tensor, _ := c.Tensor(name)
			view, ok := theirs.Tensor(name)
			if !ok || int64(len(view.Data())) != tensor.Bytes() || view.DType().String() != tensor.DType.String() {
				t.Fatalf("%q differs from the library's", name)
			}
			if tensor.DType.Float() && tensor.Bytes() > 0 {
				dst := make([]float32, tensor.Rows()*tensor.Cols())
				if err := tensor.ReadRows(dst, 0, tensor.Rows()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
