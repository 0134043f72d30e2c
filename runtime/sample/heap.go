package sample

import (
	"math"
	"slices"
)

// collect appends the k largest logits to cand, all where k is 0, as a heap with
// the largest first.
func collect(cand []candidate, logits []float32, k int) []candidate {
	if k == 0 || k >= len(logits) {
		for i, v := range logits {
			cand = append(cand, candidate{int32(i), v})
		}
		heapify(cand, before)
		return cand
	}
	after := func(a, b candidate) bool { return before(b, a) }
	for i, v := range logits { // a heap of the k best, the worst of them first
		c := candidate{int32(i), v}
		switch {
		case len(cand) < k:
			cand = append(cand, c)
			if len(cand) == k {
				heapify(cand, after)
			}
		case before(c, cand[0]):
			cand[0] = c
			sift(cand, 0, after)
		}
	}
	slices.SortFunc(cand, func(a, b candidate) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	return cand
}

// Logprob is a token and the logarithm of its probability.
type Logprob struct {
	ID      int32
	Logprob float64
}

// Logprobs gives the n most likely tokens, the first of them first, and behind
// them the token id, under the softmax of logits.
func Logprobs(logits []float32, n int, id int32) (top []Logprob, chosen Logprob) {
	most := float64(logits[Argmax(logits)])
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - most)
	}
	lse := most + math.Log(sum)
	if n > 0 {
		for _, c := range collect(nil, logits, min(n, len(logits)-1)) {
			top = append(top, Logprob{c.id, float64(c.logit) - lse})
		}
	}
	return top, Logprob{id, float64(logits[id]) - lse}
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
