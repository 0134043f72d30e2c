package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// Source is the bytes of one file. ReadAt is safe for concurrent use. A Source
// that is also an io.Closer is closed with its Checkpoint.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Releaser is a Source that can give memory back to the system.
type Releaser interface {
	// Release says that the n bytes at off will not soon be read again. They
	// stay readable.
	Release(off, n int64)
}

// FromBytes makes a Source of bytes in memory, which it keeps.
func FromBytes(b []byte) Source { return memory(b) }

type memory []byte

func (m memory) Size() int64 { return int64(len(m)) }

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// OpenFile maps a regular file into memory. Directories, pipes and devices are
// refused at once. A file that shrinks while it is mapped gives errors, not
// faults. The result is an io.Closer and a Releaser.
func OpenFile(path string) (Source, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	m, err := mapFile(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: cannot map it into memory: %w", path, cause(err))
	}
	return m, nil
}

// openRegular opens what path leads to, through links, if it is a regular file.
func openRegular(path string) (*os.File, error) {
	// Asking first keeps devices untouched: to open a tape rewinds it.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	// It may have become a pipe since; without O_NONBLOCK opening that waits.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = regular(info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func regular(info fs.FileInfo) error {
	kind := "something else"
	switch mode := info.Mode(); {
	case mode.IsRegular():
		if info.Size() > math.MaxInt {
			return fmt.Errorf("too large for this machine: %d bytes", info.Size())
		}
		return nil
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	}
	return fmt.Errorf("got %s, want a regular file", kind)
}

// cause leaves out the path, which the caller puts first.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
