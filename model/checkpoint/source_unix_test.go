//go:build unix

package checkpoint

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// None of these may be opened: reading them waits, never ends or does worse.
func TestOpenFileSpecial(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{unix.Mkfifo(at("pipe"), 0o644), os.Symlink("pipe", at("link to pipe")),
		os.Symlink("/dev/zero", at("zero")), os.Symlink("loop", at("loop")), os.Symlink("nowhere", at("dangling"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, words := range map[string]string{
		"pipe": "got a named pipe, want a regular file", "link to pipe": "got a named pipe", "zero": "got a device",
		"loop": "symbolic links", "dangling": "no such file",
	} {
		done := make(chan error, 1)
		go func() {
			_, err := OpenFile(at(name))
			done <- err
		}()
		select {
		case err := <-done:
			wantError(t, err, words)
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still opening", name)
		}
	}
}

// Every file may be a link elsewhere: so is the hub's cache.
func TestLinkedFolder(t *testing.T) {
	dir, blobs := t.TempDir(), sharded().write(t)
	for name := range sharded() {
		if err := os.Symlink(filepath.Join(blobs, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if len(c.Names()) != 2 {
		t.Errorf("names %v", c.Names())
	}
}

func TestTruncatedWhileMapped(t *testing.T) {
	for name, keep := range map[string]func(size int64) int64{
		"nothing left":      func(int64) int64 { return 0 },
		"header left":       func(int64) int64 { return 4096 },
		"last byte missing": func(size int64) int64 { return size - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := single(build(bf16Rows(4000))).write(t)
			c, err := OpenFolder(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			w, err := c.Need("w", 4000, 37)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "model.safetensors")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, keep(info.Size())); err != nil {
				t.Fatal(err)
			}
			wantError(t, w.ReadRows(make([]float32, 4000*37), 0, 4000), "truncated")
		})
	}
}
