package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Two pulls of one model at once: each file comes once, and both have it all.
func TestPullTwice(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 4<<20)))
	var waited atomic.Bool
	started := make(chan struct{})
	var once sync.Once
	h.onGet = times(1, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) {
		once.Do(func() { close(started) })
		for !waited.Load() {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
		send(w, c, from, c.size)
	})
	o := h.options(t)
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			if i == 1 {
				<-started
			}
			_, err := Pull(t.Context(), testRepo, o, func(e Event) {
				if strings.Contains(e.Note, "downloaded already") {
					waited.Store(true)
				}
			})
			if err != nil {
				t.Error(err)
				waited.Store(true)
			}
		})
	}
	both.Wait()
	h.compare(t, o.CacheDir)
	cdn := 0
	for _, r := range h.downloads() {
		if r.cdn {
			cdn++
		}
	}
	if cdn != 1 || !waited.Load() {
		t.Errorf("the weights came %d times", cdn)
	}
}

// Who waits for a lock can be stopped.
func TestPullLocked(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 100)))
	o := h.options(t)
	path := newLayout(o.CacheDir, testRepo).lock(h.files["model.safetensors"].etag)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if locked, err := tryLock(f); !locked || err != nil {
		t.Skip("no locks here", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = Pull(ctx, testRepo, o, func(e Event) {
		if e.File == "model.safetensors" && e.Note != "" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Where there are no symbolic links there are hard links, else copies; the next
// pull is content with either.
func TestPullWithoutLinks(t *testing.T) {
	none := func(string, string) error { return errors.ErrUnsupported }
	for _, hard := range []func(string, string) error{nil, none} {
		h := newTestHub(t, modelFiles(large(1, 1000)))
		o := h.options(t)
		o.symlink, o.hardlink = none, hard
		path := mustPull(t, h, o, testRepo)
		info, err := os.Lstat(filepath.Join(path, "model.safetensors"))
		if err != nil || !info.Mode().IsRegular() {
			t.Fatal(info, err)
		}
		// Python moves files, and leaves no blobs.
		if err := os.RemoveAll(newLayout(o.CacheDir, testRepo).blobs()); err != nil {
			t.Fatal(err)
		}
		h.forget()
		mustPull(t, h, o, testRepo)
		if d := h.downloads(); len(d) > 0 {
			t.Errorf("downloaded again: %v", d)
		}
	}
}

// A snapshot's entry that is not what the hub has is replaced, as is a blob that
// is not whole.
func TestPullRepairs(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 1000)))
	o := h.options(t)
	path := mustPull(t, h, o, testRepo)
	l := newLayout(o.CacheDir, testRepo)
	at := func(name string) string { return filepath.Join(path, name) }
	if err := errors.Join(
		os.Truncate(l.blob(h.files["model.safetensors"].etag), 10),
		os.Remove(at("config.json")), os.Symlink("nowhere", at("config.json")),
		os.Remove(at("tokenizer.json")), os.WriteFile(at("tokenizer.json"), []byte("{"), 0o644),
		os.WriteFile(l.ref("main"), []byte(strings.Repeat("f", 40)), 0o644),
	); err != nil {
		t.Skip(err)
	}
	mustPull(t, h, o, testRepo)
	if found, err := Resolve(testRepo, o); found != path || err != nil {
		t.Error(found, err)
	}
}

func TestPullSpace(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 3<<20)))
	o := h.options(t)
	o.free = func(string) (int64, bool) { return 2 << 20, true }
	_, err := Pull(t.Context(), testRepo, o, nil)
	wantError(t, err, "not enough space: 3.0 MiB to download, 2.0 MiB free in ")
	if d := h.downloads(); len(d) > 0 {
		t.Errorf("downloaded %v", d)
	}
	// What is there already counts.
	l := newLayout(o.CacheDir, testRepo)
	if err := os.WriteFile(l.incomplete(h.files["model.safetensors"].etag), make([]byte, 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	mustPull(t, h, o, testRepo)
	if free, known := freeSpace(o.CacheDir); known && free <= 0 {
		t.Errorf("freeSpace: %d", free)
	}
}

// A panic, even the caller's, is an error and not the end of the process.
func TestPullPanic(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 1000)))
	_, err := Pull(t.Context(), testRepo, h.options(t), func(e Event) {
		if e.Finished {
			panic("a bug")
		}
	})
	wantError(t, err, "internal error: a bug")
}

