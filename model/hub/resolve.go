package hub

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NotCachedError says that a model, or a file of it, is not in the cache.
type NotCachedError struct {
	Name     Name
	Revision string
	CacheDir string
	Missing  string // the file that is missing from a snapshot, or empty: there is none
}

func (e *NotCachedError) Error() string {
	if e.Missing != "" {
		return fmt.Sprintf("%s: incomplete in the cache %s: %s is missing", e.Name.Repo, e.CacheDir, e.Missing)
	}
	return fmt.Sprintf("%s: revision %s is not in the cache %s", e.Name.Repo, e.Revision, e.CacheDir)
}

// Resolve finds ORG/NAME or ORG/NAME:FILE.gguf in the cache, without a network:
// the path of its snapshot folder, or of the (first) GGUF file in it. A model
// that is not there, or not all of it, is a *NotCachedError.
func Resolve(name string, o Options) (string, error) {
	n, err := ParseName(name)
	if err != nil {
		return "", err
	}
	if o, err = o.withDefaults(); err != nil {
		return "", err
	}
	absent := &NotCachedError{Name: n, Revision: o.Revision, CacheDir: o.CacheDir}
	l := newLayout(o.CacheDir, n.Repo)
	commit, err := l.commitOf(o.Revision)
	if errors.Is(err, fs.ErrNotExist) {
		return "", absent
	}
	if err != nil {
		return "", err
	}
	folder := l.snapshot(commit)
	if !isFolder(folder) {
		return "", absent
	}
	var missing string
	if n.File != "" {
		var parts []string
		if parts, err = splitSet(n.File); err != nil {
			return "", fmt.Errorf("%s: %w", n, err)
		}
		missing = firstMissing(folder, parts)
		folder = l.pointer(commit, parts[0])
	} else {
		missing, err = missingOf(folder, n)
	}
	if err != nil {
		return "", err
	}
	if missing != "" {
		absent.Missing = missing
		return "", absent
	}
	return folder, nil
}

// commitOf reads the commit that a revision stood for when it was downloaded.
func (l layout) commitOf(revision string) (string, error) {
	if isCommit(revision) {
		return revision, nil
	}
	path := l.ref(revision)
	text, err := readLimited(path, 256)
	if err != nil {
		return "", err
	}
	commit := strings.TrimSpace(string(text))
	if !isCommit(commit) {
		return "", fmt.Errorf("%s: got %s, want a commit", path, quote(commit))
	}
	return commit, nil
}

// missingOf names the first file without which a snapshot cannot be loaded:
// Python may have fetched the configuration alone.
func missingOf(folder string, n Name) (string, error) {
	if !isFile(filepath.Join(folder, configFile)) {
		if names := ggufIn(folder); len(names) > 0 {
			return "", ggufOnly(n.Repo, names)
		}
		return configFile, nil
	}
	if isFile(filepath.Join(folder, singleFile)) {
		return "", nil
	}
	path := filepath.Join(folder, indexFile)
	text, err := readLimited(path, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return singleFile, nil
	}
	if err != nil {
		return "", err
	}
	shards, err := parseIndex(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return firstMissing(folder, shards), nil
}

func firstMissing(folder string, names []string) string {
	for _, name := range names {
		if !isFile(filepath.Join(folder, filepath.FromSlash(name))) {
			return name
		}
	}
	return ""
}

// ggufIn lists the GGUF files at the root of a snapshot.
func ggufIn(folder string) []string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".gguf") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// readLimited reads a regular file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: want a file of at most %d bytes", path, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
