// Package hub finds models in the cache that Python's huggingface_hub keeps, and
// downloads models from a Hugging Face hub into it:
//
//	models--ORG--NAME/blobs/ETAG                  the bytes, under their hash
//	models--ORG--NAME/snapshots/COMMIT/FILE       a link to ../../blobs/ETAG
//	models--ORG--NAME/refs/REVISION               the commit of a branch or tag
//	.locks/models--ORG--NAME/ETAG.lock            held while ETAG is downloaded
//
// Whatever a hub says is checked before it is believed: names, sizes, lengths,
// and every byte against the hash under which it was promised.
package hub

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// DefaultEndpoint is the public hub.
const DefaultEndpoint = "https://huggingface.co"

// Options say where the cache and the hub are. Only CacheDir has no default.
type Options struct {
	CacheDir string // the folder of the models--* folders
	Revision string // branch, tag or commit; main

	// The rest counts for Pull only.
	Endpoint string        // DefaultEndpoint
	Token    string        // sent to the endpoint's own host only; none
	Client   *http.Client  // its redirects are not used; one with the environment's proxies
	Parallel int           // files at once; 4
	Retries  int           // failures in a row that bring no new byte; 5, negative: none
	Backoff  time.Duration // the first wait between them, then doubled; 1 s
	Stall    time.Duration // a connection silent for so long is given up; 30 s

	// Other than os.Symlink, os.Link and freeSpace in tests only.
	symlink, hardlink func(from, to string) error
	free              func(dir string) (int64, bool)
}

func (o Options) withDefaults() (Options, error) {
	if o.CacheDir == "" {
		return o, errors.New("hub: no cache folder")
	}
	if o.Revision == "" {
		o.Revision = "main"
	}
	if err := checkRevision(o.Revision); err != nil {
		return o, err
	}
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	if o.Parallel < 1 {
		o.Parallel = 4
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	if o.Backoff <= 0 {
		o.Backoff = time.Second
	}
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	if o.symlink == nil {
		o.symlink = os.Symlink
	}
	if o.hardlink == nil {
		o.hardlink = os.Link
	}
	if o.free == nil {
		o.free = freeSpace
	}
	return o, nil
}

// parseEndpoint wants the address of a hub, perhaps with a path (a mirror).
func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(endpoint, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("endpoint: got %q, want an address like %s", endpoint, DefaultEndpoint)
	}
	return u, nil
}

// Name is a model's name: ORG/NAME, or ORG/NAME:FILE.gguf.
type Name struct {
	Repo string // ORG/NAME
	File string // a GGUF file of the repository, or empty
}

func (n Name) String() string {
	if n.File == "" {
		return n.Repo
	}
	return n.Repo + ":" + n.File
}

// The hub's own rule: letters, digits, "-", "_", "."; the ends are no "-" or ".".
var repoPattern = regexp.MustCompile(`^(\w|\w[\w.-]{0,94}\w)/(\w|\w[\w.-]{0,94}\w)$`)

// ParseName reads ORG/NAME or ORG/NAME:FILE.gguf.
func ParseName(s string) (Name, error) {
	repo, file, named := strings.Cut(s, ":")
	if !repoPattern.MatchString(repo) || strings.Contains(repo, "--") || strings.Contains(repo, "..") ||
		strings.HasSuffix(repo, ".git") {
		return Name{}, fmt.Errorf("model name %q: want ORG/NAME or ORG/NAME:FILE.gguf", s)
	}
	if named {
		if err := checkWritable(file); err != nil {
			return Name{}, fmt.Errorf("model name %q: file: %w", s, err)
		}
		if !strings.HasSuffix(file, ".gguf") {
			return Name{}, fmt.Errorf("model name %q: file: got %q, want one that ends in .gguf", s, file)
		}
	}
	return Name{Repo: repo, File: file}, nil
}

// layout gives the paths of one repository in a cache.
type layout struct{ cache, folder string }

func newLayout(cache, repo string) layout {
	return layout{cache, "models--" + strings.ReplaceAll(repo, "/", "--")}
}

func (l layout) root() string                  { return filepath.Join(l.cache, l.folder) }
func (l layout) blobs() string                 { return filepath.Join(l.root(), "blobs") }
func (l layout) blob(etag string) string       { return filepath.Join(l.blobs(), etag) }
func (l layout) incomplete(etag string) string { return l.blob(etag) + ".incomplete" }
func (l layout) lock(etag string) string {
	return filepath.Join(l.cache, ".locks", l.folder, etag+".lock")
}
func (l layout) ref(revision string) string {
	return filepath.Join(l.root(), "refs", filepath.FromSlash(revision))
}
func (l layout) snapshot(commit string) string { return filepath.Join(l.root(), "snapshots", commit) }
func (l layout) pointer(commit, file string) string {
	return filepath.Join(l.snapshot(commit), filepath.FromSlash(file))
}
