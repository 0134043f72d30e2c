package hub

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// What the hub refuses is told in one line that says what to do.
func TestPullRefused(t *testing.T) {
	gated := []string{"X-Error-Code", "GatedRepo", "X-Error-Message", "Access to model org/tiny-model is restricted"}
	for name, c := range map[string]struct {
		onAPI, onHead func(http.ResponseWriter, *http.Request) bool
		noToken       bool
		words         []string
	}{
		"gated": {onHead: always(401, gated...), noToken: true,
			words: []string{"org/tiny-model: gated: accept its terms at http://127.0.0.1:", "/org/tiny-model, then set HF_TOKEN"}},
		"gated, not granted": {onHead: always(403, gated...), words: []string{"gated: the account of HF_TOKEN has no access; ask for it at"}},
		"gated list":         {onAPI: always(401, gated...), noToken: true, words: []string{"gated: accept its terms"}},
		"unknown or private": {onAPI: always(401, "X-Error-Code", "RepoNotFound", "X-Error-Message", "Invalid username or password."), noToken: true,
			words: []string{"no such repository, or a private or gated one", "set HF_TOKEN"}},
		"bad token": {onAPI: always(401, "X-Error-Message", "Invalid credentials in Authorization header"),
			words: []string{"the hub does not accept HF_TOKEN"}},
		"forbidden":     {onAPI: always(403, "X-Error-Message", "no\u202eway"), words: []string{"no access; see ", `403 Forbidden (no\u202eway)`}},
		"not found":     {onAPI: always(404, "X-Error-Code", "RepoNotFound"), words: []string{"no such repository at http://127.0.0.1:"}},
		"no revision":   {onAPI: always(404, "X-Error-Code", "RevisionNotFound"), words: []string{`no revision "main"`}},
		"file missing":  {onHead: always(404, "X-Error-Code", "EntryNotFound"), words: []string{"lists a file that it does not have"}},
		"teapot":        {onAPI: always(418), words: []string{"the hub answers 418 I'm a teapot"}},
		"down":          {onAPI: always(502), words: []string{"502 Bad Gateway; gave up after 6 tries"}},
		"other commit":  {onHead: always(200, "X-Repo-Commit", strings.Repeat("f", 40)), words: []string{"X-Repo-Commit: got \"ffff"}},
		"no hub":        {onHead: always(200), words: []string{"X-Repo-Commit: got \"\"", "is this a hub?"}},
		"no hash":       {onHead: always(200, "X-Repo-Commit", testCommit, "ETag", `"../../x"`), words: []string{`ETag: got "\"../../x\""`}},
		"another size":  {onHead: always(200, "X-Repo-Commit", testCommit, "ETag", strings.Repeat("a", 64), "X-Linked-Size", "7"), words: []string{"size: got 7, want "}},
		"absurd size":   {onHead: always(200, "X-Repo-Commit", testCommit, "ETag", strings.Repeat("a", 64), "X-Linked-Size", "9223372036854775807"), words: []string{"size: got \"9223372036854775807\", want 0 to"}},
		"endless":       {onHead: redirect("/org/tiny-model/resolve/x/config.json"), words: []string{"more than 10 redirects"}},
		"to a file":     {onHead: redirect("file:///etc/passwd"), words: []string{`redirect to "file:///etc/passwd"`}},
		"to nowhere":    {onHead: redirect("http://"), words: []string{"redirect to"}},
		"a page":        {onAPI: answer("<html>"), words: []string{"the list of files: invalid character", "is this a hub?"}},
		"a long answer": {onAPI: answer(strings.Repeat(" ", maxListing+1)), words: []string{"an answer of more than 33554432 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestHub(t, modelFiles(large(1, 1000)))
			h.onAPI, h.onHead = c.onAPI, c.onHead
			o := h.options(t)
			if c.noToken {
				o.Token = ""
			}
			_, err := Pull(t.Context(), testRepo, o, nil)
			wantError(t, err, append(c.words, "org/tiny-model: ")...)
			if strings.Count(err.Error(), testRepo+": ") != 1 {
				t.Errorf("%q names the repository twice", err)
			}
			if found, err := Resolve(testRepo, o); err == nil {
				t.Errorf("Resolve finds %s", found)
			}
		})
	}
}

