//go:build amd64 && !noasm

package amd64

import (
	"fmt"
	"testing"
	"unsafe"

	"armor/kernels/internal/kerneltest"
	"armor/kernels/ref"
	"armor/kernels/sparse24"
)

// lanesKernel is a row of the generated table.
type lanesKernel struct {
	name    string
	isa     kerneltest.ISA
	bits    int  // of a weight
	pairs   bool // activations are bf16 pairs too
	vectors int
	run     func(w unsafe.Pointer, wstride, values int, x unsafe.Pointer, k, tiles int, y *float32, add int)
}

// pack lays x [16·vectors, in] out in pieces, by the definition.
func (d *lanesKernel) pack(x []float32, in int) []byte {
	size := ref.LanesPiece(d.pairs)
	pieces := (in + ref.LanesInputs - 1) / ref.LanesInputs
	dst := make([]byte, pieces*d.vectors*size)
	at := func(i, t, slots, slot int) unsafe.Pointer {
		piece, group := i/ref.LanesInputs, i%ref.LanesInputs/4
		return unsafe.Pointer(&dst[(piece*d.vectors+t/16)*size+((group*slots+slot)*16+t%16)*4])
	}
	half := make([]uint16, len(x))
	ref.ToBF16(half, x)
	for t := range 16 * d.vectors {
		for i := 0; i < in; i += 4 {
			if !d.pairs {
				for j := range 4 {
					*(*float32)(at(i, t, 4, j)) = x[t*in+i+j]
				}
				continue
			}
			for slot, p := range [...][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}} {
				*(*[2]uint16)(at(i, t, 6, slot)) = [2]uint16{half[t*in+i+p[0]], half[t*in+i+p[1]]}
			}
		}
	}
	return dst
}

// rows is the kernel with rows in the lanes, of one token, of the same types.
func (d *lanesKernel) rows(t *testing.T) *denseKernel {
	for i := range sparseKernels {
		if s := &sparseKernels[i]; s.isa == d.isa && s.bits == d.bits && s.pairs == d.pairs && s.tiles == 1 && s.tokens == 1 {
			return s
		}
	}
	t.Fatalf("%s: no kernel with rows in the lanes", d.name)
	return nil
}

// TestLanes: sums have the bits of the kernels with rows in the lanes, and so
// of package ref, for all groups to two pieces and one.
func TestLanes(t *testing.T) {
	const maxGroups, pad = 2*ref.LanesGroups + 1, 72
	for i := range lanesKernels {
		d := &lanesKernels[i]
		t.Run(d.name, func(t *testing.T) {
			kerneltest.Need(t, d.isa)
			rows, tokens := d.rows(t), 16*d.vectors
			p, v := ref.SparseTile(d.bits, 4*maxGroups)
			piece := d.vectors * ref.LanesPiece(d.pairs)
			gw := kerneltest.NewGuard[uint8](t, 3*(p+v+pad))
			gx := kerneltest.NewGuard[uint8](t, 3*piece)
			gy := kerneltest.NewGuard[float32](t, 3*16*tokens)
			for k := 1; k <= maxGroups; k++ {
				in, tiles := 4*k, 1+k%3
				o := newSparse(uint64(k), d.bits, 16*tiles, in, pad, false)
				x := sparseNumbers(7, tokens*in, false)
				packed := d.pack(x, in)
				p, v := ref.SparseTile(d.bits, in)
				half := make([]uint16, len(x))
				ref.ToBF16(half, x)
				want := make([]float32, tiles*16*tokens)
				for token := range tokens {
					var one [16]float32
					from := unsafe.Pointer(&x[token*in])
					if d.pairs {
						from = unsafe.Pointer(&half[token*in])
					}
					for tile := range tiles {
						rows.run(unsafe.Pointer(&o.w[tile*(p+v+pad)]), 0, from, k, &one[0], 16, 0)
						for r, sum := range one {
							want[(tile*16+r)*tokens+token] = sum
						}
					}
				}
				for n, place := range kerneltest.Places {
					w := unsafe.Pointer(unsafe.SliceData(gw.Copy(o.w, place)))
					at := unsafe.Pointer(unsafe.SliceData(gx.Copy(packed, place)))
					y := gy.Slice(tiles*16*tokens, place)
					for g := 0; g < k; g += ref.LanesGroups {
						values := p + g*(d.bits*4) - 8*g
						d.run(unsafe.Add(w, 8*g), p+v+pad, values, unsafe.Add(at, g/ref.LanesGroups*piece), min(k-g, ref.LanesGroups), tiles, &y[0], min(g, 1))
					}
					if !kerneltest.Equal(t, fmt.Sprintf("%d groups, %d tiles, place %d", k, tiles, n), y, want) {
						return
					}
					gy.Check(t)
				}
				d.checkRef(t, o, packed, k, tiles, pad, want)
			}
		})
	}
}

// checkRef: package ref gives want, too; it has no pairs of bf16.
func (d *lanesKernel) checkRef(t *testing.T, o sparseOperands, x []byte, k, tiles, pad int, want []float32) {
	t.Helper()
	if d.pairs {
		return
	}
	p, v := ref.SparseTile(d.bits, 4*k)
	got := make([]float32, len(want))
	for g := 0; g < k; g += ref.LanesGroups {
		piece := unsafe.Slice((*float32)(unsafe.Pointer(&x[g/ref.LanesGroups*d.vectors*ref.LanesPiece(false)])), d.vectors*ref.LanesInputs*16)
		n := min(k-g, ref.LanesGroups)
		for tile := range tiles {
			w := o.w[tile*(p+v+pad):][:p+v]
			positions := unsafe.Slice((*uint64)(unsafe.Pointer(&w[8*g])), n)
			kept := unsafe.Pointer(&w[p+g*d.bits*4])
			y := got[tile*16*16*d.vectors:]
			if d.bits == 32 {
				ref.LanesF32F32(positions, unsafe.Slice((*float32)(kept), n*sparse24.Kept*16), piece, n, d.vectors, y, g > 0)
			} else {
				ref.LanesBF16F32(positions, unsafe.Slice((*uint16)(kept), n*sparse24.Kept*16), piece, n, d.vectors, y, g > 0)
			}
		}
	}
	kerneltest.Equal(t, "ref", got, want)
}

// TestLanesPairs: all pairs of each group, by the definition.
func TestLanesPairs(t *testing.T) {
	kerneltest.Need(t, "avx512")
	d := &lanesKernel{pairs: true, vectors: 1}
	for k := 1; k <= ref.LanesGroups; k++ {
		x := kerneltest.Normal(kerneltest.Rand(uint64(k)), 16*4*k)
		want := d.pack(x, 4*k)[:k*6*64]
		src := make([]uint16, 16*4*k)
		ref.PanelBF16(src, x, 4*k, 16, 4*k, 16)
		gs, gd := kerneltest.NewGuard[uint16](t, len(src)), kerneltest.NewGuard[uint8](t, len(want))
		for _, place := range kerneltest.Places {
			dst := gd.Slice(len(want), place)
			LanesPairsAVX512(unsafe.Pointer(&dst[0]), unsafe.Pointer(&gs.Copy(src, place)[0]), k)
			if !kerneltest.Equal(t, fmt.Sprint(k, " groups"), dst, want) {
				return
			}
			gd.Check(t)
		}
	}
}
