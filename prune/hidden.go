package prune

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
)

// hidden holds the residual stream of the calibration windows between layers,
// in memory or in a file that is gone when the process is.
type hidden struct {
	rows, dim int       // rows of a window
	data      []float32 // [windows, rows, dim], or nil
	file      *os.File
	bytes     []byte // one window
}

// newHidden makes room for windows in memory, or in a file in dir if dir is given.
func newHidden(windows, rows, dim int, dir string) (*hidden, error) {
	h := &hidden{rows: rows, dim: dim}
	if dir == "" {
		h.data = make([]float32, windows*rows*dim)
		return h, nil
	}
	f, err := os.CreateTemp(dir, "hidden-*.tmp")
	if err != nil {
		return nil, err
	}
	h.file, h.bytes = f, make([]byte, 4*rows*dim)
	return h, nil
}

// window gives window w [rows, dim]; buf is used where it is in a file.
func (h *hidden) window(w int, buf []float32) ([]float32, error) {
	n := h.rows * h.dim
	if h.data != nil {
		return h.data[w*n:][:n], nil
	}
	if _, err := h.file.ReadAt(h.bytes, int64(w)*int64(4*n)); err != nil {
		return nil, fmt.Errorf("%s: %w", h.file.Name(), err)
	}
	for i := range n {
		buf[i] = math.Float32frombits(binary.LittleEndian.Uint32(h.bytes[4*i:]))
	}
	return buf[:n], nil
}

// put stores window w.
func (h *hidden) put(w int, x []float32) error {
	n := h.rows * h.dim
	if h.data != nil {
		copy(h.data[w*n:][:n], x)
		return nil
	}
	for i, v := range x[:n] {
		binary.LittleEndian.PutUint32(h.bytes[4*i:], math.Float32bits(v))
	}
	if _, err := h.file.WriteAt(h.bytes, int64(w)*int64(4*n)); err != nil {
		return fmt.Errorf("%s: %w", h.file.Name(), err)
	}
	return nil
}

func (h *hidden) close() {
	if h.file != nil {
		h.file.Close()
		os.Remove(h.file.Name())
	}
}
