package solve

import "math"

// normal is NoWag's view of a layer: W̄_ij = W_ij / (row_i · col_j), whose
// columns have norm 1 before the rows are divided, and inputs' weights of mean 1.
type normal struct {
	row []float64 // [Out]
	col []float64 // [In]
	h   []float64 // [In]
}

// smallest is the least norm, relative to the mean one, that is divided by:
// rows and columns of zeros stay zero.
const smallest = 1e-5

// smallestWeight bounds an input's weight from below, so that √h and its
// inverse square stay far from f32's limits.
const smallestWeight = 1e-12

func normalize(p *Problem, threads int) *normal {
	n := &normal{row: make([]float64, p.Out), col: make([]float64, p.In), h: cleanDiag(p.Hessian.Diag)}
	const strip = 64 // columns
	inParallel(threads, (p.In+strip-1)/strip, func(_, task int) {
		first := task * strip
		sums := n.col[first:min(first+strip, p.In)]
		for i := range p.Out {
			for j, w := range p.W[i*p.In+first:][:len(sums)] {
				sums[j] += float64(w) * float64(w)
			}
		}
	})
	roots(n.col)
	inverse := make([]float64, p.In)
	for j, c := range n.col {
		inverse[j] = 1 / c
	}
	inParallel(threads, p.Out, func(_, i int) {
		sum := 0.0
		for j, w := range p.W[i*p.In:][:p.In] {
			v := float64(w) * inverse[j]
			sum += v * v
		}
		n.row[i] = sum
	})
	roots(n.row)
	return n
}

// roots makes sums of squares norms that can be divided by.
func roots(squares []float64) {
	sum := 0.0
	for i, s := range squares {
		squares[i] = math.Sqrt(s)
		sum += squares[i]
	}
	least := smallest * sum / float64(len(squares))
	if least == 0 {
		least = 1
	}
	for i, s := range squares {
		squares[i] = max(s, least)
	}
}

// cleanDiag is h scaled to mean 1, with the mean of the others where it is not
// finite and positive, or 1 where it nowhere is.
func cleanDiag(diag []float64) []float64 {
	h := make([]float64, len(diag))
	good := func(v float64) bool { return v > 0 && !math.IsInf(v, 1) }
	largest, sum, count := 0.0, 0.0, 0
	for _, v := range diag {
		if good(v) {
			largest = max(largest, v)
		}
	}
	for _, v := range diag {
		if good(v) {
			sum += v / largest
			count++
		}
	}
	for j, v := range diag {
		h[j] = 1
		if good(v) {
			h[j] = max(v/largest/(sum/float64(count)), smallestWeight)
		}
	}
	return h
}
