package sparse24

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"
)

// order is what the format fixes.
var order = [Masks][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}

func TestOrder(t *testing.T) {
	for m, want := range order {
		if a, b := Places(uint8(m)); a != want[0] || b != want[1] {
			t.Errorf("mask %d keeps %d and %d, want %v", m, a, b, want)
		}
		var file, kernel [1]uint8
		ToBits(file[:], []uint8{uint8(m)})
		ToPositions(kernel[:], []uint8{uint8(m)})
		if got := file[0]; got != 1<<want[0]|1<<want[1] {
			t.Errorf("mask %d is bits %04b", m, got)
		}
		if got := kernel[0]; got != uint8(want[0]|want[1]<<2) {
			t.Errorf("mask %d is positions %04b", m, got)
		}
	}
}

// Every nibble in both places of a byte, and every byte of positions.
func TestEveryPattern(t *testing.T) {
	for n := range 16 {
		for place := range 2 {
			b := []uint8{0b0101 << (4 - 4*place)}
			b[0] |= uint8(n) << (4 * place)
			masks := make([]uint8, 2)
			bad := FromBits(masks, b)
			if two := bits.OnesCount8(uint8(n)) == 2; two != (bad == -1) {
				t.Errorf("bits %04b at %d: bad group %d", n, place, bad)
			} else if two && nibbles[masks[place]] != uint8(n) || !two && bad != place {
				t.Errorf("bits %04b at %d: masks %v, bad %d", n, place, masks, bad)
			}
		}
	}
	seen := 0
	for p := range 256 {
		m := []uint8{0}
		if FromPositions(m, []uint8{uint8(p)}) == -1 {
			seen++
			back := []uint8{0}
			if ToPositions(back, m); back[0] != uint8(p) {
				t.Errorf("positions %08b come back as %08b", p, back[0])
			}
		}
	}
	if seen != Masks {
		t.Errorf("%d bytes are positions, want %d", seen, Masks)
	}
}

func TestChoose(t *testing.T) {
	nan, minus := float32(math.NaN()), float32(math.Copysign(0, -1))
	for _, c := range []struct {
		row  []float32
		want []uint8
		bad  int
	}{
		{[]float32{}, nil, -1},
		{[]float32{0, 0, 0, 0}, []uint8{0}, -1},
		{[]float32{minus, 0, 0, minus}, []uint8{0}, -1},
		{[]float32{0, 0, 0, 7}, []uint8{2}, -1},
		{[]float32{0, 5, 0, 0}, []uint8{0}, -1},
		{[]float32{0, 0, 5, 0}, []uint8{1}, -1},
		{[]float32{0, nan, 0, 1}, []uint8{4}, -1},
		{[]float32{1, 2, 0, 0, 0, 0, 1, 2}, []uint8{0, 5}, -1},
		{[]float32{1, 2, 0, 0, 0, 3, 1, 2}, nil, 1},
		{[]float32{1, 2, nan, 0, 0, 3, 1, 2}, nil, 0},
	} {
		masks := make([]uint8, len(c.row)/4)
		if bad := Choose(masks, c.row); bad != c.bad || bad == -1 && !slices.Equal(masks, c.want) {
			t.Errorf("%v: masks %v, bad group %d, want %v, %d", c.row, masks, bad, c.want, c.bad)
		}
	}
}

func TestValidate(t *testing.T) {
	good := []uint8{0x35, 0x0c, 0xca, 0x03} // two rows of 12
	if err := Validate(good, 2, 12); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		at    int
		value uint8
		words string
	}{
		{0, 0x31, "row 0, group 0: got 1 bits, want 2 of 4"},
		{0, 0xf5, "row 0, group 1: got 4 bits"},
		{2, 0x00, "row 1, group 0: got 0 bits"},
		{3, 0x07, "row 1, group 2: got 3 bits"},
		{3, 0x13, "row 1: got 1 bits behind the last of 12 inputs, want none"},
	} {
		bad := slices.Clone(good)
		bad[c.at] = c.value
		if err := Validate(bad, 2, 12); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("got %v, want %q", err, c.words)
		}
	}
	if got := CheckMasks([]uint8{0, 5, 6}); got != 2 {
		t.Errorf("bad mask at %d, want 2", got)
	}
}

// FuzzBits: bits that are accepted survive all three forms and a dense row.
func FuzzBits(f *testing.F) {
	f.Add([]byte{0x35, 0x0c}, 3)
	f.Add([]byte{0x35, 0x1c}, 3)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, groups int) {
		if groups < 0 || groups > 2*len(data) {
			return
		}
		data = data[:RowBytes(Group*groups)]
		masks := make([]uint8, groups)
		bad := FromBits(masks, data)
		if err := Validate(data, 1, Group*groups); (err == nil) != (bad == -1) {
			t.Fatalf("Validate says %v, FromBits %d", err, bad)
		}
		if bad >= 0 {
			return
		}
		again := make([]uint8, len(data))
		if ToBits(again, masks); !slices.Equal(again, data) {
			t.Fatalf("%x comes back as %x", data, again)
		}
		positions, from := make([]uint8, groups), make([]uint8, groups)
		ToPositions(positions, masks)
		if FromPositions(from, positions) != -1 || !slices.Equal(from, masks) {
			t.Fatalf("masks %v come back as %v", masks, from)
		}
		values := make([]float32, Kept*groups)
		for i := range values {
			values[i] = float32(i + 1)
		}
		row, back := make([]float32, Group*groups), make([]float32, Kept*groups)
		Unpack(row, values, masks)
		for i, v := range row {
			if kept := data[i/8]>>(i%8)&1 == 1; kept != (v != 0) {
				t.Fatalf("input %d is %g, its bit %v", i, v, kept)
			}
		}
		if Choose(from, row) != -1 || !slices.Equal(from, masks) {
			t.Fatalf("chosen masks %v, want %v", from, masks)
		}
		if Pack(back, row, masks); !slices.Equal(back, values) {
			t.Fatalf("values %v, want %v", back, values)
		}
	})
}

// TestCheckMasks: the first of all bytes that are no masks, in every place.
func TestCheckMasks(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for value := range 256 {
				masks := make([]uint8, n)
				for i := range masks {
					masks[i] = uint8(i % Masks)
				}
				masks[n-1] = 0xff
				masks[at] = uint8(value)
				want := n - 1
				if value >= Masks {
					want = at
				} else if at == n-1 {
					want = -1
				}
				if got := CheckMasks(masks); got != want {
					t.Fatalf("%d of %d is %d: got %d, want %d", at, n, value, got, want)
				}
			}
		}
	}
}
