package prune

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"armor/prune/solve"
)

// A pruned module is kept until the end of the job as one file: the length of a
// JSON header, u32, the header, then A, B and the kept values, each in bf16 or as
// codes of a byte and then scales in f16, then the numbers of the masks, two to a
// byte.

// layerHeader says what a module's file holds; lengths are elements. Bits are 0 for
// bf16.
type layerHeader struct {
	Out, In, BlockOut, BlockIn int
	A, B                       int
	CoreBits, WrapperBits      int `json:",omitempty"`
}

func bitsOf(c *solve.Codes) int {
	if c == nil {
		return 0
	}
	return c.Bits
}

func encodeLayer(l *solve.Layer) ([]byte, error) {
	header, err := json.Marshal(layerHeader{l.Out, l.In, l.BlockOut, l.BlockIn, len(l.A), len(l.B), bitsOf(l.Core), bitsOf(l.CodesA)})
	if err != nil {
		return nil, err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	b = append(b, header...)
	for _, part := range []struct {
		x []float32
		c *solve.Codes
	}{{l.A, l.CodesA}, {l.B, l.CodesB}, {l.Values, l.Core}} {
		if part.c != nil {
			for _, v := range part.c.Codes {
				b = append(b, byte(v))
			}
			for _, v := range part.c.Scales {
				b = binary.LittleEndian.AppendUint16(b, v)
			}
			continue
		}
		for _, v := range part.x {
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

// size is the bytes of n numbers, of which each share a scale.
func size(n, bits, each int) int {
	if bits == 0 {
		return 2 * n
	}
	return n + 2*(n/each)
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
	if !slices.Contains([]int{0, 4, 8}, h.CoreBits) || h.WrapperBits != 0 && (h.WrapperBits != 8 || !wrappers) || h.CoreBits > 0 && in%solve.GroupSize != 0 {
		return nil, fmt.Errorf("codes: got %d bits and %d for wrappers, want 0, 4 or 8, and 0 or 8", h.CoreBits, h.WrapperBits)
	}
	const kept = solve.GroupSize / 2 // numbers that share a scale
	if want := size(h.A, h.WrapperBits, h.BlockOut) + size(h.B, h.WrapperBits, h.BlockIn) + size(values, h.CoreBits, kept) + (masks+1)/2; len(data) != want {
		return nil, fmt.Errorf("got %d bytes of data, want %d", len(data), want)
	}
	l := &solve.Layer{Out: out, In: in, BlockOut: h.BlockOut, BlockIn: h.BlockIn}
	numbers := func(n, bits, each int) ([]float32, *solve.Codes) {
		if n == 0 {
			return nil, nil
		}
		v := make([]float32, n)
		if bits == 0 {
			for i := range v {
				v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
			}
			data = data[2*n:]
			return v, nil
		}
		c := &solve.Codes{Bits: bits, Codes: make([]int8, n), Scales: make([]uint16, n/each)}
		for i := range c.Codes {
			c.Codes[i] = int8(data[i])
		}
		for i := range c.Scales {
			c.Scales[i] = binary.LittleEndian.Uint16(data[n+2*i:])
		}
		data = data[n+2*len(c.Scales):]
		c.Values(v)
		return v, c
	}
	l.A, l.CodesA = numbers(h.A, h.WrapperBits, h.BlockOut)
	l.B, l.CodesB = numbers(h.B, h.WrapperBits, h.BlockIn)
	l.Values, l.Core = numbers(values, h.CoreBits, kept)
	l.Mask = make([]uint8, masks)
	for i := range l.Mask {
		l.Mask[i] = data[i/2] >> (i % 2 * 4) & 15
		if l.Mask[i] > 5 {
			return nil, fmt.Errorf("mask %d: got %d, want 0 to 5", i, l.Mask[i])
		}
	}
	return l, nil
}
