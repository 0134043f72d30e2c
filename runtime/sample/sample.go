// Package sample turns logits into a token. It is pure: the same parameters,
// seed and logits give the same tokens.
package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Params says how to choose, in the order of Hugging Face: temperature, then
// the TopK most likely, then the fewest of them that hold TopP of the mass.
type Params struct {
	Temperature float32 // 0: always the most likely token
	TopK        int     // 0: all
	TopP        float32 // 1 or 0: all
	Seed        uint64
}

// Check says which parameter is out of range.
func (p Params) Check() error {
	switch {
	case !(p.Temperature >= 0) || math.IsInf(float64(p.Temperature), 0):
		return fmt.Errorf("temperature: got %v, want 0 or more", p.Temperature)
	case p.TopK < 0:
		return fmt.Errorf("top-k: got %d, want 0 (all) or more", p.TopK)
	case !(p.TopP >= 0 && p.TopP <= 1):
		return fmt.Errorf("top-p: got %v, want 0 to 1", p.TopP)
	}
	return nil
}

// Sampler draws the tokens of one sequence.
type Sampler struct {
	p    Params
	rng  *rand.Rand
	cand []candidate // reused
}

type candidate struct {
	id    int32
	logit float32
}

// New makes a sampler; the parameters are those that Check accepts.
func New(p Params) *Sampler {
	return &Sampler{p: p, rng: rand.New(rand.NewPCG(p.Seed, 0x61726d6f72))}
}

// Next chooses from logits, [vocab].
func (s *Sampler) Next(logits []float32) int32 {
	if s.p.Temperature == 0 || s.p.TopK == 1 {
		return Argmax(logits)
	}
	s.collect(logits)
	return s.draw()
}

// Argmax is the index of the largest logit, the lowest of equal ones. NaN never
// wins.
func Argmax(logits []float32) int32 {
	best, at := float32(math.Inf(-1)), 0
	for i, v := range logits {
		if v > best {
			best, at = v, i
		}
	}
	return int32(at)
}

// collect puts the TopK largest logits into cand as a heap, the largest first.
func (s *Sampler) collect(logits []float32) {
	s.cand = s.cand[:0]
	k := s.p.TopK
	if k == 0 || k >= len(logits) {
		for i, v := range logits {
			s.cand = append(s.cand, candidate{int32(i), v})
		}
		heapify(s.cand, before)
		return
	}
	after := func(a, b candidate) bool { return before(b, a) }
	for i, v := range logits { // a heap of the k best, the worst of them first
		c := candidate{int32(i), v}
		switch {
		case len(s.cand) < k:
			s.cand = append(s.cand, c)
			if len(s.cand) == k {
				heapify(s.cand, after)
			}
		case before(c, s.cand[0]):
			s.cand[0] = c
			sift(s.cand, 0, after)
		}
	}
	slices.SortFunc(s.cand, func(a, b candidate) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
}

// draw takes candidates, the most likely first, until they hold TopP of the
// mass, and draws one of them.
func (s *Sampler) draw() int32 {
	top := s.cand[0].logit
	weight := func(c candidate) float64 {
		return math.Exp(float64(c.logit-top) / float64(s.p.Temperature))
	}
	mass := 0.0
	for _, c := range s.cand {
		mass += weight(c)
	}
	if !(mass > 0) || math.IsInf(mass, 0) { // NaN or infinite logits
		return s.cand[0].id
	}
	if s.p.TopP == 0 || s.p.TopP == 1 {
		at := s.rng.Float64() * mass
		for _, c := range s.cand {
			if at -= weight(c); at < 0 {
				return c.id
			}
		}
		return s.cand[0].id
	}
	// Pop to the end of the slice; what was popped is the nucleus.
	n, held := len(s.cand), 0.0
	for n > 0 && held < float64(s.p.TopP)*mass {
		n--
		s.cand[0], s.cand[n] = s.cand[n], s.cand[0]
		held += weight(s.cand[n])
		sift(s.cand[:n], 0, before)
	}
	at := s.rng.Float64() * held
	for i := len(s.cand) - 1; i >= n; i-- {
		if at -= weight(s.cand[i]); at < 0 {
			return s.cand[i].id
		}
	}
	return s.cand[len(s.cand)-1].id
}

// before orders candidates: larger logits, then lower ids; NaN last.
func before(a, b candidate) bool {
	if a.logit != b.logit {
		return a.logit > b.logit || b.logit != b.logit && a.logit == a.logit
	}
	return a.id < b.id
}

func heapify(h []candidate, less func(a, b candidate) bool) {
	for i := len(h)/2 - 1; i >= 0; i-- {
		sift(h, i, less)
	}
}

func sift(h []candidate, i int, less func(a, b candidate) bool) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && less(h[child+1], h[child]) {
			child++
		}
		if !less(h[child], h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
