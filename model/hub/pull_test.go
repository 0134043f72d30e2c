package hub

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// mustPull pulls and compares every file with the hub's.
func mustPull(t *testing.T, h *testHub, o Options, name string) string {
	t.Helper()
	path, err := Pull(t.Context(), name, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.compare(t, o.CacheDir)
	return path
}

// compare wants each file of the snapshot to be the hub's, and nothing half done.
func (h *testHub) compare(t *testing.T, cache string) {
	t.Helper()
	root := newLayout(cache, testRepo).snapshot(testCommit)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return sameBytes(f, h.files[filepath.ToSlash(name)].from(0))
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(newLayout(cache, testRepo).blobs(), "*.*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func sameBytes(a, b io.Reader) error {
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := 0; ; {
		n, err := io.ReadFull(a, x)
		m, _ := io.ReadFull(b, y)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return fmt.Errorf("the bytes from %d on differ, or their number", at)
		}
		if err != nil {
			return nil
		}
		at += n
	}
}

// wantError wants one line with these words, without the token or a signature.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want %q in it", err, word)
		}
	}
	if s := err.Error(); strings.ContainsAny(s, "\n\x00\x1b") || strings.Contains(s, "secret") {
		t.Errorf("error %q: not one harmless line", s)
	}
}

func TestPull(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 3<<20+5)))
	o := h.options(t)
	var events []Event
	path, err := Pull(t.Context(), testRepo, o, func(e Event) { events = append(events, e) })
	if err != nil {
		t.Fatal(err)
	}
	h.compare(t, o.CacheDir)
	if want := filepath.Join(o.CacheDir, "models--org--tiny-model", "snapshots", testCommit); path != want {
		t.Errorf("path: got %s, want %s", path, want)
	}
	var names []string
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		names = append(names, e.Name())
		link, err := os.Readlink(filepath.Join(path, e.Name()))
		if want := filepath.Join("..", "..", "blobs", h.files[e.Name()].etag); err != nil || link != want {
			t.Errorf("%s: link to %s, want %s (%v)", e.Name(), link, want, err)
		}
	}
	if want := slices.Sorted(slices.Values(append(slices.Clone(wanted), "model.safetensors"))); !slices.Equal(names, want) {
		t.Errorf("files: got %v, want %v", names, want)
	}
	ref, err := os.ReadFile(filepath.Join(o.CacheDir, "models--org--tiny-model", "refs", "main"))
	if err != nil || string(ref) != testCommit {
		t.Errorf("refs/main: %q, %v", ref, err)
	}
	if found, err := Resolve(testRepo, o); found != path || err != nil {
		t.Errorf("Resolve: %s, %v", found, err)
	}
	checkEvents(t, events, names)
	for _, r := range h.log {
		if want := map[bool]string{false: "Bearer hf_secret"}[r.cdn]; r.token != want {
			t.Errorf("%s %s, CDN %v: token %q, want %q", r.method, r.path, r.cdn, r.token, want)
		}
	}

	h.forget()
	if again, err := Pull(t.Context(), testRepo, o, nil); again != path || err != nil {
		t.Fatal(again, err)
	}
	if d := h.downloads(); len(d) > 0 {
		t.Errorf("downloaded again: %v", d)
	}
}

// checkEvents wants the sizes first, then rising bytes, then an end, of each file.
func checkEvents(t *testing.T, events []Event, names []string) {
	t.Helper()
	last := map[string]Event{}
	for i, e := range events {
		old, known := last[e.File]
		if !known && i >= len(names) {
			t.Errorf("event %d is the first of %s, want it before all bytes", i, e.File)
		}
		if e.Done < old.Done || e.Done > e.Size || old.Finished || known && e.Size != old.Size {
			t.Errorf("event %+v after %+v", e, old)
		}
		last[e.File] = e
	}
	for _, name := range names {
		if e := last[name]; !e.Finished || e.Done != e.Size {
			t.Errorf("last event of %s: %+v", name, e)
		}
	}
}

