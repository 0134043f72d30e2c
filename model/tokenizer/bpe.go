package tokenizer

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

const (
	spaceMark = "▁" // U+2581, SentencePiece's mark for a space

	cacheSlots = 1 << 15
	maxCached  = 48      // bytes of a word; longer ones seldom come again
	maxScratch = 1 << 12 // symbols of a word whose scratch is kept
	noRank     = math.MaxInt32
)

// bpe is byte-pair encoding of the words that pre-tokenization leaves. Ranks
// are places in the file's list. Merges of equal rank go leftmost first, so
// that a SentencePiece vocabulary (rank by score of the result) fits as well.
type bpe struct {
	vocab        map[string]int32 // as spelled in the file
	merges       map[pair]merge
	byteLevel    bool  // the vocabulary is spelled in byteChars
	byteFallback bool  // characters outside the vocabulary become <0x..> tokens,
	unk          int32 // or this token, or if it is -1 vanish
	fuseUnk      bool  // one unk for a run of them
	ignoreMerges bool  // words in the vocabulary are not merged

	bytes    [256]int32       // byteLevel: id of each byte, or -1
	fallback [256]int32       // byteFallback: ids of <0x00> and on, or -1
	whole    map[string]int32 // ignoreMerges: the words
	seed     maphash.Seed
	cache    [cacheSlots]atomic.Pointer[cachedWord]
	scratch  sync.Pool // of *mergeScratch
}

type pair struct{ left, right int32 }

type merge struct{ rank, id int32 }

type cachedWord struct {
	word string
	ids  []int32
}

// prepare derives the tables. Text must never become a control token, whatever
// the merges say, so special tokens are no result of merging.
func (m *bpe) prepare(special []bool) {
	m.seed = maphash.MakeSeed()
	for b := range 256 {
		m.bytes[b], m.fallback[b] = -1, -1
		if id, ok := m.vocab[byteChars[b]]; ok {
			m.bytes[b] = id
		}
		if id, ok := m.vocab[fmt.Sprintf("<0x%02X>", b)]; ok && m.byteFallback {
			m.fallback[b] = id
		}
	}
	maps.DeleteFunc(m.merges, func(_ pair, g merge) bool { return special[g.id] })
	if !m.ignoreMerges {
		return
	}
	m.whole = make(map[string]int32, len(m.vocab))
	for token, id := range m.vocab {
		raw, ok := []byte(token), true
		if m.byteLevel {
			raw, ok = appendRaw(nil, token)
		}
		if ok && !special[id] {
			m.whole[string(raw)] = id
		}
	}
}

// wordStarts says whether no merge joins U+2581 to what is before it, unless
// that is U+2581 too: then a text can be cut there without any effect on ids,
// and the words be cached.
func (m *bpe) wordStarts(tokens []string) bool {
	if _, ok := m.vocab[spaceMark]; !ok || m.byteLevel || m.ignoreMerges {
		return false
	}
	for p := range m.merges {
		if strings.HasPrefix(tokens[p.right], spaceMark) && !strings.HasSuffix(tokens[p.left], spaceMark) {
			return false
		}
	}
	return true
}

// append adds the ids of one word.
func (m *bpe) append(dst []int32, word string) []int32 {
	if len(word) > maxCached {
		return m.tokenize(dst, word)
	}
	slot := &m.cache[maphash.String(m.seed, word)%cacheSlots]
	if c := slot.Load(); c != nil && c.word == word {
		return append(dst, c.ids...)
	}
	start := len(dst)
	dst = m.tokenize(dst, word)
	slot.Store(&cachedWord{strings.Clone(word), slices.Clone(dst[start:])})
	return dst
}

func (m *bpe) tokenize(dst []int32, word string) []int32 {
	if id, ok := m.whole[word]; ok {
		return append(dst, id)
	}
	start := len(dst)
	dst = m.symbols(slices.Grow(dst, len(word)), word)
	return dst[:start+m.merge(dst[start:])]
}

