// Package calib reads calibration text and cuts it into windows of tokens.
package calib

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"

	"armor/model/tokenizer"
)

// Tokenizer is what Sample needs of a *tokenizer.Tokenizer.
type Tokenizer interface {
	Encode(text string, o tokenizer.Options) []int32
}

// Options say how much is sampled.
type Options struct {
	Samples int // windows
	SeqLen  int // tokens of each
	Seed    uint64
}

// Info says what a sample was made of. It is the same for the same file,
// tokenizer and options.
type Info struct {
	File          string `json:"file"`   // its name, without the folder
	SHA256        string `json:"sha256"` // of the file's bytes
	FileBytes     int64  `json:"file_bytes"`
	Documents     int    `json:"documents"` // in the file, empty ones not counted
	DocumentsUsed int    `json:"documents_used"`
	Bytes         int64  `json:"bytes"`  // of text used, the last excerpt counted whole
	Tokens        int    `json:"tokens"` // samples × seqlen
	Samples       int    `json:"samples"`
	SeqLen        int    `json:"seqlen"`
	Seed          uint64 `json:"seed"`
}

// ErrShort is returned for a file with too little text.
var ErrShort = errors.New("too little text")

// An excerpt has about as many bytes as a window, four to a token, and at least
// minExcerpt, so that the search for a good place to cut stays inside it.
const (
	bytesPerToken = 4
	minExcerpt    = 4 * cutSlack
)

// maxTokens bounds samples × seqlen: 4 GiB of ids.
const maxTokens = 1 << 30

// Sample returns o.Samples windows of exactly o.SeqLen token ids each.
//
// Documents come in an order shuffled by the seed and each gives one excerpt,
// itself whole when it is short (under twice 4 × SeqLen bytes). When all have
// given one, long documents give a second, and so on until no text is left.
// Excerpts are encoded one by one, with what the tokenizer puts at the front
// (BOS), laid end to end and cut. No text is used twice; ErrShort if that is
// not enough.
func Sample(d *Docs, tok Tokenizer, o Options) ([][]int32, Info, error) {
	if o.Samples < 1 || o.SeqLen < 1 || o.Samples > maxTokens/o.SeqLen {
		return nil, Info{}, fmt.Errorf("%d samples of %d tokens: want at least 1 of each and at most %d tokens", o.Samples, o.SeqLen, maxTokens)
	}
	need := o.Samples * o.SeqLen
	info := d.info
	info.Tokens, info.Samples, info.SeqLen, info.Seed = need, o.Samples, o.SeqLen, o.Seed

	next, stop := iter.Pull(excerpts(d.lengths, max(minExcerpt, bytesPerToken*int64(o.SeqLen)), o.Seed))
	defer stop()
	ids := make([]int32, 0, min(need, 1<<20))
	for len(ids) < need {
		// A batch is one reading of the file. How many there are does not
		// change the sample: the order of the excerpts is fixed.
		perToken := 1.25 * bytesPerToken
		if len(ids) > 0 {
			perToken = min(1.1*float64(info.Bytes)/float64(len(ids)), 64)
		}
		want := 1 + int64(float64(need-len(ids))*perToken)
		var batch []excerpt
		for want > 0 {
			e, ok := next()
			if !ok {
				break
			}
			e.order = len(batch)
			batch = append(batch, e)
			want -= e.hi - e.lo
		}
		if len(batch) == 0 {
			return nil, info, fmt.Errorf("%s: %w: got %d tokens in %d documents, want %d × %d = %d", d.path, ErrShort, len(ids), info.Documents, o.Samples, o.SeqLen, need)
		}
		texts, err := d.fetch(batch)
		if err != nil {
			return nil, info, err
		}
		for i, text := range texts {
			if len(ids) >= need {
				break
			}
			if batch[i].first {
				info.DocumentsUsed++
			}
			info.Bytes += int64(len(text))
			ids = append(ids, tok.Encode(text, tokenizer.Options{AddSpecial: true})...)
		}
	}
	windows := make([][]int32, o.Samples)
	for i := range windows {
		windows[i] = ids[i*o.SeqLen : (i+1)*o.SeqLen : (i+1)*o.SeqLen]
	}
	return windows, info, nil
}

// excerpt is bytes [lo, hi) of a document, before both ends move to the next
// good place to cut.
type excerpt struct {
	doc    int32
	lo, hi int64
	order  int  // in its batch
	first  bool // of its document
}

// excerpts gives all excerpts of documents of the given lengths, in the order
// in which they are used.
func excerpts(lengths []int64, size int64, seed uint64) iter.Seq[excerpt] {
	return func(yield func(excerpt) bool) {
		docs := make([]int32, 0, len(lengths))
		for i, n := range lengths {
			if n > 0 {
				docs = append(docs, int32(i))
			}
		}
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
		for round := int64(0); len(docs) > 0; round++ {
			docs = slices.DeleteFunc(docs, func(d int32) bool { return lengths[d]/size <= round && round > 0 })
			for _, d := range docs {
				length := lengths[d]
				n := max(1, length/size)
				k := place(n, round, seed, d)
				if !yield(excerpt{doc: d, lo: length * k / n, hi: length * (k + 1) / n, first: round == 0}) {
					return
				}
			}
		}
	}
}

// place is which of a document's n excerpts is used in a round: a random one
// first, then steps of n times the golden ratio, so that any number of them lie
// evenly over the document and none comes twice in n rounds.
func place(n, round int64, seed uint64, doc int32) int64 {
	start := rand.New(rand.NewPCG(seed, uint64(doc)+1)).Int64N(n)
	step := max(1, int64(float64(n)*(math.Phi-1)))
	for gcd(step, n) != 1 {
		step++
	}
	return (start + round%n*step) % n
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