// The acceptance: 20 random cuts, and each connection goes on where the last ended.
func TestPullCuts(t *testing.T) {
	const cuts = 20
	size := int64(32<<20 + 11)
	if os.Getenv("ARMOR_LARGE") != "" {
		size = 1<<30 + 11
	}
	random := rand.New(rand.NewPCG(1, 2))
	ends := make([]int64, cuts)
	for i := range ends {
		ends[i] = 1 + random.Int64N(size-1)
	}
	slices.Sort(ends)
	h := newTestHub(t, modelFiles(large(2, size)))
	var served atomic.Int64
	h.onGet = func(w http.ResponseWriter, _ *http.Request, c *content, from int64) bool {
		if !c.lfs {
			return false
		}
		to := size
		if n := served.Add(1); n <= cuts {
			// The client may have less than was sent, so it may be behind a cut.
			to = max(ends[n-1], from+1)
		}
		send(w, c, from, to)
		return true
	}
	o := h.options(t)
	mustPull(t, h, o, testRepo)
	var spans []int64
	for _, r := range h.downloads() {
		if r.cdn {
			var from int64
			fmt.Sscanf(r.span, "bytes=%d-", &from)
			spans = append(spans, from)
		}
	}
	if len(spans) != cuts+1 {
		t.Fatalf("got %d connections, want %d", len(spans), cuts+1)
	}
	for i, from := range spans[1:] {
		if from < spans[i] || from > max(ends[i], spans[i]+1) || from == 0 && ends[i] > 1<<20 {
			t.Errorf("connection %d began at %d; the one before at %d, cut at %d", i+1, from, spans[i], ends[i])
		}
	}
	t.Logf("%d bytes over %d connections", size, len(spans))
}

// Weights in several files come with their index, a GGUF file alone or with its
// other parts.
func TestPullChoice(t *testing.T) {
	sharded := modelFiles(nil)
	delete(sharded, "model.safetensors")
	sharded["model.safetensors.index.json"] = small(`{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors", "c": "model-00001-of-00002.safetensors"}}`)
	for i := range 3 { // the third is in no index
		sharded[fmt.Sprintf("model-%05d-of-00002.safetensors", i+1)] = large(uint64(i), 1000)
	}
	ggufs := map[string]*content{"README.md": small("x"), "m-Q8_0.gguf": large(1, 500), "m-Q4_0.gguf": large(2, 300)}
	for i := range 3 {
		ggufs[fmt.Sprintf("big/m-%05d-of-00003.gguf", i+1)] = large(uint64(10+i), 200)
	}
	for _, c := range []struct {
		name  string
		files map[string]*content
		want  []string
		path  string
	}{
		{testRepo, sharded, append(slices.Clone(wanted), "model.safetensors.index.json", "model-00001-of-00002.safetensors",
			"model-00002-of-00002.safetensors"), "."},
		{testRepo + ":m-Q4_0.gguf", ggufs, []string{"m-Q4_0.gguf"}, "m-Q4_0.gguf"},
		{testRepo + ":big/m-00002-of-00003.gguf", ggufs, []string{"big/m-00001-of-00003.gguf", "big/m-00002-of-00003.gguf",
			"big/m-00003-of-00003.gguf"}, "big/m-00001-of-00003.gguf"},
	} {
		h := newTestHub(t, c.files)
		o := h.options(t)
		path := mustPull(t, h, o, c.name)
		root := newLayout(o.CacheDir, testRepo).snapshot(testCommit)
		if want := filepath.Join(root, filepath.FromSlash(c.path)); path != want {
			t.Errorf("%s: path %s, want %s", c.name, path, want)
		}
		if found, err := Resolve(c.name, o); found != path || err != nil {
			t.Errorf("%s: Resolve: %s, %v", c.name, found, err)
		}
		got := map[string]bool{}
		filepath.WalkDir(root, func(path string, e fs.DirEntry, _ error) error {
			if rel, err := filepath.Rel(root, path); err == nil && !e.IsDir() {
				got[filepath.ToSlash(rel)] = true
			}
			return nil
		})
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(slices.Values(c.want))) {
			t.Errorf("%s: got %v, want %v", c.name, names, c.want)
		}
	}
}
