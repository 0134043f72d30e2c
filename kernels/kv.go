package kernels

import (
	"fmt"
)

// kvPool is the CPU's KV. Within a page each layer and key head has its keys
// as one weight tile whose rows are the positions, [head_dim][16], and its values
// as tiles whose rows are the dimensions, [head_dim/16][position][16]: attention
// then is two dense products. bf16 comes in pairs along the second axis.
//
// int8 codes lie as bf16 does, and are made bf16 before a product. Behind them are,
// in f32, the scales of each position's key and value, [2][16], and the key at the
// page's first position, [head_dim], from which all its keys are differences: some
// models' keys have large entries that hardly change from one position to the next.
// What large entries are left the Hadamard transform spreads over all (QuaRot,
// arXiv 2404.00456): queries and keys are multiplied with it.
type kvPool struct {
	KVShape
	c        *CPU
	padded   int // head_dim, padded to a tile
	headSize int // bytes of the keys and values of one head
	pageSize int
	pages    [][]byte
}

// NewKV implements Backend.
func (c *CPU) NewKV(s KVShape) (KV, error) {
	if s.HeadDim%2 != 0 {
		return nil, fmt.Errorf("head dimension %d, want an even number", s.HeadDim)
	}
	k := &kvPool{KVShape: s, c: c, padded: roundUp(s.HeadDim, tileRows)}
	k.headSize = PageTokens * (s.HeadDim + k.padded) * s.Type.Size()
	if s.Type == Int8 {
		k.headSize += 4 * (2*PageTokens + s.HeadDim)
	}
	k.pageSize = k.headSize * s.KVHeads * s.Layers
	return k, nil
}

func (k *kvPool) PageBytes() int64 { return int64(k.pageSize) }

func (k *kvPool) Reserve(n int) error {
	for len(k.pages) < n {
		mem, err := k.c.memory.alloc(k.pageSize)
		if err != nil {
			return err
		}
		k.pages = append(k.pages, mem)
	}
	return nil
}

func (k *kvPool) head(page int32, layer, head int) []byte {
	return k.pages[page][(layer*k.KVHeads+head)*k.headSize:][:k.headSize]
}

func (k *kvPool) keys(page int32, layer, head int) []byte {
	return k.head(page, layer, head)[:PageTokens*k.HeadDim*k.Type.Size()]
}

func (k *kvPool) values(page int32, layer, head int) []byte {
	return k.head(page, layer, head)[PageTokens*k.HeadDim*k.Type.Size():][:PageTokens*k.padded*k.Type.Size()]
}

// coded is what lies behind int8 codes: scales and the first key, transformed.
func (k *kvPool) coded(page int32, layer, head int) (keys, values *[PageTokens]float32, first []float32) {
	all := asF32(k.head(page, layer, head)[PageTokens*(k.HeadDim+k.padded):])
	return (*[PageTokens]float32)(all), (*[PageTokens]float32)(all[PageTokens:]), all[2*PageTokens:]
}

// tileBits is the width of a number in the tiles that are multiplied.
func (k *kvPool) tileBits() int {
	if k.Type == F32 {
		return 32
	}
	return 16
}

// perStep is how many positions or dimensions a dense kernel takes in a step.
func (k *kvPool) perStep() int { return 32 / k.tileBits() }

// store writes the key and value of one head at a slot of a page. With last set
// nothing of this sequence follows yet: the other half of a pair of bf16 is
// zeroed, as what an earlier user of the page left there might not be finite.
// The page's first slot was stored before the others. s has room for a head.
func (k *kvPool) store(page int32, layer, head, slot int, key, value []float32, last bool, s *ropeScratch) {
	keys, values := k.keys(page, layer, head), k.values(page, layer, head)
	switch k.Type {
	case F32:
		ks, vs := asF32(keys), asF32(values)
		for d, v := range key {
			ks[d*PageTokens+slot] = v
		}
		for d, v := range value {
			vs[(d/tileRows*PageTokens+slot)*tileRows+d%tileRows] = v
		}
	case BF16:
		half := s.half[:len(key)]
		k.c.toBF16(half, key)
		ks, vs := asU32(keys)[slot:], asU16(values)
		for d := 0; d+1 < len(half); d += 2 {
			ks[d/2*PageTokens] = uint32(half[d]) | uint32(half[d+1])<<16
		}
		k.c.toBF16(half, value)
		for d, v := range half {
			vs[pairedValue(d, slot)] = v
		}
		if last && slot%2 == 0 {
			for d := range half {
				vs[pairedValue(d, slot+1)] = 0
			}
		}
	case Int8:
		kScales, vScales, first := k.coded(page, layer, head)
		x, codes := s.x[:copy(s.x, key)], s.codes[:len(key)]
		k.c.hadamard(x)
		if slot == 0 {
			copy(first, x)
		}
		for d, v := range first {
			x[d] -= v
		}
		kScales[slot] = k.c.quantizeInt8(codes, x)
		ks := asU16(keys)
		for d := 0; d+1 < len(key); d += 2 {
			ks[d/2*PageTokens+slot] = uint16(uint8(codes[d])) | uint16(uint8(codes[d+1]))<<8
		}
		vScales[slot] = k.c.quantizeInt8(codes, value)
		for d := range value {
			values[pairedValue(d, slot)] = uint8(codes[d])
		}
	}
}

