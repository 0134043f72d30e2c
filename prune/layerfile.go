package prune

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"

	"armor/prune/solve"
)

// A pruned module is kept until the end of the job as one file: the length of a
// JSON header, u32, the header, then A, B and the kept values in bf16, then the
// numbers of the masks, two to a byte.

// layerHeader says what a module's file holds; lengths are elements.
type layerHeader struct {
	Out, In, BlockOut, BlockIn int
	A, B                       int
}

func encodeLayer(l *solve.Layer) ([]byte, error) {
	header, err := json.Marshal(layerHeader{l.Out, l.In, l.BlockOut, l.BlockIn, len(l.A), len(l.B)})
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	b = append(b, header...)
	for _, part := range [][]float32{l.A, l.B, l.Values} {
		for _, v := range part {
			bits := math.Float32bits(v)
			if bits&0xffff != 0 {
				return nil, fmt.Errorf("value %v is not rounded to bf16", v)
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(bits>>16))
		}
	}
	for i := 0; i < len(l.Mask); i += 2 {
		m := l.Mask[i]
		if i+1 < len(l.Mask) {
			m |= l.Mask[i+1] << 4
		}
		b = append(b, m)
	}
	return b, nil
}

// decodeLayer reads what encodeLayer wrote, for a module of out × in.
func decodeLayer(data []byte, out, in int) (*solve.Layer, error) {
	if len(data) < 4 {
		return nil, fmt.Errorf("got %d bytes, want a header", len(data))
	}
	n := int(binary.LittleEndian.Uint32(data))
	data = data[4:]
	if n > len(data) {
		return nil, fmt.Errorf("header: got %d bytes, want at most %d", n, len(data))
	}
	var h layerHeader
	d := json.NewDecoder(bytes.NewReader(data[:n]))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	data = data[n:]
	if h.Out != out || h.In != in {
		return nil, fmt.Errorf("shape: got %d × %d, want %d × %d", h.Out, h.In, out, in)
	}
	wrappers := h.A == out*h.BlockOut && h.B == in*h.BlockIn && h.BlockOut > 0 && h.BlockIn > 0
	if none := h.A == 0 && h.B == 0; !none && !wrappers {
		return nil, fmt.Errorf("wrappers: got %d and %d elements in blocks of %d and %d", h.A, h.B, h.BlockOut, h.BlockIn)
	}
	values, masks := out*in/2, out*in/4
	if want := 2*(h.A+h.B+values) + (masks+1)/2; len(data) != want {
		return nil, fmt.Errorf("got %d bytes of data, want %d", len(data), want)
	}
	l := &solve.Layer{Out: out, In: in, BlockOut: h.BlockOut, BlockIn: h.BlockIn}
	floats := func(n int) []float32 {
		if n == 0 {
			return nil
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		}
		data = data[2*n:]
		return v
	}
	l.A, l.B, l.Values = floats(h.A), floats(h.B), floats(values)
	l.Mask = make([]uint8, masks)
	for i := range l.Mask {
		l.Mask[i] = data[i/2] >> (i % 2 * 4) & 15
		if l.Mask[i] > 5 {
			return nil, fmt.Errorf("mask %d: got %d, want 0 to 5", i, l.Mask[i])
		}
	}
	return l, nil
}
