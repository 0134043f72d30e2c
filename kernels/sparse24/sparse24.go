// Package sparse24 is the 2:4 format that the pruner, the files and the kernels
// share: of each aligned group of four consecutive inputs of a row, exactly two
// are kept. A row of n inputs, n a multiple of 4, is
//
//	values    [n/2]           the kept inputs, ascending; explicit zeros among them
//	masks     [n/4]           which two of each group, a number from 0 to 5
//	bits      [ceil(n/8)]     the same in files: bit k of byte j is input 8j+k
//	positions [n/4]           the same for kernels: bits 0–1 and 2–3 of a byte are
//	                          the places of the first and the second
//
// The masks in order keep {0,1}, {0,2}, {0,3}, {1,2}, {1,3} and {2,3}.
package sparse24

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Group is the inputs of a group, Kept how many of them are kept.
const (
	Group = 4
	Kept  = 2
	Masks = 6 // choices of Kept of Group
)

// Places gives the two places in a group that a mask keeps, ascending.
func Places(mask uint8) (first, second int) {
	p := positions[mask]
	return int(p & 3), int(p >> 2)
}

var (
	nibbles   = [Masks]uint8{0b0011, 0b0101, 0b1001, 0b0110, 0b1010, 0b1100}
	positions = [Masks]uint8{0 | 1<<2, 0 | 2<<2, 0 | 3<<2, 1 | 2<<2, 1 | 3<<2, 2 | 3<<2}
	// ofNibble is the mask of four bits, or none.
	ofNibble = [16]uint8{none, none, none, 0, none, 1, 3, none, none, 2, 4, none, 5, none, none, none}
)

const none = 0xff

// ofByte is the masks of two groups.
var ofByte = func() (masks [256][2]uint8) {
	for b := range masks {
		masks[b] = [2]uint8{ofNibble[b&15], ofNibble[b>>4]}
	}
	return masks
}()

// check panics unless a row of n inputs has groups and slices of these lengths.
func check(ok bool, n, a, b int) {
	if !ok {
		panic(fmt.Sprintf("sparse24: %d inputs with slices of %d and %d", n, a, b))
	}
}

// Choose sets masks [n/4] to ones that keep every nonzero of row [n], and the
// lowest places besides. It returns the first group with more than two, or -1.
func Choose(masks []uint8, row []float32) (bad int) {
	check(len(row)%Group == 0 && len(masks) == len(row)/Group, len(row), len(masks), 0)
	for g := range masks {
		var kept uint8
		for i, v := range row[Group*g : Group*g+Group] {
			if v != 0 { // a NaN is not 0
				kept |= 1 << i
			}
		}
		if bits.OnesCount8(kept) > Kept {
			return g
		}
		for i := 0; bits.OnesCount8(kept) < Kept; i++ {
			kept |= 1 << i
		}
		masks[g] = ofNibble[kept]
	}
	return -1
}

// Pack sets values [n/2] to what masks [n/4] keep of row [n].
func Pack(values, row []float32, masks []uint8) {
	check(len(row) == Group*len(masks) && len(values) == Kept*len(masks), len(row), len(values), len(masks))
	for g, m := range masks {
		first, second := Places(m)
		values[2*g], values[2*g+1] = row[Group*g+first], row[Group*g+second]
	}
}

// Unpack sets row [n] to values [n/2] where masks [n/4] keep them, else to 0.
func Unpack(row, values []float32, masks []uint8) {
	check(len(row) == Group*len(masks) && len(values) == Kept*len(masks), len(row), len(values), len(masks))
	clear(row)
	for g, m := range masks {
		first, second := Places(m)
		row[Group*g+first], row[Group*g+second] = values[2*g], values[2*g+1]
	}
}

// RowBytes is the length of the bits of a row of n inputs.
func RowBytes(n int) int { return (n + 7) / 8 }

