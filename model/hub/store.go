package hub

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// link makes the snapshot's entry of a file: a relative link, so that the cache
// may be moved; where the system has none, a hard link; else a copy.
func (p *puller) link(f *file) error {
	blob, pointer := p.blob(f.meta.etag), p.pointer(p.listing.commit, f.name)
	if sameFile(blob, pointer) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(pointer), 0o777); err != nil {
		return err
	}
	if err := os.Remove(pointer); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(pointer), blob)
	if err != nil {
		return err
	}
	if p.symlink(target, pointer) == nil || p.hardlink(blob, pointer) == nil {
		syncFolder(filepath.Dir(pointer))
		return nil
	}
	from, err := os.Open(blob)
	if err != nil {
		return err
	}
	defer from.Close()
	return replace(pointer, p.blobs(), from)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// replace writes a file beside others in a folder of the same disk and renames it
// when it is whole.
func replace(path, folder string, content io.Reader) error {
	f, err := os.CreateTemp(folder, "*.tmp")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), os.Remove(f.Name()))
	}
	syncFolder(filepath.Dir(path))
	return nil
}

// writeRef says which commit a revision is. Python reads the text as it is,
// without a line break.
func (p *puller) writeRef(commit string) error {
	path := p.ref(p.Revision)
	if old, err := readLimited(path, 256); err == nil && string(old) == commit {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return replace(path, filepath.Dir(path), strings.NewReader(commit))
}

// syncFolder makes a rename last through a loss of power, where the system can.
func syncFolder(path string) {
	if d, err := os.Open(path); err == nil {
		_ = d.Sync() // not every file system can
		d.Close()
	}
}
