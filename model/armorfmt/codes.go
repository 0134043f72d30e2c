package armorfmt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unsafe"

	"armor/kernels/fourbit"
	"armor/kernels/ref"
	"armor/model/checkpoint"

	"github.com/x448/float16"
)

// The types of numbers that a folder can hold.
const (
	BF16 = "bf16"
	Int8 = "int8"
	Int4 = "int4"
	None = "none" // of wrappers: there are none
)

// Bits is the width of a type's codes, 0 where it has none.
func Bits(dtype string) int {
	switch dtype {
	case Int8:
		return 8
	case Int4:
		return 4
	}
	return 0
}

func integers(bits int) string {
	if bits == 4 {
		return Int4
	}
	return Int8
}

const (
	// GroupSize is the least number of inputs that share a scale of a core: a
	// file's group_size is a multiple of it.
	GroupSize = 64
	// HeadGroupSize is the inputs that share a scale of a quantized dense module.
	HeadGroupSize = 32
)

// Codes are numbers that are kept as integers: each is its scale times its code.
// Of 8 bits -127 … 127 occur, of 4 bits -8 … 7.
type Codes struct {
	Bits   int      // 8 or 4
	Codes  []int8   // as many as there are numbers
	Scales []uint16 // f16, finite, of 8 bits not negative; each of as many numbers as lie between
}

// check requires n numbers with scales of so many each.
func (c *Codes) check(n, each int) error {
	if c.Bits != 8 && c.Bits != 4 {
		return fmt.Errorf("got codes of %d bits, want 8 or 4", c.Bits)
	}
	if len(c.Codes) != n || len(c.Scales) != n/each {
		return fmt.Errorf("got %d codes and %d scales, want %d and %d", len(c.Codes), len(c.Scales), n, n/each)
	}
	if at := badCode(c.Codes, c.Bits); at >= 0 {
		return fmt.Errorf("code %d: got %d, want %s", at, c.Codes[at], codesOf(c.Bits))
	}
	if at := badScale(c.Scales, c.Bits); at >= 0 {
		return fmt.Errorf("scale %d: got %v, want %s", at, float16.Frombits(c.Scales[at]), scalesOf(c.Bits))
	}
	return nil
}

func codesOf(bits int) string {
	least, most := ref.CodeRange(bits)
	return fmt.Sprintf("%d to %d", least, most)
}

func scalesOf(bits int) string {
	if bits == 4 {
		return "a finite number"
	}
	return "a finite number from 0 on"
}

// badCode is the first code out of range, or -1.
func badCode(codes []int8, bits int) int {
	least, most := ref.CodeRange(bits)
	for i, c := range codes {
		if c > most || c < least {
			return i
		}
	}
	return -1
}

// badScale is the first scale that is infinite, NaN or, of 8 bits, negative, or -1.
func badScale(scales []uint16, bits int) int {
	sign := uint16(0)
	if bits == 4 {
		sign = 0x8000
	}
	at := 0
	for ; at+4 <= len(scales); at += 4 {
		s := scales[at:][:4]
		if carry(s[0]&^sign)|carry(s[1]&^sign)|carry(s[2]&^sign)|carry(s[3]&^sign) != 0 {
			break
		}
	}
	for ; at < len(scales); at++ {
		if scales[at]&^sign >= 0x7c00 {
			return at
		}
	}
	return -1
}

// carry is not 0 for what is not below 0x7c00.
func carry(s uint16) uint32 { return (uint32(s) + 0x8400) >> 16 }

// integer is a tensor of codes in a file with its scales, as a matrix: row-major
// codes, one after another in I8, or two in a U8, the low nibble first.
type integer struct {
	codes, scales *checkpoint.Tensor
	rows, cols    int // of codes
	bits          int
	offset        int8 // of a nibble; 0 is two's complement
	each          int  // codes of a row that share a scale
}

// bytesOf is the memory of codes.
func bytesOf(codes []int8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(codes))), len(codes))
}

func (m *integer) scalesPerRow() int { return m.cols / m.each }

// read reads n rows: codes [n, cols] and scales [n, cols/each].
func (m *integer) read(codes []int8, scales []uint16, row, n int) error {
	per := m.scalesPerRow()
	switch {
	case row < 0 || n < 0 || row > m.rows || n > m.rows-row:
		return m.codes.Errorf("rows: got %d from %d on, want within %d", n, row, m.rows)
	case n*m.cols > len(codes) || n*per > len(scales):
		return m.codes.Errorf("destination: got %d codes and %d scales, want %d rows of %d and %d", len(codes), len(scales), n, m.cols, per)
	}
	codes, scales = codes[:n*m.cols], scales[:n*per]
	packed := bytesOf(codes)
	if m.bits == 4 {
		packed = packed[len(packed)/2:]
	}
	if err := m.codes.ReadBytes(packed, int64(row)*int64(m.cols*m.bits/8)); err != nil {
		return err
	}
	if m.bits == 4 {
		fourbit.Unpack(bytesOf(codes), packed, int(m.offset))
	} else if at := bytes.IndexByte(packed, 0x80); at >= 0 { // -128 alone can be out of range, and no nibble
		return m.codes.Errorf("row %d, code %d: got %d, want %s", row+at/m.cols, at%m.cols, codes[at], codesOf(m.bits))
	}
	half := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(scales))), 2*len(scales))
	if err := m.scales.ReadBytes(half, 2*int64(row)*int64(per)); err != nil {
		return err
	}
	if at := badScale(scales, m.bits); at >= 0 {
		return m.scales.Errorf("row %d, column %d: got %v, want %s", row+at/per, at%per, float16.Frombits(scales[at]), scalesOf(m.bits))
	}
	return nil
}

// readFloats reads n rows as numbers [n, cols], which f32 holds exactly.
func (m *integer) readFloats(dst []float32, row, n int) error {
	if n >= 0 && n <= m.rows && n*m.cols > len(dst) {
		return m.codes.Errorf("destination: got %d elements, want %d rows of %d", len(dst), n, m.cols)
	}
	size := max(0, min(n, m.rows)) // read refuses another n
	codes, scales := make([]int8, size*m.cols), make([]uint16, size*m.scalesPerRow())
	if err := m.read(codes, scales, row, n); err != nil {
		return err
	}
	for g, s := range scales {
		scale := float16.Frombits(s).Float32()
		for i, c := range codes[g*m.each : (g+1)*m.each] {
			dst[g*m.each+i] = scale * float32(c)
		}
	}
	return nil
}

func (m *integer) release(row, n int) {
	m.codes.Release(row, n)
	if len(m.scales.Shape) > 1 { // else they are few, and not rows
		m.scales.Release(row, n)
	}
}

func (m *integer) bytes() int64 { return m.codes.Bytes() + m.scales.Bytes() }

// nibbles packs codes two to a byte, the low nibble first.
func nibbles(codes []int8, offset int8) []byte {
	b := make([]byte, len(codes)/2)
	for i := range b {
		b[i] = byte(codes[2*i]+offset)&15 | byte(codes[2*i+1]+offset)<<4
	}
	return b
}

// halfBytes are f16 numbers as a file has them.
func halfBytes(scales []uint16) []byte {
	b := make([]byte, 0, 2*len(scales))
	for _, s := range scales {
		b = binary.LittleEndian.AppendUint16(b, s)
	}
	return b
}

// codeBytes are codes as a core has them.
func (c *Codes) codeBytes() []byte {
	if c.Bits == 4 {
		return nibbles(c.Codes, 0)
	}
	b := make([]byte, len(c.Codes))
	for i, v := range c.Codes {
		b[i] = byte(v)
	}
	return b
}
