package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is one tensor of a file made for a test.
type entry struct {
	name, dtype string
	shape       []int
	data        []byte
}

// withHeader is a safetensors file of that header and data.
func withHeader(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// build is a valid safetensors file.
func build(entries ...entry) []byte {
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data []byte
	for _, e := range entries {
		end := len(data) + len(e.data)
		header[e.name] = map[string]any{"dtype": e.dtype, "shape": e.shape, "data_offsets": []int{len(data), end}}
		data = append(data, e.data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	return withHeader(string(text), data)
}

// files is a model folder in memory.
type files map[string][]byte

func (m files) open(name string) (Source, error) {
	b, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("model/%s: %w", name, fs.ErrNotExist)
	}
	return FromBytes(b), nil
}

// write puts the folder on disk.
func (m files) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range m {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// single is a folder with that model.safetensors.
func single(weights []byte) files {
	return files{"config.json": []byte("{}"), "model.safetensors": weights}
}

// wantError requires one clear line that has one of words ("a|b").
func wantError(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	text := err.Error()
	if len(text) > 600 {
		t.Errorf("message of %d bytes", len(text))
	}
	for _, c := range []byte(text) {
		if c < ' ' || c >= 0x7f {
			t.Errorf("byte 0x%02x in the message %q", c, text)
			break
		}
	}
	for _, w := range strings.Split(words, "|") {
		if strings.Contains(text, w) {
			return
		}
	}
	t.Errorf("got %q, want one of %q in it", text, words)
}
