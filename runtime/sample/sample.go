// Package sample turns logits into a token. It is pure: the same parameters,
// seed, history and logits give the same tokens.
package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Params says how to choose, in the order of Hugging Face: penalties, then
// temperature, the TopK most likely, the fewest of them that hold TopP of the
// mass, and of these the ones at least MinP times as likely as the first.
type Params struct {
	Temperature float32 // 0: always the most likely token
	TopK        int     // 0: all
	TopP        float32 // 1 or 0: all
	MinP        float32 // 0: all
	Seed        uint64

	// Repeat divides positive and multiplies negative logits of every token that
	// the text has so far, the prompt included; 1 or 0: none.
	Repeat float32
	// Presence is subtracted from the logit of every generated token, Frequency
	// once for each time it was generated.
	Presence, Frequency float32
}

// Check says which parameter is out of range.
func (p Params) Check() error {
	finite := func(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
	switch {
	case !(p.Temperature >= 0) || !finite(p.Temperature):
		return fmt.Errorf("temperature: got %v, want 0 or more", p.Temperature)
	case p.TopK < 0:
		return fmt.Errorf("top-k: got %d, want 0 (all) or more", p.TopK)
	case !(p.TopP >= 0 && p.TopP <= 1):
		return fmt.Errorf("top-p: got %v, want 0 to 1", p.TopP)
	case !(p.MinP >= 0 && p.MinP <= 1):
		return fmt.Errorf("min-p: got %v, want 0 to 1", p.MinP)
	case !(p.Repeat >= 0) || !finite(p.Repeat):
		return fmt.Errorf("repeat penalty: got %v, want more than 0", p.Repeat)
	case !finite(p.Presence):
		return fmt.Errorf("presence penalty: got %v, want a number", p.Presence)
	case !finite(p.Frequency):
		return fmt.Errorf("frequency penalty: got %v, want a number", p.Frequency)
	}
	return nil
}

// Sampler draws the tokens of one sequence.
type Sampler struct {
	p    Params
	rng  *rand.Rand
	cand []candidate     // reused
	seen map[int32]int32 // tokens of the text: times generated
}

type candidate struct {
	id    int32
	logit float32
}

// New makes a sampler for a text that begins with prompt; the parameters are
// those that Check accepts.
func New(p Params, prompt []int32) *Sampler {
	s := &Sampler{p: p, rng: rand.New(rand.NewPCG(p.Seed, 0x61726d6f72))}
	if p.Repeat == 0 {
		s.p.Repeat = 1
	}
	if s.penalizes() {
		s.seen = make(map[int32]int32, len(prompt))
		for _, id := range prompt {
			s.seen[id] = 0
		}
	}
	return s
}

func (s *Sampler) penalizes() bool {
	return s.p.Repeat != 1 || s.p.Presence != 0 || s.p.Frequency != 0
}

// Next chooses from logits, [vocab], which the penalties change.
func (s *Sampler) Next(logits []float32) int32 {
	for id, times := range s.seen { // each id once: the order does not matter
		s.penalize(&logits[id], times)
	}
	var id int32
	if s.p.Temperature == 0 || s.p.TopK == 1 {
		id = Argmax(logits)
	} else {
		s.cand = collect(s.cand[:0], logits, s.p.TopK)
		id = s.draw()
	}
	if s.seen != nil {
		s.seen[id]++
	}
	return id
}

func (s *Sampler) penalize(logit *float32, times int32) {
	if *logit > 0 {
		*logit /= s.p.Repeat
	} else {
		*logit *= s.p.Repeat
	}
	if times > 0 {
		*logit -= s.p.Presence + float32(times)*s.p.Frequency
	}
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
	enough := mass
	if s.p.TopP > 0 {
		enough *= float64(s.p.TopP)
	}
	if enough == mass && s.p.MinP == 0 {
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
	for n > 0 && held < enough && weight(s.cand[0]) >= float64(s.p.MinP) {
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
