package solve

import "armor/kernels/block"

// storedA is A as it is stored, [Out, bo].
func (q *quantizer) storedA() []float32 {
	a := make([]float32, len(q.a))
	if q.codesA != nil {
		q.codesA.Values(a)
		return a
	}
	for i, v := range q.a {
		a[i] = float32(float64(v) * q.n.row[i/q.bo])
	}
	roundBF16(a)
	return a
}

// storedB is B as it is stored, [In, bi].
func (q *quantizer) storedB() []float32 {
	b := make([]float32, len(q.b))
	if q.codesB != nil {
		q.codesB.Values(b)
		return b
	}
	q.unscaledB(b)
	roundBF16(b)
	return b
}

func (q *quantizer) unscaledB(dst []float32) {
	inParallel(q.threads, q.p.In, func(_, i int) {
		x := make([]float64, q.bi)
		q.unscaleIn(x, q.b[i*q.bi:][:q.bi], i/q.bi)
		for c, v := range x {
			dst[i*q.bi+c] = float32(v)
		}
	})
}

// takeA sets A to what is stored.
func (q *quantizer) takeA(stored []float32) {
	for i, v := range stored {
		q.a[i] = float32(float64(v) / q.n.row[i/q.bo])
	}
}

// takeB sets B′ to what is stored.
func (q *quantizer) takeB(stored []float32) {
	inParallel(q.threads, q.p.In, func(_, i int) {
		x := make([]float64, q.bi)
		for c, v := range stored[i*q.bi:][:q.bi] {
			x[c] = float64(v)
		}
		q.scaleIn(q.b[i*q.bi:][:q.bi], x, i/q.bi)
	})
}

// roundA puts A on its grid.
func (q *quantizer) roundA() {
	if q.grid.Wrappers == 0 {
		q.takeA(q.storedA())
		q.products()
		return
	}
	q.codesA = newCodes(q.grid.Wrappers, len(q.a), q.bo)
	q.latticesA(enters)
}

// descendA goes over A's codes.
func (q *quantizer) descendA() {
	if q.codesA != nil {
		q.latticesA(settled)
	}
}

func (q *quantizer) latticesA(at level) {
	bo := q.bo
	unit := make([]float32, q.p.Out)
	for i, r := range q.n.row {
		unit[i] = float32(1 / r)
	}
	inParallel(q.threads, q.nj, func(worker, j int) {
		ws := &q.spaces[worker]
		a := q.a[j*bo*bo:][:bo*bo]
		gram, down := q.systemA(ws, j)
		scale(down, -1)
		l := &lattice{rows: bo, cols: bo, tiles: []latticeTile{{x: a, g: down, gb: gram}}, unit: unit[j*bo:][:bo],
			codes: q.codesA, first: j * bo * bo, stride: bo, kept: bo, each: bo, levels: levelsOf(8), level: func(int) level { return at }}
		l.descend(q.math, &q.lattices[worker])
	})
	q.products()
}

// roundB puts B on its grid.
func (q *quantizer) roundB() {
	if q.grid.Wrappers == 0 {
		q.takeB(q.storedB())
		q.productsB()
		return
	}
	q.codesB = newCodes(q.grid.Wrappers, len(q.b), q.bi)
	q.latticesB(enters)
}

// descendB goes over B's codes.
func (q *quantizer) descendB() {
	if q.codesB != nil {
		q.latticesB(settled)
	}
}

// latticesB works on B as it is stored: the loss weighs its columns by the inputs.
func (q *quantizer) latticesB(at level) {
	bi, m := q.bi, q.math
	b := make([]float32, len(q.b))
	if at == enters {
		q.unscaledB(b)
	} else {
		q.codesB.Values(b)
	}
	inParallel(q.threads, q.nk, func(worker, k int) {
		ws := &q.spaces[worker]
		to := q.inputs[k*bi*bi:][:bi*bi]
		gram, down := q.systemB(ws, k)
		from, weights, g := ws.x[:bi*bi], ws.step[:bi*bi], make([]float32, bi*bi)
		m.Transpose(from, bi, to, bi, bi, bi)
		m.Mul(weights, bi, block.Set, to, bi, 1, from, bi, bi, bi, bi)
		m.Mul(g, bi, block.Sub, down, bi, 1, from, bi, bi, bi, bi)
		l := &lattice{rows: bi, cols: bi, tiles: []latticeTile{{x: b[k*bi*bi:][:bi*bi], g: g, gb: weights}}, ga: gram,
			codes: q.codesB, first: k * bi * bi, stride: bi, kept: bi, each: bi, levels: levelsOf(8), level: func(int) level { return at }}
		l.descend(m, &q.lattices[worker])
	})
	q.takeB(b)
	q.productsB()
}
