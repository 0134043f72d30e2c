//go:build linux || darwin || freebsd

package hub

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// freeSpace is what this user may still write to the file system of a folder.
func freeSpace(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	blocks, size := uint64(max(s.Bavail, 0)), uint64(s.Bsize)
	if size == 0 || blocks > (1<<63-1)/size {
		return 0, false
	}
	return int64(blocks * size), true
}

// tryLock locks an open file against other processes, Python's among them, until
// it is closed. A file system without locks is taken as free: the worst is
// the same bytes written twice.
func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR):
		return false, nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOLCK):
		return true, nil
	}
	return err == nil, err
}