// Other revisions than main, and a commit, which needs no ref.
func TestPullRevision(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 1000)))
	for _, revision := range []string{"v1.0", "refs/pr/3", testCommit} {
		o := h.options(t)
		o.Revision = revision
		path := mustPull(t, h, o, testRepo)
		if found, err := Resolve(testRepo, o); found != path || err != nil {
			t.Error(revision, found, err)
		}
		ref, err := os.ReadFile(newLayout(o.CacheDir, testRepo).ref(revision))
		if revision == testCommit {
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a ref of a commit: %q, %v", ref, err)
			}
		} else if string(ref) != testCommit {
			t.Errorf("%s: ref %q, %v", revision, ref, err)
		}
		o.Revision = "main"
		var absent *NotCachedError
		if _, err := Resolve(testRepo, o); !errors.As(err, &absent) || absent.Revision != "main" {
			t.Error(err)
		}
	}
	for _, r := range h.log {
		if strings.Contains(r.path, "/revision/refs/pr/3") {
			return
		}
	}
	t.Error("refs/pr/3 was not asked for")
}

func TestResolve(t *testing.T) {
	cache := t.TempDir()
	l := newLayout(cache, testRepo)
	o := Options{CacheDir: cache}
	put := func(path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return l.pointer(testCommit, name) }
	absent := func(name, missing string) {
		t.Helper()
		_, err := Resolve(name, o)
		var a *NotCachedError
		if !errors.As(err, &a) || a.Missing != missing {
			t.Fatalf("%s: %v, want %q to be missing", name, err, missing)
		}
		wantError(t, err, testRepo+": ", missing)
	}
	present := func(name, path string) {
		t.Helper()
		if found, err := Resolve(name, o); found != path || err != nil {
			t.Fatalf("%s: got %s, %v, want %s", name, found, err, path)
		}
	}
	absent(testRepo, "")
	put(l.ref("main"), testCommit+"\n") // Python strips nothing, people add a line break
	absent(testRepo, "")
	put(file("a-00001-of-00002.gguf"), "")
	_, err := Resolve(testRepo, o)
	wantError(t, err, "only GGUF files", testRepo+":a-00001-of-00002.gguf")
	absent(testRepo+":a-00002-of-00002.gguf", "a-00002-of-00002.gguf")
	put(file("a-00002-of-00002.gguf"), "")
	present(testRepo+":a-00002-of-00002.gguf", file("a-00001-of-00002.gguf"))
	absent(testRepo+":b.gguf", "b.gguf")
	put(file("config.json"), "{}")
	absent(testRepo, "model.safetensors")
	put(file(indexFile), `{"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}`)
	absent(testRepo, "x.safetensors")
	put(file("x.safetensors"), "")
	absent(testRepo, "y.safetensors")
	put(file("y.safetensors"), "")
	present(testRepo, l.snapshot(testCommit))
	put(file(indexFile), `{"weight_map": {"a": "../x.safetensors"}}`)
	_, err = Resolve(testRepo, o)
	wantError(t, err, indexFile+": weight_map: ")
	put(file("model.safetensors"), "")
	present(testRepo, l.snapshot(testCommit))
	put(l.ref("main"), "../../other")
	_, err = Resolve(testRepo, o)
	wantError(t, err, "main: got \"../../other\", want a commit")
	o.Revision = testCommit
	present(testRepo, l.snapshot(testCommit))
	o.Revision = strings.Repeat("0", 40)
	absent(testRepo, "")
	o.Revision = "../../x"
	_, err = Resolve(testRepo, o)
	wantError(t, err, "not a branch, tag or commit")
}
