package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// Faults of a server after which the file arrives all the same.
func TestPullFaults(t *testing.T) {
	const size = 1<<20 + 3
	for name, fault := range map[string]struct {
		times int
		get   func(w http.ResponseWriter, r *http.Request, c *content, from int64)
	}{
		"cut before the first byte": {3, func(http.ResponseWriter, *http.Request, *content, int64) { panic(http.ErrAbortHandler) }},
		"one byte a time":           {9, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) { send(w, c, from, from+1) }},
		"no ranges": {4, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) {
			send(w, c, 0, max(c.size/2, from))
		}},
		"another range": {2, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) {
			if from == 0 {
				send(w, c, 0, c.size/2)
			}
			send(w, c, from-1, c.size)
		}},
		"no such range": {2, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) {
			if from == 0 {
				send(w, c, 0, c.size/2)
			}
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}},
		"too many bytes": {2, func(w http.ResponseWriter, _ *http.Request, c *content, _ int64) {
			io.Copy(onlyWriter{w}, c.from(0))
			w.Write([]byte("and more"))
		}},
		"a page instead": {2, func(w http.ResponseWriter, _ *http.Request, _ *content, _ int64) {
			io.WriteString(w, "<html>busy</html>")
		}},
		"compressed": {1, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) {
			w.Header().Set("Content-Encoding", "br")
			send(w, c, from, c.size)
		}},
		"address run out": {2, func(w http.ResponseWriter, _ *http.Request, _ *content, _ int64) { w.WriteHeader(http.StatusForbidden) }},
		"busy": {2, func(w http.ResponseWriter, _ *http.Request, _ *content, _ int64) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		"damaged once": {1, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) { sendDamaged(w, c, from, size/3) }},
		"damaged after a cut": {2, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) {
			if from == 0 {
				send(w, c, from, size/2)
			}
			sendDamaged(w, c, from, size-1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestHub(t, modelFiles(large(3, size)))
			h.onGet = times(fault.times, fault.get)
			o := h.options(t)
			mustPull(t, h, o, testRepo)
			if _, err := Resolve(testRepo, o); err != nil {
				t.Error(err)
			}
		})
	}
}

// A connection that goes silent is given up, and the next one goes on.
func TestPullStall(t *testing.T) {
	h := newTestHub(t, modelFiles(large(4, 1<<20)))
	h.onGet = times(2, func(w http.ResponseWriter, r *http.Request, c *content, from int64) {
		if from == 0 { // half of it, and then nothing
			w.Header().Set("Content-Length", fmt.Sprint(c.size))
			io.CopyN(onlyWriter{w}, c.from(0), c.size/2)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done() // nor an answer at all
	})
	o := h.options(t)
	o.Stall = 300e6
	var notes []string
	if _, err := Pull(t.Context(), testRepo, o, func(e Event) {
		if e.Note != "" {
			notes = append(notes, e.Note)
		}
	}); err != nil {
		t.Fatal(err)
	}
	h.compare(t, o.CacheDir)
	if len(notes) != 2 || !strings.Contains(notes[0], "no byte came") {
		t.Errorf("notes: %q", notes)
	}
}

// A hub that never gets better is given up, with what it did last.
func TestPullGivesUp(t *testing.T) {
	forever := func(get func(w http.ResponseWriter, c *content, from int64)) func(http.ResponseWriter, *http.Request, *content, int64) bool {
		return times(1<<30, func(w http.ResponseWriter, _ *http.Request, c *content, from int64) { get(w, c, from) })
	}
	for name, hostile := range map[string]struct {
		get   func(http.ResponseWriter, *http.Request, *content, int64) bool
		words []string
		kept  bool // bytes for the next pull
	}{
		"cuts at one place": {forever(func(w http.ResponseWriter, c *content, from int64) {
			send(w, c, from, max(from, 1000))
		}), []string{"model.safetensors: ", "gave up after 6 tries"}, true},
		"damages": {forever(func(w http.ResponseWriter, c *content, from int64) { sendDamaged(w, c, from, 77) }),
			[]string{"model.safetensors: damaged on the way: hash: got ", "want "}, false},
		"is too short": {forever(func(w http.ResponseWriter, c *content, _ int64) { w.Write([]byte("short")) }),
			[]string{"Content-Length: got 5, want 1048576"}, true},
		"asks to wait": {forever(func(w http.ResponseWriter, _ *content, _ int64) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusTooManyRequests)
		}), []string{"429 Too Many Requests", "asks to wait 24h"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestHub(t, modelFiles(large(5, 1<<20)))
			h.onGet = hostile.get
			o := h.options(t)
			_, err := Pull(t.Context(), testRepo, o, nil)
			wantError(t, err, append(hostile.words, testRepo+": ")...)
			l := newLayout(o.CacheDir, testRepo)
			if etag := h.files["model.safetensors"].etag; isFile(l.blob(etag)) || isFile(l.incomplete(etag)) != hostile.kept {
				t.Errorf("blob there: %v; bytes kept: %v, want %v", isFile(l.blob(etag)), isFile(l.incomplete(etag)), hostile.kept)
			}
			var absent *NotCachedError
			if _, err := Resolve(testRepo, o); !errors.As(err, &absent) {
				t.Errorf("Resolve: %v", err)
			}
		})
	}
}

// Ctrl-C leaves the bytes, and the next pull asks for the rest alone.
func TestPullStopped(t *testing.T) {
	const size = 4 << 20
	for name, damage := range map[string]func(path string) error{
		"as it was": func(string) error { return nil },
		"damaged":   func(path string) error { return damageAt(path, 10) },
		"too long":  func(path string) error { return os.Truncate(path, size+1) },
		"zeros":     func(path string) error { return os.Truncate(path, size) }, // as after a loss of power
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestHub(t, modelFiles(large(6, size)))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			h.onGet = times(1, func(w http.ResponseWriter, r *http.Request, c *content, _ int64) {
				w.Header().Set("Content-Length", fmt.Sprint(c.size))
				io.CopyN(onlyWriter{w}, c.from(0), c.size/2)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			})
			o := h.options(t)
			_, err := Pull(ctx, testRepo, o, func(e Event) {
				if e.File == "model.safetensors" && e.Done == size/2 {
					cancel()
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			path := newLayout(o.CacheDir, testRepo).incomplete(h.files["model.safetensors"].etag)
			if info, err := os.Stat(path); err != nil || info.Size() != size/2 {
				t.Fatal(info, err)
			}
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			h.forget()
			mustPull(t, h, o, testRepo)
			var spans []string
			for _, r := range h.downloads() {
				if r.cdn {
					spans = append(spans, r.span)
				}
			}
			if name == "as it was" && !slices.Equal(spans, []string{fmt.Sprintf("bytes=%d-", size/2)}) {
				t.Errorf("asked for %q", spans)
			}
			if name == "damaged" && !slices.Equal(spans, []string{fmt.Sprintf("bytes=%d-", size/2), ""}) {
				t.Errorf("asked for %q", spans)
			}
		})
	}
}

func damageAt(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("damage"), at)
	return errors.Join(err, f.Close())
}