// ToBits sets bits [ceil(n/8)] from masks [n/4]. Unused bits are 0.
func ToBits(bits, masks []uint8) {
	check(len(bits) == RowBytes(Group*len(masks)), Group*len(masks), len(bits), len(masks))
	clear(bits)
	for g, m := range masks {
		bits[g/2] |= nibbles[m] << (g % 2 * 4)
	}
}

// FromBits sets masks [n/4] from bits [ceil(n/8)]. It returns the first group
// that has other than two bits, or -1. The bits behind the last group must be 0,
// else it returns n/4, a group that is not there.
func FromBits(masks, bits []uint8) (bad int) {
	check(len(bits) == RowBytes(Group*len(masks)), Group*len(masks), len(bits), len(masks))
	for i := wordMasks(masks, bits) / 2; i < len(masks)/2; i++ {
		two := ofByte[bits[i]]
		if two[0]|two[1] == none {
			if two[0] == none {
				return 2 * i
			}
			return 2*i + 1
		}
		*(*[2]uint8)(masks[2*i:]) = two
	}
	if last := len(masks) - 1; last%2 == 0 {
		if masks[last] = ofNibble[nibble(bits, last)]; masks[last] == none {
			return last
		}
		if nibble(bits, last+1) != 0 {
			return last + 1
		}
	}
	return -1
}

func nibble(bits []uint8, group int) uint8 { return bits[group/2] >> (group % 2 * 4) & 15 }

// Validate requires exactly two bits in each group of rows rows of n inputs, bits
// [rows, ceil(n/8)], and names the first row and group that differ.
func Validate(bits []uint8, rows, n int) error {
	size := RowBytes(n)
	check(n%Group == 0 && len(bits) == rows*size, n, len(bits), rows)
	masks := make([]uint8, n/Group)
	for r := range rows {
		row := bits[r*size : (r+1)*size]
		if g := FromBits(masks, row); g >= 0 {
			return BadGroup(row, n, r, g)
		}
	}
	return nil
}

// BadGroup is the error of the group g of row r that FromBits refused in bits
// [ceil(n/8)].
func BadGroup(row []uint8, n, r, g int) error {
	got := bits.OnesCount8(nibble(row, g))
	if g >= n/Group {
		return fmt.Errorf("row %d: got %d bits behind the last of %d inputs, want none", r, got, n)
	}
	return fmt.Errorf("row %d, group %d: got %d bits, want %d of %d", r, g, got, Kept, Group)
}

// CheckMasks returns the first group whose mask is no number from 0 to 5, or -1.
func CheckMasks(masks []uint8) (bad int) {
	g := 0
	for ; g+8 <= len(masks); g += 8 { // 6 and more have the top bit, or get it
		eight := binary.LittleEndian.Uint64(masks[g:])
		if (eight|(eight+0x7a7a7a7a7a7a7a7a))&0x8080808080808080 != 0 {
			break
		}
	}
	for ; g < len(masks); g++ {
		if masks[g] >= Masks {
			return g
		}
	}
	return -1
}

// ToPositions sets dst [n/4] to the positions of masks [n/4].
func ToPositions(dst, masks []uint8) {
	check(len(dst) == len(masks), Group*len(masks), len(dst), len(masks))
	g := 0
	if whole := len(masks) &^ 31; whole > 0 && hasAVX2 {
		maskPositionsAVX2(&dst[0], &masks[0], whole)
		g = whole
	}
	for ; g+8 <= len(masks); g += 8 {
		binary.LittleEndian.PutUint64(dst[g:], bytePositions(binary.LittleEndian.Uint64(masks[g:])))
	}
	for ; g < len(masks); g++ {
		dst[g] = positions[masks[g]]
	}
}

// FromPositions sets masks [n/4] from positions [n/4]. It returns the first group
// whose places do not ascend or that has higher bits, or -1.
func FromPositions(masks, src []uint8) (bad int) {
	check(len(src) == len(masks), Group*len(masks), len(src), len(masks))
	for g, p := range src {
		first, second := p&3, p>>2
		if second > 3 || first >= second {
			return g
		}
		masks[g] = ofNibble[1<<first|1<<second]
	}
	return -1
}
