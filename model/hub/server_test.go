package hub

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testRepo   = "org/tiny-model"
	testCommit = "0123456789abcdef0123456789abcdef01234567"
)

// content is a file of the test hub.
type content struct {
	io.ReaderAt
	size int64
	etag string
	lfs  bool // redirected to the CDN, named by its sha256
}

func small(text string) *content {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(text), text))
	return &content{strings.NewReader(text), int64(len(text)), hex.EncodeToString(sum[:]), false}
}

// large is a file of pseudo-random bytes that are made when they are read.
func large(seed uint64, size int64) *content {
	c := &content{noise(seed), size, "", true}
	h := sha256.New()
	if _, err := io.Copy(h, c.from(0)); err != nil {
		panic(err)
	}
	c.etag = hex.EncodeToString(h.Sum(nil))
	return c
}

func (c *content) from(offset int64) io.Reader { return io.NewSectionReader(c, offset, c.size-offset) }

// noise gives the word at each index from its seed alone (splitmix64).
type noise uint64

func (n noise) ReadAt(b []byte, offset int64) (int, error) {
	var word [8]byte
	for i := 0; i < len(b); {
		at := uint64(offset) + uint64(i)
		z := uint64(n) + (at/8+1)*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(word[:], z^z>>31)
		i += copy(b[i:], word[at%8:])
	}
	return len(b), nil
}

// request is what the hub or the CDN was asked.
type request struct {
	method, path, span, token string
	cdn                       bool
}

// testHub is a hub and a CDN on loopback.
type testHub struct {
	files map[string]*content
	hub   *httptest.Server
	cdn   *httptest.Server

	// Where set, they may answer instead, and then say true.
	onAPI, onHead func(w http.ResponseWriter, r *http.Request) bool
	onGet         func(w http.ResponseWriter, r *http.Request, c *content, from int64) bool

	mu  sync.Mutex
	log []request
}

func newTestHub(t *testing.T, files map[string]*content) *testHub {
	t.Helper()
	h := &testHub{files: files}
	h.cdn = httptest.NewServer(http.HandlerFunc(h.serveCDN))
	h.hub = httptest.NewServer(http.HandlerFunc(h.serveHub))
	t.Cleanup(func() {
		for _, s := range []*httptest.Server{h.hub, h.cdn} {
			s.CloseClientConnections()
			s.Close()
		}
	})
	return h
}

// modelFiles is an ordinary repository with one file of weights.
func modelFiles(weights *content) map[string]*content {
	return map[string]*content{
		".gitattributes":         small("*.safetensors filter=lfs\n"),
		"README.md":              small("# A model\n"),
		"config.json":            small(`{"model_type": "llama"}`),
		"generation_config.json": small("{}"),
		"tokenizer.json":         small(`{"version": "1.0"}`),
		"tokenizer_config.json":  small(`{"bos_token": "<s>"}`),
		"chat_template.jinja":    small("{{ bos_token }}"),
		"empty.txt":              small(""),
		"tokenizer.bin":          small("pickle"),
		"model.safetensors":      weights,
		"pytorch_model.bin":      large(9, 64),
		"onnx/model.onnx":        large(8, 64),
		"original/params.json":   small("{}"),
		"modeling_evil.py":       small("import os"),
	}
}

// wanted are those that a pull takes, without the weights.
var wanted = []string{"chat_template.jinja", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}

func (h *testHub) note(r *http.Request, cdn bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, request{r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Get("Authorization"), cdn})
}

// downloads are the requests for the content of files.
func (h *testHub) downloads() (list []request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.log {
		if r.method == http.MethodGet && (r.cdn || strings.Contains(r.path, "/resolve/")) {
			list = append(list, r)
		}
	}
	return list
}

func (h *testHub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = nil
}

