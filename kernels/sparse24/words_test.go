package sparse24

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWords: words of 16 groups give what single groups do, and every pattern in
// every place is refused as the first bad one, whatever follows.
func TestWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const words, groups = 9, 144 // two of AVX2's steps and a rest
	masks, back, single := make([]uint8, groups), make([]uint8, groups), make([]uint8, groups)
	bits := make([]uint8, groups/2)
	got, joined := make([]uint64, words), make([]uint64, words)
	for n := range groups * 256 {
		for i := range masks {
			masks[i] = uint8(rng.IntN(Masks))
		}
		ToBits(bits, masks)
		at, pattern := n%groups, uint8(n/groups)
		bits[at/2] = bits[at/2]&^(15<<(at%2*4)) | pattern&15<<(at%2*4)
		masks[at] = ofNibble[pattern&15]
		want := -1
		if masks[at] == none {
			want = at
			later := bits[at/2+1:]
			for i := range later {
				later[i] |= pattern >> 4
			}
		}
		if a, b, c := BitsToPositions(got, bits), CheckBits(bits), FromBits(back, bits); a != want || b != want || c != want {
			t.Fatalf("%x: first bad group %d, %d, %d, want %d", bits, a, b, c, want)
		}
		if want >= 0 {
			continue
		}
		if !slices.Equal(back, masks) {
			t.Fatalf("%x: masks %v, want %v", bits, back, masks)
		}
		ToPositions(single, masks)
		for i, m := range masks {
			first, second := Places(m)
			p := uint64(first | second<<2)
			if w := got[i/16] >> (i % 16 * 4) & 15; w != p || uint64(single[i]) != p {
				t.Fatalf("group %d, mask %d: positions %d and %d, want %d", i, m, w, single[i], p)
			}
		}
		if JoinPositions(joined, single); !slices.Equal(joined, got) {
			t.Fatalf("joined %x, want %x", joined, got)
		}
	}
	if bad := CheckBits([]uint8{0x33, 0x33, 0x32}); bad != 4 {
		t.Errorf("a part of a word: first bad group %d, want 4", bad)
	}
}