func redirect(to string) func(http.ResponseWriter, *http.Request) bool {
	return always(http.StatusFound, "Location", to)
}

func answer(body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		io.WriteString(w, body)
		return true
	}
}

// Passing trouble of the list and of the headers is tried again; a redirect
// within the hub keeps the token, and a hash that changes begins the file again.
func TestPullTrouble(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 1000)))
	var api, head, config atomic.Int64
	h.onAPI = func(w http.ResponseWriter, r *http.Request) bool {
		switch api.Add(1) {
		case 1:
			return always(429, "Retry-After", "0")(w, r)
		case 2:
			w.Header().Set("Content-Length", "100000")
			io.WriteString(w, `{"sha":`)
			panic(http.ErrAbortHandler)
		}
		return false
	}
	h.onHead = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/config.json") {
			return head.Add(1)%3 == 1 && always(500)(w, r)
		}
		switch config.Add(1) {
		case 1:
			return redirect(h.hub.URL+r.URL.Path+"?again")(w, r)
		case 2: // another version, which is gone when its bytes are asked for
			return always(200, "X-Repo-Commit", testCommit, "ETag", strings.Repeat("b", 40), "X-Linked-Size", fmt.Sprint(h.files["config.json"].size))(w, r)
		}
		return false
	}
	mustPull(t, h, h.options(t), testRepo)
	if api.Load() != 3 || config.Load() != 3 {
		t.Errorf("asked %d times for the list, %d times for config.json", api.Load(), config.Load())
	}
	for _, r := range h.log {
		if !r.cdn && r.token != "Bearer hf_secret" {
			t.Errorf("no token with %s %s", r.method, r.path)
		}
	}
}

func TestRedirects(t *testing.T) {
	from := func(s string) *http.Response {
		u, _ := url.Parse(s)
		return &http.Response{Request: &http.Request{URL: u}, Header: http.Header{"Location": {"http://cdn.example/x"}}}
	}
	if _, err := target(from("http://hub.example/a")); err != nil {
		t.Error(err)
	}
	_, err := target(from("https://hub.example/a"))
	wantError(t, err, "which is not encrypted")
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://huggingface.co/a", "https://HUGGINGFACE.co:443/b", true},
		{"http://h:80", "http://h", true},
		{"https://huggingface.co", "http://huggingface.co", false},
		{"https://huggingface.co", "https://huggingface.co:8443", false},
		{"https://huggingface.co", "https://huggingface.co.evil.example", false},
		{"https://huggingface.co", "https://cdn-lfs.huggingface.co", false},
	} {
		a, _ := url.Parse(c.a)
		b, _ := url.Parse(c.b)
		if sameOrigin(a, b) != c.same {
			t.Errorf("sameOrigin(%s, %s) is %v", c.a, c.b, !c.same)
		}
	}
}

// No name that a hub sends leads out of the snapshot.
func TestHostileNames(t *testing.T) {
	for name, words := range map[string]string{
		"/etc/passwd":            "not a path inside the repository",
		"../tokenizer.json":      "not a path inside the repository",
		"a/../../tokenizer.json": "not a path inside the repository",
		"a//tokenizer.json":      "not a path inside the repository",
		"./tokenizer.json":       "not a path inside the repository",
		"tokenizer.json/":        "not a path inside the repository",
		"":                       "file name: got 0 bytes",
		"tokenizer\x00.json":     "holds NUL",
		"tokenizer\\..\\x.json":  "not one for every system",
		"tokenizer:x.json":       "not one for every system",
		"tokenizer\n.json":       "cannot be printed",
		"tokenizer\u202e.json":   "cannot be printed",
		"tokenizer" + strings.Repeat("x", 250) + ".json": "want at most",
		strings.Repeat("long/", 300) + "x":               "want 1 to 1024",
	} {
		h := newTestHub(t, modelFiles(large(1, 100)))
		h.files[name] = small("hostile")
		o := h.options(t)
		o.CacheDir = filepath.Join(o.CacheDir, "a", "b", "c")
		_, err := Pull(t.Context(), testRepo, o, nil)
		wantError(t, err, words)
		if found, _ := filepath.Glob(newLayout(o.CacheDir, testRepo).root()); len(h.downloads()) > 0 || len(found) > 0 && err == nil {
			t.Errorf("%q: %v, %v", name, h.downloads(), found)
		}
	}
	h := newTestHub(t, modelFiles(large(1, 100)))
	h.files[`notes\old.txt`] = small("a name that some repositories have, and nobody asks for")
	mustPull(t, h, h.options(t), testRepo)
}