// symbols adds the ids of the single characters. An unknown character waits
// until the next known one, so that a run of them can become one token; byte
// tokens do not end the wait (as in the tokenizers library).
func (m *bpe) symbols(dst []int32, word string) []int32 {
	waiting := false
	for i := 0; i < len(word); {
		char, id, known := "", int32(0), false
		if m.byteLevel {
			char, id = byteChars[word[i]], m.bytes[word[i]]
			known = id >= 0
			i++
		} else {
			_, n := utf8.DecodeRuneInString(word[i:])
			char = word[i : i+n]
			id, known = m.vocab[char]
			i += n
		}
		switch {
		case known && waiting:
			dst = append(dst, m.unk, id)
			waiting = false
		case known:
			dst = append(dst, id)
		case m.inBytes(char):
			for _, b := range []byte(char) {
				dst = append(dst, m.fallback[b])
			}
		default:
			if waiting && !m.fuseUnk {
				dst = append(dst, m.unk)
			}
			waiting = m.unk >= 0
		}
	}
	if waiting {
		dst = append(dst, m.unk)
	}
	return dst
}

// inBytes says whether all bytes of char have tokens.
func (m *bpe) inBytes(char string) bool {
	ok := m.byteFallback
	for i := 0; i < len(char) && ok; i++ {
		ok = m.fallback[char[i]] >= 0
	}
	return ok
}

type mergeScratch struct {
	nodes []node
	heap  rankHeap
}

// node is a symbol in a linked list, with what it and its right neighbour
// would become. Indices are 32 bits: a word has fewer than 2^31 characters.
type node struct {
	id, prev, next int32
	merge          merge
}

// merge merges in place, lowest rank first, and returns the new length. Words
// can be long (a text without spaces), so it must not be quadratic.
func (m *bpe) merge(symbols []int32) int {
	if len(symbols) < 2 {
		return len(symbols)
	}
	w, _ := m.scratch.Get().(*mergeScratch)
	if w == nil {
		w = new(mergeScratch)
	}
	w.nodes, w.heap = slices.Grow(w.nodes[:0], len(symbols)), slices.Grow(w.heap[:0], len(symbols))
	for i, id := range symbols {
		w.nodes = append(w.nodes, node{id: id, prev: int32(i) - 1, next: int32(i) + 1})
	}
	w.nodes[len(symbols)-1].next = -1
	for i := range symbols {
		if g := m.pairAt(w.nodes, int32(i)); g.rank != noRank {
			w.heap = append(w.heap, rankAt(g.rank, int32(i)))
		}
	}
	w.heap.init()
	for len(w.heap) > 0 {
		top := w.heap.pop()
		i := int32(uint32(top))
		left := &w.nodes[i]
		if left.merge.rank != int32(top>>32) {
			continue // the pair has changed since
		}
		right := &w.nodes[left.next]
		left.id, left.next = left.merge.id, right.next
		right.merge.rank = noRank
		if left.next >= 0 {
			w.nodes[left.next].prev = i
		}
		for _, i := range [2]int32{i, left.prev} {
			if i >= 0 {
				if g := m.pairAt(w.nodes, i); g.rank != noRank {
					w.heap.push(rankAt(g.rank, i))
				}
			}
		}
	}
	n := 0
	for i := int32(0); i >= 0; i = w.nodes[i].next {
		symbols[n] = w.nodes[i].id
		n++
	}
	if len(w.nodes) <= maxScratch {
		m.scratch.Put(w)
	}
	return n
}

// pairAt looks up what node i and its right neighbour become.
func (m *bpe) pairAt(nodes []node, i int32) merge {
	n := &nodes[i]
	n.merge.rank = noRank
	if n.next >= 0 {
		if g, ok := m.merges[pair{n.id, nodes[n.next].id}]; ok {
			n.merge = g
		}
	}
	return n.merge
}

// rankHeap is a binary heap of rank<<32 | position: equal ranks leftmost first.
type rankHeap []uint64

func rankAt(rank, position int32) uint64 { return uint64(rank)<<32 | uint64(position) }

func (h rankHeap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h rankHeap) down(i int) {
	x := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if x <= h[child] {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = x
}

func (h *rankHeap) push(x uint64) {
	*h = append(*h, x)
	s := *h
	i := len(s) - 1
	for i > 0 && x < s[(i-1)/2] {
		s[i] = s[(i-1)/2]
		i = (i - 1) / 2
	}
	s[i] = x
}

func (h *rankHeap) pop() uint64 {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	*h = s[:last]
	if last > 0 {
		(*h).down(0)
	}
	return top
}
