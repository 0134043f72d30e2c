package calib

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The encodings of values in parquet pages (Apache parquet-format,
// Encodings.md). Nothing is allocated for more values than a page may have.

var errValues = fmt.Errorf("%w: the values of a page do not fit in it", errColumn)

// length reads the length of a text in front of it, and is not ok where the
// text is longer than what follows.
func length(data []byte) (n int, rest []byte, ok bool) {
	if len(data) < 4 {
		return 0, nil, false
	}
	u := binary.LittleEndian.Uint32(data)
	rest = data[4:]
	if uint64(u) > uint64(len(rest)) {
		return 0, nil, false
	}
	return int(u), rest, true
}

// plain are texts, each behind its length, that can be had by number.
type plain struct {
	data  []byte
	begin []uint32 // [texts] where each begins in data
}

// newPlain finds at most count texts.
func newPlain(data []byte, count int) (plain, error) {
	p := plain{data: data, begin: make([]uint32, 0, min(count, len(data)/4))}
	for rest := data; len(rest) > 0 && p.len() < count; {
		n, after, ok := length(rest)
		if !ok {
			return plain{}, errValues
		}
		p.begin = append(p.begin, uint32(len(data)-len(rest)))
		rest = after[n:]
	}
	return p, nil
}

func (p plain) len() int { return len(p.begin) }

func (p plain) at(i int) []byte {
	n, rest, _ := length(p.data[p.begin[i]:])
	return rest[:n]
}

// runs are numbers of width bits (0 to 32) in the hybrid of run lengths and bit
// packing.
type runs struct {
	data  []byte
	width int

	left   uint64 // numbers of the run at hand
	value  uint32 // what it repeats
	packed []byte // or where it is packed
	bit    int    // of packed, where the next number begins
}

func (r *runs) next() (uint32, error) {
	for r.left == 0 {
		head, n := binary.Uvarint(r.data)
		if n <= 0 {
			return 0, errValues
		}
		r.data = r.data[n:]
		r.left, r.packed, r.bit = head>>1, nil, 0
		if head&1 == 1 {
			groups := head >> 1 // of eight numbers
			if groups > math.MaxInt32 {
				return 0, errValues
			}
			size := min(int(groups)*r.width, len(r.data))
			r.left, r.packed, r.data = groups*8, r.data[:size], r.data[size:]
			if r.width == 0 {
				r.packed, r.value = nil, 0
			}
			continue
		}
		size := (r.width + 7) / 8
		if size > len(r.data) {
			return 0, errValues
		}
		r.value = 0
		for i, b := range r.data[:size] {
			r.value |= uint32(b) << (8 * i)
		}
		r.data = r.data[size:]
	}
	r.left--
	if r.packed == nil {
		return r.value, nil
	}
	v, err := bitsAt(r.packed, r.bit, r.width)
	r.bit += r.width
	return uint32(v), err
}

// bitsAt reads a number of up to 64 bits, the lowest first.
func bitsAt(data []byte, at, width int) (uint64, error) {
	if at+width > 8*len(data) {
		return 0, errValues
	}
	v := uint64(0)
	for got := 0; got < width; {
		b := uint64(data[(at+got)/8]) >> ((at + got) % 8)
		v |= b << got
		got += 8 - (at+got)%8
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v, nil
}

// deltaLengths reads at most count lengths packed as differences, and returns
// what follows them.
func deltaLengths(data []byte, count int) ([]int32, []byte, error) {
	header := [3]uint64{} // numbers in a block, parts of a block, numbers in all
	for i := range header {
		u, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, nil, errValues
		}
		header[i], data = u, data[n:]
	}
	first, n := binary.Varint(data)
	block, parts, all := header[0], header[1], header[2]
	if n <= 0 || block == 0 || block > 1<<16 || parts == 0 || parts > block || block%parts != 0 || block/parts%8 != 0 || all > uint64(count) {
		return nil, nil, errValues
	}
	data = data[n:]
	if all == 0 {
		return nil, data, nil
	}
	lengths := append(make([]int32, 0, all), int32(first))
	last := first
	for uint64(len(lengths)) < all {
		smallest, n := binary.Varint(data)
		if n <= 0 || uint64(len(data)-n) < parts {
			return nil, nil, errValues
		}
		widths := data[n : n+int(parts)]
		data = data[n+int(parts):]
		for _, width := range widths {
			if uint64(len(lengths)) == all { // parts that are not needed are not there
				break
			}
			size := int(block/parts) / 8 * int(width)
			if width > 64 || size > len(data) {
				return nil, nil, errValues
			}
			for i := 0; i < int(block/parts) && uint64(len(lengths)) < all; i++ {
				d, err := bitsAt(data[:size], i*int(width), int(width))
				if err != nil {
					return nil, nil, err
				}
				last = int64(int32(last + smallest + int64(d)))
				lengths = append(lengths, int32(last))
			}
			data = data[size:]
		}
	}
	return lengths, data, nil
}
