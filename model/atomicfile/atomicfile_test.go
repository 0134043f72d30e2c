package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	for _, text := range []string{"one", "the second", ""} {
		if err := Write(path, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != text || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
		if got := names(t, dir); got != "a.json" {
			t.Errorf("the folder has %s", got)
		}
	}
}

// A failure leaves the old file and nothing else, and is one line.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	if err := Write(path, strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left on device")
	err := Write(path, io.MultiReader(strings.NewReader("ne"), iotest.ErrReader(full)))
	if !errors.Is(err, full) || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "old" || names(t, dir) != "a.json" {
		t.Errorf("got %q and %s", got, names(t, dir))
	}

	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(dir, "none", "a"), filepath.Join(dir, "folder"), filepath.Join(path, "a")} {
		err := Write(bad, strings.NewReader("x"))
		if err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), ".tmp") || !strings.HasPrefix(err.Error(), bad+": ") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	if got := names(t, dir); got != "a.json folder" {
		t.Errorf("the folder has %s", got)
	}
}
