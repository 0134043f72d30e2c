package hub

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python runs a script with huggingface_hub, of the interpreter that ARMOR_PYTHON
// names. The script finds its arguments in a.
func python(t *testing.T, env []string, script string, a ...string) string {
	t.Helper()
	interpreter := os.Getenv("ARMOR_PYTHON")
	if interpreter == "" {
		t.Skip("ARMOR_PYTHON is not set")
	}
	if err := exec.Command(interpreter, "-c", "import huggingface_hub").Run(); err != nil {
		t.Skip("no huggingface_hub: ", err)
	}
	c := exec.CommandContext(t.Context(), interpreter, append([]string{"-c", "import sys, os\nfrom huggingface_hub import *\na = sys.argv[1:]\n" + script}, a...)...)
	c.Env = append(os.Environ(), append(env, "HF_HOME="+t.TempDir(), "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_XET=1",
		"HF_HUB_DISABLE_PROGRESS_BARS=1", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// Python without a network finds what we wrote, and online fetches none of it again.
func TestPythonReads(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 1<<20)))
	o := h.options(t)
	path := mustPull(t, h, o, testRepo)
	const script = `
path = snapshot_download(a[0], cache_dir=a[1], local_files_only=True)
for name in os.listdir(path):
    assert hf_hub_download(a[0], name, cache_dir=a[1], local_files_only=True) == os.path.join(path, name)
    assert try_to_load_from_cache(a[0], name, cache_dir=a[1]) == os.path.join(path, name)
info = scan_cache_dir(a[1])
assert not info.warnings, info.warnings
repo, = info.repos
revision, = repo.revisions
assert repo.repo_id == a[0] and revision.refs == {"main"} and len(revision.files) == len(os.listdir(path)), info
print(path)`
	if found := python(t, []string{"HF_HUB_OFFLINE=1"}, script, testRepo, o.CacheDir); found != path {
		t.Errorf("Python finds %s, want %s", found, path)
	}
	h.forget()
	found := python(t, []string{"HF_ENDPOINT=" + h.hub.URL},
		`print(snapshot_download(a[0], cache_dir=a[1], allow_patterns=["*.json", "*.jinja", "model.safetensors"], ignore_patterns="original/*"))`,
		testRepo, o.CacheDir)
	if d := h.downloads(); found != path || len(d) > 0 {
		t.Errorf("Python finds %s and downloads %v", found, d)
	}
}

// We find what Python wrote, and fetch none of it again.
func TestPythonWrites(t *testing.T) {
	files := modelFiles(large(1, 1<<20))
	files["m.gguf"] = large(2, 1000)
	h := newTestHub(t, files)
	o := h.options(t)
	env := []string{"HF_ENDPOINT=" + h.hub.URL, "HF_HUB_CACHE=" + o.CacheDir}
	path := python(t, env, `print(snapshot_download(a[0]))`, testRepo)
	if found, err := Resolve(testRepo, o); found != path || err != nil {
		t.Errorf("Resolve: %s, %v, want %s", found, err, path)
	}
	if found, err := Resolve(testRepo+":m.gguf", o); found != filepath.Join(path, "m.gguf") || err != nil {
		t.Errorf("Resolve: %s, %v", found, err)
	}
	h.forget()
	mustPull(t, h, o, testRepo)
	if d := h.downloads(); len(d) > 0 {
		t.Errorf("downloaded again: %v", d)
	}
}

// While Python holds the lock of a blob, we wait.
func TestPythonLocks(t *testing.T) {
	h := newTestHub(t, modelFiles(large(1, 1000)))
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
	out := python(t, nil, `
import filelock
try:
    filelock.FileLock(a[0]).acquire(timeout=0.2)
    print("free")
except filelock.Timeout:
    print("held")`, path)
	if out != "held" {
		t.Errorf("Python says that our lock is %s", out)
	}
}