// pairedValue is where dimension d of a value lies if positions come in pairs.
func pairedValue(d, slot int) int {
	return ((d/tileRows*PageTokens/2+slot/2)*tileRows+d%tileRows)*2 + slot%2
}

// ropeJob rotates and stores; a task is the rows of one sequence on one page.
type ropeJob struct {
	c       *CPU
	qkv     *buf
	h       Heads
	kv      *kvPool
	b       *Batch
	layer   int
	scratch []ropeScratch // per worker
}

// ropeScratch is of one head.
type ropeScratch struct {
	x     []float32 // [head_dim]: normalized
	half  []uint16  // [head_dim]
	codes []int8    // [head_dim]
}

func (p *pass) RopeStore(qkv Buf, h Heads, b *Batch, layer int) {
	j := &p.rope
	j.qkv, j.h, j.kv, j.b, j.layer = qkv.(*buf), h, b.KV.(*kvPool), b, layer
	if rope := h.Rope.(*buf); rope.cols != j.kv.HeadDim {
		want(false, "RopeStore", "a table of %d for heads of %d", rope.cols, j.kv.HeadDim)
	}
	for w := range j.scratch {
		grow(&j.scratch[w].x, j.kv.HeadDim)
		grow(&j.scratch[w].half, j.kv.HeadDim)
		grow(&j.scratch[w].codes, j.kv.HeadDim)
	}
	tasks := 0
	for i := range b.Seqs {
		tasks += b.Seqs[i].pages()
	}
	p.run(j, tasks)
}

// pages is the number of pages that the rows of a sequence lie on.
func (s *Span) pages() int {
	if s.Rows == 0 {
		return 0
	}
	return PagesFor(s.Pos+s.Rows) - s.Pos/PageTokens
}

func (j *ropeJob) run(worker, task int) {
	row := 0
	for i := range j.b.Seqs {
		s := &j.b.Seqs[i]
		if n := s.pages(); task >= n {
			task -= n
			row += s.Rows
			continue
		}
		page := s.Pos/PageTokens + task
		end := s.Pos + s.Rows
		for pos := max(s.Pos, page*PageTokens); pos < min(end, (page+1)*PageTokens); pos++ {
			j.row(&j.scratch[worker], row+pos-s.Pos, pos, s.Pages, pos == end-1)
		}
		return
	}
}

func (j *ropeJob) row(scratch *ropeScratch, r, pos int, pages []int32, last bool) {
	hd, kvHeads := j.kv.HeadDim, j.kv.KVHeads
	row := j.qkv.row(r)
	table := j.h.Rope.(*buf).row(pos)
	cos, sin := table[:hd/2], table[hd/2:]
	heads := len(row)/hd - 2*kvHeads
	for i := range heads + kvHeads {
		x, norm := row[i*hd:(i+1)*hd], j.h.Q
		if i >= heads {
			norm = j.h.K
		}
		if norm.Weight != nil {
			j.c.rmsNorm(scratch.x[:hd], x, norm.Weight.(*buf).data, norm.Eps)
			copy(x, scratch.x)
		}
		j.c.rope(x, cos, sin)
	}
	page, slot := pages[pos/PageTokens], pos%PageTokens
	keys := row[heads*hd:]
	values := keys[kvHeads*hd:]
	for i := range kvHeads {
		j.kv.store(page, j.layer, i, slot, keys[i*hd:(i+1)*hd], values[i*hd:(i+1)*hd], last, scratch)
	}
}
