package fourbit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestUnpack: by definition, for every number of codes and in place; nothing beside
// them is written.
func TestUnpack(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for n := 0; n <= 32*9; n += 32 {
		for _, offset := range []int{0, 8} {
			mem := make([]byte, n+2)
			for i := range mem {
				mem[i] = byte(rng.Uint32())
			}
			want := bytes.Clone(mem)
			codes := mem[1 : n+1]
			src := bytes.Clone(codes[n/2:])
			for i, b := range src {
				low, high := int8(b<<4)>>4, int8(b)>>4
				if offset == 8 {
					low, high = int8(b&15)-8, int8(b>>4)-8
				}
				want[1+2*i], want[2+2*i] = byte(low), byte(high)
			}
			apart := make([]byte, n)
			Unpack(apart, src, offset)
			Unpack(codes, codes[n/2:], offset)
			if !bytes.Equal(mem, want) || !bytes.Equal(apart, want[1:n+1]) {
				t.Fatalf("%d codes, offset %d: got %v and %v, want %v", n, offset, mem, apart, want)
			}
		}
	}
}

func TestUnpackBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for n := range 9 {
		src, codes, scales := make([]byte, 18*n), make([]byte, 32*n+2), make([]uint16, n+2)
		for i := range src {
			src[i] = byte(rng.Uint32())
		}
		want, wantScales := make([]byte, len(codes)), make([]uint16, len(scales))
		for g := range n {
			b := src[18*g:]
			wantScales[1+g] = uint16(b[0]) | uint16(b[1])<<8
			for i, c := range b[2:18] {
				want[1+32*g+i], want[1+32*g+16+i] = c&15-8, c>>4-8
			}
		}
		UnpackBlocks(codes[1:1+32*n], scales[1:1+n], src)
		if !bytes.Equal(codes, want) || !slices.Equal(scales, wantScales) {
			t.Fatalf("%d blocks: got %v, %v, want %v, %v", n, codes, scales, want, wantScales)
		}
	}
}

func TestFold(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for n := range 9 {
		for _, step := range []int{4, 6} {
			codes, dst := make([]byte, 32*n), make([]uint32, step*n+4)
			for i := range codes {
				codes[i] = byte(rng.Uint32())
			}
			want := slices.Clone(dst)
			for i, c := range codes {
				at := i / 8
				want[at/4*step+at%4] |= uint32(c&15) << (i%4*8 + i%8/4*4)
			}
			if Fold(dst, step, codes); !slices.Equal(dst, want) {
				t.Fatalf("%d, step %d: got %x, want %x", n, step, dst, want)
			}
		}
	}
}

// TestLengths: slices that are too short for a kernel are the programmer's error.
func TestLengths(t *testing.T) {
	b := make([]byte, 64)
	for i, f := range []func(){
		func() { Unpack(b[:33], b[:16], 0) },
		func() { Unpack(b[:32], b[:15], 0) },
		func() { Unpack(b[:32], b[:16], 1) },
		func() { UnpackBlocks(b[:31], make([]uint16, 1), b[:18]) },
		func() { UnpackBlocks(b[:32], make([]uint16, 1), b[:17]) },
		func() { Fold(make([]uint32, 9), 6, b) },
		func() { Fold(make([]uint32, 8), 3, b) },
		func() { Fold(make([]uint32, 8), 4, b[:40]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(fmt.Sprint("case ", i, " did not panic"))
				}
			}()
			f()
		}()
	}
}