func TestParseListing(t *testing.T) {
	many := strings.Repeat(`{"rfilename":"a"},`, maxFiles) + `{"rfilename":"b"}`
	for body, words := range map[string]string{
		`{"sha":"main","siblings":[]}`:                                                      `sha: got "main", want a commit`,
		`{"sha":"` + strings.ToUpper(testCommit) + `"}`:                                     "want a commit",
		`{"sha":"` + testCommit + `","disabled":true}`:                                      "disabled",
		`{"sha":"` + testCommit + `","siblings":[` + many + `]}`:                            "got 10001 files",
		`{"sha":"` + testCommit + `","siblings":[{"rfilename":"a"},{"rfilename":"a"}]}`:     "twice",
		`{"sha":"` + testCommit + `","siblings":[{"rfilename":"a","size":-1}]}`:             "size: got -1",
		`{"sha":"` + testCommit + `","siblings":[{"rfilename":"a","size":1e3}]}`:            "cannot unmarshal",
		`{"sha":"` + testCommit + `","siblings":[{"rfilename":"a","size":99999999999999}]}`: "size: got 99999999999999",
		`[]`: "cannot unmarshal",
	} {
		_, err := parseListing([]byte(body))
		wantError(t, err, words)
	}
}

// What a repository holds instead of usable weights is told.
func TestPullChoiceRefused(t *testing.T) {
	index := func(text string) map[string]*content {
		return map[string]*content{"config.json": small("{}"), indexFile: small(text)}
	}
	for _, c := range []struct {
		name  string
		files map[string]*content
		words []string
	}{
		{testRepo, map[string]*content{"b.gguf": small("b"), "a-00001-of-00002.gguf": small("1"), "a-00002-of-00002.gguf": small("2")},
			[]string{"only GGUF files: choose one, as org/tiny-model:a-00001-of-00002.gguf; there are a-00001-of-00002.gguf, b.gguf"}},
		{testRepo, map[string]*content{"config.json": small("{}"), "pytorch_model.bin": small("x"), "onnx/model.onnx": small("y")},
			[]string{"no model.safetensors in this repository, only onnx/model.onnx, pytorch_model.bin, which cannot be used"}},
		{testRepo, map[string]*content{"model.safetensors": small("x")}, []string{"no config.json"}},
		{testRepo, map[string]*content{"README.md": small("x")}, []string{"no weights in this repository"}},
		{testRepo, nil, []string{"no weights in this repository"}},
		{testRepo, index(`{}`), []string{"model.safetensors.index.json: weight_map: missing or empty"}},
		{testRepo, index(`[]`), []string{"model.safetensors.index.json: json: cannot unmarshal"}},
		{testRepo, index(`{"weight_map":{"a":"../x.safetensors"}}`), []string{"not a path inside the repository"}},
		{testRepo, index(`{"weight_map":{"a":"sub/x.safetensors"}}`), []string{"want a .safetensors file beside the index"}},
		{testRepo, index(`{"weight_map":{"a":"x.bin"}}`), []string{"want a .safetensors file beside the index"}},
		{testRepo, index(`{"weight_map":{"a":"x.safetensors"}}`), []string{`names "x.safetensors", which is not in this repository`}},
		{testRepo + ":x.gguf", map[string]*content{"b.gguf": small("b")}, []string{"no file x.gguf in this repository, which has b.gguf"}},
		{testRepo + ":x.gguf", modelFiles(small("")), []string{"nor any other GGUF file"}},
		{testRepo + ":a-00001-of-00002.gguf", map[string]*content{"a-00001-of-00002.gguf": small("1")}, []string{"no file a-00002-of-00002.gguf"}},
		{testRepo + ":a-00003-of-00002.gguf", map[string]*content{"a-00003-of-00002.gguf": small("1")}, []string{"part 00003 of 00002"}},
	} {
		h := newTestHub(t, c.files)
		_, err := Pull(t.Context(), c.name, h.options(t), nil)
		wantError(t, err, c.words...)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     Options
		words string
	}{
		{"model", Options{}, "want ORG/NAME"},
		{"a/b/c", Options{}, "want ORG/NAME"},
		{"../b", Options{}, "want ORG/NAME"},
		{"a/b--c", Options{}, "want ORG/NAME"},
		{"a/b.git", Options{}, "want ORG/NAME"},
		{"-a/b", Options{}, "want ORG/NAME"},
		{"a/" + strings.Repeat("b", 97), Options{}, "want ORG/NAME"},
		{"a/b:", Options{}, "file name: got 0 bytes"},
		{"a/b:model.bin", Options{}, "want one that ends in .gguf"},
		{"a/b:../m.gguf", Options{}, "not a path inside"},
		{"a/b", Options{CacheDir: ""}, "no cache folder"},
		{"a/b", Options{CacheDir: "x", Revision: "../x"}, "not a branch, tag or commit"},
		{"a/b", Options{CacheDir: "x", Revision: "-x"}, "not a branch, tag or commit"},
		{"a/b", Options{CacheDir: "x", Endpoint: "huggingface.co"}, "want an address like https://huggingface.co"},
		{"a/b", Options{CacheDir: "x", Endpoint: "ftp://x"}, "want an address"},
		{"a/b", Options{CacheDir: "x", Token: "hf\r\nHost: x"}, "token: holds"},
	} {
		_, err := Pull(t.Context(), c.name, c.o, nil)
		wantError(t, err, c.words)
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("a folder was made")
	}
}

