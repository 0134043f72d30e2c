package checkpoint

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"

	"github.com/edsrzf/mmap-go"
)

// mapped is a file in memory.
type mapped struct {
	mu   sync.RWMutex // Close waits for those who read
	file *os.File     // nil once closed
	data mmap.MMap    // nil where size is 0: an empty file cannot be mapped
	size int64
}

func mapFile(f *os.File) (*mapped, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := &mapped{file: f, size: info.Size()}
	if m.size > 0 {
		m.data, err = mmap.MapRegion(f, int(m.size), mmap.RDONLY, 0, 0)
	}
	return m, err
}

func (m *mapped) Size() int64 { return m.size }

func (m *mapped) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.file == nil {
		return 0, fs.ErrClosed
	}
	n, err := m.copy(p, off)
	if err != nil {
		return 0, err
	}
	// The last page of a shortened file reads as zeros and does not fault.
	info, err := m.file.Stat()
	if err != nil {
		return 0, cause(err)
	}
	if info.Size() < m.size {
		return 0, fmt.Errorf("the file was truncated while open: got %d bytes, want %d", info.Size(), m.size)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// copy is memory's ReadAt, for pages that may be gone.
func (m *mapped) copy(p []byte, off int64) (n int, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // of a runtime.Error: a fault at that address
			n, err = 0, fmt.Errorf("cannot read %d bytes at %d: the file was truncated or its disk failed", len(p), off)
		default:
			panic(fault)
		}
	}()
	n, err = memory(m.data).ReadAt(p, off)
	if err == io.EOF {
		err = nil // ReadAt reports it after it has looked at the file
	}
	return n, err
}

func (m *mapped) Release(off, n int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.file == nil {
		return
	}
	page := int64(os.Getpagesize())
	begin := (max(off, 0) + page - 1) / page * page
	end := min(off+n, m.size) / page * page
	if begin < end {
		release(m.data[begin:end])
	}
}

// Close may be called while others read; they finish, later reads fail.
func (m *mapped) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		return nil
	}
	var err error
	if m.data != nil {
		err = m.data.Unmap()
	}
	if e := m.file.Close(); err == nil {
		err = e
	}
	m.file = nil
	return err
}
