// Package fourbit puts numbers of four bits into bytes of their own, and back, eight
// at a time.
package fourbit

// Split gives each four bits of x, the lowest first, a byte.
func Split(x uint32) uint64 {
	w := uint64(x)
	w = (w | w<<16) & 0x0000ffff0000ffff
	w = (w | w<<8) & 0x00ff00ff00ff00ff
	return (w | w<<4) & 0x0f0f0f0f0f0f0f0f
}

// Join is the reverse of Split. The high halves of the bytes are 0.
func Join(w uint64) uint32 {
	w = (w | w>>4) & 0x00ff00ff00ff00ff
	w = (w | w>>8) & 0x0000ffff0000ffff
	return uint32(w | w>>16)
}

// Low gives the low halves of bytes, and High the high ones.
func Low(w uint64) uint64  { return w & 0x0f0f0f0f0f0f0f0f }
func High(w uint64) uint64 { return w >> 4 & 0x0f0f0f0f0f0f0f0f }

// Less8 subtracts 8 from each byte, 0 to 15: the bytes become two's complement.
func Less8(w uint64) uint64 {
	const top = 0x8080808080808080 // keeps a byte from borrowing of the next
	return ((w | top) - 0x0808080808080808) ^ top
}
