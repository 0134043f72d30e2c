package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func writeFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func openFile(t testing.TB, path string) *mapped {
	t.Helper()
	src, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := src.(*mapped)
	t.Cleanup(func() { m.Close() })
	return m
}

// Both kinds of Source read as bytes.Reader does.
func TestReadAt(t *testing.T) {
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for _, data := range [][]byte{data, nil, []byte("x")} {
		for name, src := range map[string]Source{"mapped": openFile(t, writeFile(t, data)), "bytes": FromBytes(data)} {
			if src.Size() != int64(len(data)) {
				t.Errorf("%s: size %d, want %d", name, src.Size(), len(data))
			}
			want := bytes.NewReader(data)
			for _, off := range []int64{-1, 0, 1, 4095, 4097, 9_999, 10_000, 10_001, 1 << 62} {
				for _, n := range []int{0, 1, 2, 4096, 10_000, 20_000} {
					p, q := make([]byte, n), make([]byte, n)
					gotN, gotErr := src.ReadAt(p, off)
					wantN, wantErr := want.ReadAt(q, off)
					if n == 0 && (gotErr == nil || gotErr == io.EOF) && off >= 0 {
						continue // readers differ on whether reading nothing can end
					}
					if gotN != wantN || (gotErr == nil) != (wantErr == nil) || (gotErr == io.EOF) != (wantErr == io.EOF) || !bytes.Equal(p, q) {
						t.Fatalf("%s of %d: %d at %d: got %d, %v, want %d, %v", name, len(data), n, off, gotN, gotErr, wantN, wantErr)
					}
				}
			}
		}
	}
}

func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenFile(dir)
	wantError(t, err, "got a directory, want a regular file")
	_, err = OpenFile(filepath.Join(dir, "absent"))
	wantError(t, err, filepath.Join(dir, "absent")+": ")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestCloseWhileReading(t *testing.T) {
	c, err := OpenFolder(single(build(bf16Rows(4000))).write(t))
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Need("w", 4000, 37)
	if err != nil {
		t.Fatal(err)
	}
	var wg, started sync.WaitGroup
	started.Add(4)
	for range 4 {
		wg.Go(func() {
			dst := make([]float32, 4000*37)
			once := sync.OnceFunc(started.Done)
			for {
				err := w.ReadRows(dst, 0, 4000)
				once()
				w.Release(0, w.Rows())
				if err != nil {
					if !errors.Is(err, fs.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	started.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func BenchmarkMapped(b *testing.B) {
	const rows = 20_000
	dir := b.TempDir()
	for name, data := range single(build(bf16Rows(rows))) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	c, err := OpenFolder(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	w, _ := c.Tensor("w")
	dst := make([]float32, rows*37)
	b.SetBytes(w.Bytes())
	b.ReportAllocs()
	for b.Loop() {
		if err := w.ReadRows(dst, 0, rows); err != nil {
			b.Fatal(err)
		}
	}
}