// Whatever comes, names stay inside and numbers in their bounds.
func FuzzListing(f *testing.F) {
	h := testHub{files: modelFiles(small("x"))}
	f.Add(h.listing(), testCommit, strings.Repeat("a", 64), "5", "bytes 2-4/5", []byte(`{"weight_map":{"a":"x.safetensors"}}`))
	f.Add([]byte(`{"sha":"x","siblings":[{"rfilename":"../x.gguf"}]}`), "", `W/"x"`, "-1", "bytes */5", []byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte, commit, etag, size, span string, index []byte) {
		inside := func(name string) {
			if !filepath.IsLocal(filepath.FromSlash(name)) || strings.ContainsAny(name, "\\\x00\n") || len(name) > maxName {
				t.Errorf("%q was accepted", name)
			}
		}
		if l, err := parseListing(body); err == nil {
			names, err := chooseFolder(l, testRepo)
			for _, name := range l.names {
				if strings.HasSuffix(name, ".gguf") {
					if more, err2 := chooseGGUF(l, Name{testRepo, name}); err2 == nil {
						names = append(names, more...)
					}
				}
			}
			for _, name := range names {
				if err == nil {
					inside(name)
				}
				if err == nil && !l.has(name) {
					t.Errorf("%q is not in the list", name)
				}
			}
		}
		m := metaReader{}
		m.see(http.Header{"X-Repo-Commit": {commit}, "X-Linked-Etag": {etag}, "Content-Length": {size}}, false)
		if got, err := m.file(testCommit, -1); err == nil && (!isOID(got.etag) || got.size < 0 || got.size > maxSize) {
			t.Errorf("%+v was accepted", got)
		}
		if checkContentRange(span, 2, 5) == nil && !strings.Contains(span, "5") {
			t.Errorf("Content-Range %q was accepted", span)
		}
		if shards, err := parseIndex(index); err == nil {
			for _, name := range shards {
				inside(name)
			}
		}
		if n, err := ParseName(commit); err == nil {
			inside(newLayout("", n.Repo).folder)
			if n.File != "" {
				inside(n.File)
			}
		}
		if checkRevision(etag) == nil {
			inside(etag)
		}
	})
}
