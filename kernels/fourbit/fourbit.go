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

// Less subtracts n, at most 128, from each byte, below 128: the bytes become two's
// complement.
func Less(w, n uint64) uint64 {
	const (
		each = 0x0101010101010101
		top  = 0x80 * each // keeps a byte from borrowing of the next
	)
	return ((w | top) - n*each) ^ top
}
