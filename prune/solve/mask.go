package solve

import "math"

// pairs are the positions that each mask keeps.
var pairs = [6][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}

// bestMask keeps the two largest of four scores, the lower mask at ties.
func bestMask(score *[4]float64) uint8 {
	best, at := math.Inf(-1), 0
	for m, p := range pairs {
		if s := score[p[0]] + score[p[1]]; s > best {
			best, at = s, m
		}
	}
	return uint8(at)
}

// keep prunes by a score of each weight alone, the kept ones unchanged.
func (t *target) keep(method Method) Layer {
	p, n := t.p, t.n
	l := Layer{Out: p.Out, In: p.In, Values: make([]float32, p.Out*p.In/2), Mask: make([]uint8, p.Out*p.In/4)}
	parallel(t.threads, p.Out, func(_, i int) {
		for j := 0; j < p.In; j += 4 {
			w := p.W[i*p.In+j:][:4]
			var score [4]float64
			for q := range score {
				v := math.Abs(float64(w[q]))
				switch method {
				case Wanda:
					v *= math.Sqrt(n.h[j+q])
				case NoWagP:
					v /= n.row[i] * n.col[j+q]
					v *= v * n.h[j+q]
				}
				score[q] = v
			}
			m := bestMask(&score)
			g := (i*p.In + j) / 4
			l.Mask[g] = m
			l.Values[2*g], l.Values[2*g+1] = w[pairs[m][0]], w[pairs[m][1]]
		}
	})
	return l
}
