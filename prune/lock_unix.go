//go:build unix

package prune

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"armor/model/atomicfile"

	"golang.org/x/sys/unix"
)

// lock makes this process the only writer of dir until unlock is called. The
// system gives the lock back when the process ends, however it ends.
func lock(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, atomicfile.Cause(err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: another armor-prune is at work there", dir)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
