package solve

import "math"

// pairs are the positions that each mask keeps.
var pairs = [6][2]int{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}}

// bestMask keeps the two largest of four scores, the lower mask at ties.
func bestMask(score *[4]float64) uint8 {
	best, at := score[0]+score[1], uint8(0)
	for m := uint8(1); m < 6; m++ {
		if s := score[pairs[m][0]] + score[pairs[m][1]]; s > best {
			best, at = s, m
		}
	}
	return at
}

// keep prunes by a score of each weight alone, the kept ones unchanged.
func (t *target) keep(method Method) Layer {
	p := t.p
	l := Layer{Out: p.Out, In: p.In, Values: make([]float32, p.Out*p.In/2), Mask: make([]uint8, p.Out*p.In/4)}
	inParallel(t.threads, p.Out, func(_, i int) {
		for j := 0; j < p.In; j += 4 {
			w := p.W[i*p.In+j:][:4]
			var score [4]float64
			for q := range score {
				v := math.Abs(float64(w[q]))
				switch method {
				case Wanda:
					v *= t.root[j+q]
				case NoWagP: // the same in a row, so that its norm does not matter
					v *= t.weight[j+q]
					v *= v
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
