package hub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"armor/model/atomicfile"
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
		atomicfile.SyncFolder(filepath.Dir(pointer))
		return nil
	}
	from, err := os.Open(blob)
	if err != nil {
		return err
	}
	defer from.Close()
	return atomicfile.WriteVia(p.blobs(), pointer, from)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
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
	return atomicfile.Write(path, strings.NewReader(commit))
}
