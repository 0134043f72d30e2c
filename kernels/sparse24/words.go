package sparse24

import (
	"encoding/binary"

	"armor/kernels/fourbit"
)

// Sixteen groups of bits are a word, and so are their positions or masks, of four
// bits each: a place of each group is in ones.
const ones = 0x1111111111111111

// sound says whether all groups have two bits.
func sound(w uint64) bool {
	w -= w >> 1 & 0x5555555555555555
	return w&0x3333333333333333+w>>2&0x3333333333333333 == 2*ones
}

// places are those of sound groups, the first and the second, two bits each.
func places(w uint64) (first, second uint64) {
	not0, b1, not2, b3 := ^w&ones, w>>1, ^w>>2&ones, w>>3&ones
	return not0&b1 | not0&^b1<<1, not2 | b3 | (not2&^b3^ones)<<1
}

// BitsToPositions sets positions, of 16 groups each, the first lowest, from the bits
// of n inputs [n/8], a multiple of 64. It returns the first group that has other
// than two bits, or -1.
func BitsToPositions(dst []uint64, bits []uint8) (bad int) {
	check(len(bits) == 8*len(dst), 8*len(bits), len(dst), len(bits))
	i := 0
	if whole := len(bits) &^ 31; whole > 0 && hasAVX2 {
		i = positionsAVX2(&dst[0], &bits[0], whole) / 8
	}
	for ; i < len(dst); i++ {
		w := binary.LittleEndian.Uint64(bits[8*i:])
		if !sound(w) {
			return 16*i + badGroup(bits[8*i:][:8])
		}
		first, second := places(w)
		dst[i] = first | second<<2
	}
	return -1
}

// CheckBits returns the first group of the bits of n inputs [n/8] that has other than
// two bits, or -1.
func CheckBits(bits []uint8) (bad int) {
	at := 0
	if whole := len(bits) &^ 31; whole > 0 && hasAVX2 {
		at = soundAVX2(&bits[0], whole)
	}
	for ; at+8 <= len(bits) && sound(binary.LittleEndian.Uint64(bits[at:])); at += 8 {
	}
	if g := badGroup(bits[at:]); g >= 0 {
		return 2*at + g
	}
	return -1
}

func badGroup(bits []uint8) int {
	for i, b := range bits {
		switch {
		case ofNibble[b&15] == none:
			return 2 * i
		case ofNibble[b>>4] == none:
			return 2*i + 1
		}
	}
	return -1
}

// wordMasks sets masks [groups] from bits as far as there are whole words of sound
// groups, and returns how many.
func wordMasks(masks, bits []uint8) (done int) {
	if whole := len(masks) / 2 &^ 31; whole > 0 && hasAVX2 {
		done = 2 * masksAVX2(&masks[0], &bits[0], whole)
	}
	for ; done+16 <= len(masks); done += 16 {
		w := binary.LittleEndian.Uint64(bits[done/2:])
		if !sound(w) {
			break
		}
		first, second := places(w)
		// From 1 on, first skips the masks of 0, three, from 2 on those of 1, two.
		m := second - ones + (first|first>>1)&ones<<1 + first>>1&ones
		binary.LittleEndian.PutUint64(masks[done:], fourbit.Split(uint32(m)))
		binary.LittleEndian.PutUint64(masks[done+8:], fourbit.Split(uint32(m>>32)))
	}
	return done
}

// bytePositions are the positions of eight masks.
func bytePositions(m uint64) uint64 {
	const ones = 0x0101010101010101
	first1 := (m + 0x7d*ones) >> 7 & ones // from mask 3 on
	first2 := (m + 0x7b*ones) >> 7 & ones // mask 5
	return 4*m + 4*ones - 7*first1 - 3*first2
}

// JoinPositions sets dst, positions of 16 groups each, from single ones [16·len(dst)].
func JoinPositions(dst []uint64, positions []uint8) {
	check(len(positions) == 16*len(dst), Group*len(positions), len(dst), len(positions))
	for i := range dst {
		p := positions[16*i:][:16]
		low, high := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
		dst[i] = uint64(fourbit.Join(low)) | uint64(fourbit.Join(high))<<32
	}
}
