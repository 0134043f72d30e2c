package block

// Carry saves a core where its descent ended, and moves it on: see ref.Carry. S
// and from [n] and masks [n/4] are whole cores without gaps, values and was
// [n/2] their kept values. Results are the same on every instruction set.
func (m Math) Carry(values, s []float32, mask []uint8, from []float32, maskFrom []uint8, was []float32, maskWas []uint8, beyond, momentum float32) {
	n := len(mask)
	if len(s) != 4*n || len(from) != 4*n || len(values) != 2*n || len(was) != 2*n || len(maskFrom) != n || len(maskWas) != n {
		panic("block: slices of different lengths")
	}
	m.carry(values, s, mask, from, maskFrom, was, maskWas, beyond, momentum)
}
