package block

import "armor/kernels/ref"

// Adam makes one step of the optimizer Adam on x, given minus half its gradient:
// see ref.Adam. All slices are as long as x; results are the same on every
// instruction set.
func (m Math) Adam(x, down, first, second []float32, rate, scale float32) {
	if len(down) != len(x) || len(first) != len(x) || len(second) != len(x) {
		panic("block: slices of different lengths")
	}
	m.adam(x, down, first, second, rate, scale)
}

// AdamKept is Adam of a 2:4 core x [4·groups] of mask [groups], without a gradient
// for what it does not keep, which is zero afterwards: see ref.AdamKept.
func (m Math) AdamKept(x []float32, mask []uint8, down, first, second []float32, rate, scale float32) {
	if len(x) != 4*len(mask) || len(down) != len(x) || len(first) != len(x) || len(second) != len(x) {
		panic("block: slices of different lengths")
	}
	m.adamKept(x, mask, down, first, second, rate, scale)
}

// AbsSumsChunk is how many elements one of AbsSums has.
const AbsSumsChunk = ref.AbsSumsChunk

// AbsSums sets sums to Σ |x| of the chunks of x in f64, the same on every
// instruction set; the last chunk may be shorter.
func (m Math) AbsSums(sums []float64, x []float32) {
	if len(sums) != (len(x)+AbsSumsChunk-1)/AbsSumsChunk {
		panic("block: a sum is missing")
	}
	m.absSums(sums, x)
}
