//go:build !unix

package prune

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"armor/model/atomicfile"
)

// lock makes this process the only writer of dir until unlock is called. After a
// crash the file has to be removed by hand.
func lock(dir string) (unlock func(), err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: another armor-prune is at work there, or one has crashed: then remove this file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, atomicfile.Cause(err))
	}
	return func() {
		f.Close()
		os.Remove(path)
	}, nil
}