func (h *testHub) serveHub(w http.ResponseWriter, r *http.Request) {
	h.note(r, false)
	api := "/api/models/" + testRepo
	switch {
	case strings.HasPrefix(r.URL.Path, api):
		if h.onAPI != nil && h.onAPI(w, r) {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, api+"/tree/") {
			w.Write(h.tree())
		} else {
			w.Write(h.listing())
		}
	case strings.HasPrefix(r.URL.Path, "/"+testRepo+"/resolve/"):
		_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"+testRepo+"/resolve/"), "/")
		c := h.files[name]
		if c == nil {
			w.Header().Set("X-Error-Code", "EntryNotFound")
			http.Error(w, "Entry not found", http.StatusNotFound)
			return
		}
		if r.Method == http.MethodHead && h.onHead != nil && h.onHead(w, r) {
			return
		}
		w.Header().Set("X-Repo-Commit", testCommit)
		if c.lfs {
			w.Header().Set("X-Linked-Etag", `"`+c.etag+`"`)
			w.Header().Set("X-Linked-Size", strconv.FormatInt(c.size, 10))
			w.Header().Set("Location", h.cdn.URL+"/blobs/"+name+"?signature=secret")
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("ETag", `"`+c.etag+`"`)
		h.serveContent(w, r, c)
	default:
		http.NotFound(w, r)
	}
}

func (h *testHub) serveCDN(w http.ResponseWriter, r *http.Request) {
	h.note(r, true)
	c := h.files[strings.TrimPrefix(r.URL.Path, "/blobs/")]
	if c == nil || r.URL.RawQuery != "signature=secret" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"cdn-1"`)
	h.serveContent(w, r, c)
}

func (h *testHub) serveContent(w http.ResponseWriter, r *http.Request, c *content) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.FormatInt(c.size, 10))
		return
	}
	var from int64
	if span := r.Header.Get("Range"); span != "" {
		if _, err := fmt.Sscanf(span, "bytes=%d-", &from); err != nil || from >= c.size {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
	}
	if h.onGet != nil && h.onGet(w, r, c, from) {
		return
	}
	send(w, c, from, c.size)
}

// send answers with the bytes from..to, and cuts the connection there.
func send(w http.ResponseWriter, c *content, from, to int64) {
	w.Header().Set("Content-Length", strconv.FormatInt(c.size-from, 10))
	if from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, c.size-1, c.size))
		w.WriteHeader(http.StatusPartialContent)
	}
	io.CopyBuffer(onlyWriter{w}, io.NewSectionReader(c, from, to-from), make([]byte, 64<<10))
	if to < c.size {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

type onlyWriter struct{ io.Writer }

// sendDamaged is send to the end, with one bit turned over.
func sendDamaged(w http.ResponseWriter, c *content, from, at int64) {
	b := make([]byte, c.size)
	c.ReadAt(b, 0)
	b[at] ^= 1
	send(w, &content{bytes.NewReader(b), c.size, c.etag, c.lfs}, from, c.size)
}

func (h *testHub) names() []string {
	var names []string
	for name := range h.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (h *testHub) listing() []byte {
	var siblings []map[string]any
	for _, name := range h.names() {
		siblings = append(siblings, map[string]any{"rfilename": name, "size": h.files[name].size})
	}
	return marshal(map[string]any{"id": testRepo, "sha": testCommit, "private": false, "gated": false,
		"tags": []string{}, "downloads": 1, "likes": 1, "siblings": siblings})
}

// tree is what newer Pythons ask for.
func (h *testHub) tree() []byte {
	var list []map[string]any
	for _, name := range h.names() {
		c := h.files[name]
		entry := map[string]any{"type": "file", "path": name, "size": c.size, "oid": c.etag}
		if c.lfs {
			entry["oid"] = c.etag[:40]
			entry["lfs"] = map[string]any{"oid": c.etag, "size": c.size, "pointerSize": 134}
		}
		list = append(list, entry)
	}
	return marshal(list)
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// options are of a pull from this hub that waits for nothing.
func (h *testHub) options(t *testing.T) Options {
	return Options{CacheDir: t.TempDir(), Endpoint: h.hub.URL, Token: "hf_secret", Backoff: time.Microsecond, Stall: time.Minute}
}

// times answers the first n times with f.
func times(n int, f func(w http.ResponseWriter, r *http.Request, c *content, from int64)) func(http.ResponseWriter, *http.Request, *content, int64) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, c *content, from int64) bool {
		if !c.lfs {
			return false
		}
		mu.Lock()
		n--
		now := n >= 0
		mu.Unlock()
		if now {
			f(w, r, c, from)
		}
		return now
	}
}

// always answers with an error of the hub's kind.
func always(status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}
