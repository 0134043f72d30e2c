package fourbit

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestFourBits: byte i is nibble i, by definition, and comes back; every pair of
// neighbours occurs.
func TestFourBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 1 << 16 {
		x := uint32(n) << (n % 5 * 4)
		if n%2 == 1 {
			x = rng.Uint32()
		}
		var split, less, whole [8]byte
		binary.LittleEndian.PutUint64(split[:], Split(x))
		binary.LittleEndian.PutUint64(less[:], Less(Split(x), 8))
		for i := range split {
			v := byte(x >> (4 * i) & 15)
			if split[i] != v || int8(less[i]) != int8(v)-8 {
				t.Fatalf("%#x, nibble %d: got %d and %d", x, i, split[i], int8(less[i]))
			}
			whole[i] = v | byte(rng.Uint32())<<4
		}
		w := binary.LittleEndian.Uint64(whole[:])
		if got := Join(Low(w)); got != x {
			t.Fatalf("got %#x, want %#x", got, x)
		}
		if got := Low(w) | High(w)<<4; got != w {
			t.Fatalf("halves: got %#x, want %#x", got, w)
		}
	}
}
