package kernels

import (
	"fmt"
	"unsafe"

	"github.com/edsrzf/mmap-go"
)

// arena gives zeroed, 64-byte aligned memory from anonymous mappings: outside
// the Go heap, so that weights do not double what the collector lets it grow to.
type arena struct {
	maps  []mmap.MMap
	free  []byte
	used  int64
	large [][]byte                    // what was given out in pieces of at least streamChunk
	guard func(n int) ([]byte, error) // of tests, in place of take: no byte behind can be read
}

const (
	arenaChunk = 32 << 20
	mostChunk  = 256 << 20
	cacheLine  = 64
)

func (a *arena) alloc(n int) ([]byte, error) {
	take := a.take
	if a.guard != nil {
		take = a.guard
	}
	b, err := take(roundUp(n, cacheLine))
	if len(b) >= streamChunk {
		a.large = append(a.large, b)
	}
	return b, err
}

func (a *arena) take(n int) ([]byte, error) {
	if n > len(a.free) {
		// As much again, so that few chunks end within a huge page, which is there whole.
		size := max(n, arenaChunk, min(int(a.used), mostChunk))
		m, err := mmap.MapRegion(nil, size, private, mmap.ANON, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot get %d MiB of memory: %w", size>>20, err)
		}
		adviseHuge(m)
		a.maps = append(a.maps, m)
		if size-n < len(a.free) { // keep the larger rest
			a.used += int64(n)
			return m[:n:n], nil
		}
		a.free = m
	}
	b := a.free[:n:n]
	a.free = a.free[n:]
	a.used += int64(n)
	return b, nil
}

func (a *arena) close() error {
	var first error
	for i := range a.maps {
		if err := a.maps[i].Unmap(); err != nil && first == nil {
			first = err
		}
	}
	*a = arena{}
	return first
}

func ceil(n, by int) int { return (n + by - 1) / by }

func roundUp(n, to int) int { return ceil(n, to) * to }

func asF32(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

func asI8(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

func asU16(b []byte) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/2)
}

func asU32(b []byte) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

func asU64(b []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)
}
