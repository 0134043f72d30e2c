package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"armor/internal/cli"
	"armor/model/hub"
)

const pullCommit = "0123456789abcdef0123456789abcdef01234567"

// pullHub is a hub on loopback with one small model, which the environment names.
func pullHub(t *testing.T) *httptest.Server {
	files := map[string]string{"config.json": "{}", "model.safetensors": strings.Repeat("weights ", 1<<18)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/models/org/name/revision/main" {
			fmt.Fprintf(w, `{"sha": %q, "siblings": [{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]}`, pullCommit)
			return
		}
		text, ok := files[strings.TrimPrefix(r.URL.Path, "/org/name/resolve/"+pullCommit+"/")]
		if !ok {
			w.Header().Set("X-Error-Code", "GatedRepo")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		sum := sha256.Sum256([]byte(text))
		w.Header().Set("X-Repo-Commit", pullCommit)
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(s.Close)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("HF_TOKEN", "")
	t.Setenv("HF_HUB_OFFLINE", "")
	return s
}

// runPull is the command pull with these arguments, and what it prints.
func runPull(t *testing.T, a ...string) (string, error) {
	var out bytes.Buffer
	c := newPull()
	c.SetArgs(a)
	c.SetOut(&out)
	c.SilenceUsage, c.SilenceErrors = true, true
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

func TestPullCommand(t *testing.T) {
	pullHub(t)
	want := filepath.Join(os.Getenv("HF_HUB_CACHE"), "models--org--name", "snapshots", pullCommit)
	_, err := findModel(t.Context(), "org/name")
	if err == nil || !strings.HasSuffix(err.Error(), "to download it: armor-run pull org/name") {
		t.Errorf("before the pull: %v", err)
	}
	for range 2 { // the second has nothing to do
		if out, err := runPull(t, "--quiet", "org/name"); out != want+"\n" || err != nil {
			t.Errorf("got %q, %v, want %s", out, err, want)
		}
	}
	if path, err := findModel(t.Context(), "org/name"); path != want || err != nil {
		t.Errorf("after the pull: %s, %v", path, err)
	}
	t.Setenv("HF_HUB_OFFLINE", "1")
	if _, err := runPull(t, "org/name"); err == nil || !strings.Contains(err.Error(), "HF_HUB_OFFLINE=1") {
		t.Errorf("offline: %v", err)
	}
}

func TestPullCommandErrors(t *testing.T) {
	pullHub(t)
	for _, a := range [][]string{{}, {"a/b", "c/d"}, {"name"}, {"org/name:x.bin"}, {"../x"}} {
		_, err := runPull(t, a...)
		if !cli.IsUsage(err) {
			t.Errorf("%q: got %v, want an error of usage", a, err)
		}
	}
	_, err := runPull(t, "--quiet", "other/name")
	if err == nil || !strings.HasPrefix(err.Error(), "other/name: gated: accept its terms at http://127.0.0.1:") {
		t.Errorf("gated: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o, _ := cli.HubOptions(os.Getenv)
	if _, err := pull(ctx, "org/name", o, true); !errors.Is(err, cli.ErrInterrupted) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// What is on disk, and what can be no name, is left to whoever opens it.
func TestFindModelOnDisk(t *testing.T) {
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("models/tiny", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, argument := range []string{"models/tiny", "./models/none", "none.gguf", "/a/b/c", "models"} {
		if path, err := findModel(t.Context(), argument); path != argument || err != nil {
			t.Errorf("%s: %s, %v", argument, path, err)
		}
	}
}

func TestHubOptions(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	below := func(parts ...string) string { return filepath.Join(append([]string{home}, parts...)...) }
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, below(".cache", "huggingface", "hub")},
		{map[string]string{"XDG_CACHE_HOME": below("x")}, below("x", "huggingface", "hub")},
		{map[string]string{"XDG_CACHE_HOME": below("x"), "HF_HOME": "~/hf"}, below("hf", "hub")},
		{map[string]string{"HF_HOME": below("hf"), "HUGGINGFACE_HUB_CACHE": below("old")}, below("old")},
		{map[string]string{"HF_HUB_CACHE": "$BIG/hub", "BIG": below("big"), "HF_HOME": below("hf")}, below("big", "hub")},
	} {
		o, err := cli.HubOptions(func(name string) string { return c.env[name] })
		if o.CacheDir != c.want || err != nil {
			t.Errorf("%v: got %s, %v, want %s", c.env, o.CacheDir, err, c.want)
		}
	}
	o, _ := cli.HubOptions(func(name string) string {
		return map[string]string{"HF_ENDPOINT": "http://127.0.0.1:1", "HF_TOKEN": "hf_x\n"}[name]
	})
	if o.Endpoint != "http://127.0.0.1:1" || o.Token != "hf_x" {
		t.Errorf("got %q, %q", o.Endpoint, o.Token)
	}
}

func TestReadYes(t *testing.T) {
	for text, want := range map[string]bool{"\n": true, "y\n": true, " YES \r\n": true, "n\n": false, "nope\n": false} {
		if yes, err := readYes(t.Context(), strings.NewReader(text)); yes != want || err != nil {
			t.Errorf("%q: %v, %v", text, yes, err)
		}
	}
	if _, err := readYes(t.Context(), strings.NewReader("")); err == nil {
		t.Error("an answer from an empty input")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, w := io.Pipe()
	defer w.Close()
	if _, err := readYes(ctx, silent); !errors.Is(err, cli.ErrInterrupted) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

// One pull as a terminal, a file and --quiet show it.
func TestPullProgress(t *testing.T) {
	const size = 8 << 20
	events := []hub.Event{
		{Note: "the list of files: 127.0.0.1: 503 Service Unavailable"},
		{File: "config.json", Size: 2, Done: 2}, {File: "model.safetensors", Size: size, Done: size / 4},
		{File: "config.json", Size: 2, Done: 2, Finished: true},
		{File: "model.safetensors", Size: size, Done: size / 2},
		{File: "model.safetensors", Size: size, Done: size / 2, Note: "127.0.0.1: the connection ended"},
		{File: "model.safetensors", Size: size, Done: size},
		{File: "model.safetensors", Size: size, Done: 0, Note: "damaged on the way; again from the beginning"},
		{File: "model.safetensors", Size: size, Done: size},
		{File: "model.safetensors", Size: size, Done: size, Finished: true},
	}
	for _, c := range []struct {
		terminal, quiet bool
		words           []string
	}{
		{false, false, []string{"armor-run: the list of files: ", "armor-run: 2 files, 8 MiB, of which 2 MiB are here\n",
			"armor-run: model.safetensors: 127.0.0.1: the connection ended\n", "again from the beginning\n"}},
		{true, false, []string{"armor-run: 2 files, ", "model.safetensors: damaged", "total", "100 %", "8.0 MiB / 8.0 MiB"}},
		{true, true, nil},
	} {
		var out bytes.Buffer
		p := newPullProgress(&out, c.terminal, c.quiet)
		for _, e := range events {
			p.event(e)
		}
		p.close()
		for _, word := range c.words {
			if !strings.Contains(out.String(), word) {
				t.Errorf("terminal %v: got %q, want %q in it", c.terminal, out.String(), word)
			}
		}
		if len(c.words) == 0 && out.Len() > 0 || !c.terminal && strings.Contains(out.String(), "\x1b") {
			t.Errorf("terminal %v, quiet %v: got %q", c.terminal, c.quiet, out.String())
		}
	}
}
