// Package atomicfile writes files that are whole or not there, also after a loss
// of power.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path by content: temporary file beside it, fsync,
// rename, fsync of the folder. On an error the old file stays and the temporary
// one is gone; the error is one line that begins with path.
func Write(path string, content io.Reader) error {
	return WriteVia(filepath.Dir(path), path, content)
}

// WriteVia is Write with the temporary file in another folder of the same disk.
func WriteVia(folder, path string, content io.Reader) error {
	f, err := os.CreateTemp(folder, ".*.tmp")
	if err != nil {
		return fmt.Errorf("%s: %w", path, Cause(err))
	}
	_, err = io.Copy(f, content)
	err = first(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = first(err, os.Remove(f.Name()))
		return fmt.Errorf("%s: %w", path, Cause(err))
	}
	SyncFolder(filepath.Dir(path))
	return nil
}

// first keeps the message to one line: a full disk fails every step after it.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// SyncFolder makes renames in a folder last through a loss of power, where the
// system can.
func SyncFolder(path string) {
	if d, err := os.Open(path); err == nil {
		_ = d.Sync() // not every file system can
		d.Close()
	}
}

// Cause leaves out the path that a system call's error names, for messages that
// begin with the path the user knows.
func Cause(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
