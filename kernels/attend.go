package kernels

import (
	"math"
	"unsafe"

	"armor/kernels/ref"
)

// attendChunk is how many keys are scored at a time, from position 0 on. It is
// fixed, so that the order of sums does not depend on the batch.
const attendChunk = 32 * PageTokens

// attendScratch is one worker's memory for a tile of query rows.
type attendScratch struct {
	q      []float32        // [rows, head_dim]
	list   []unsafe.Pointer // [pages of a chunk]: their keys or values, for AMX
	panel  []byte           // q as a panel
	weight []byte           // a chunk's probabilities as a panel
	scores []float32        // [rows, attendChunk]
	out    []float32        // [rows, head_dim padded]
	tiles  []uint16         // [expanded, 16·head_dim padded]: int8 codes as bf16
	scales []float32        // [attendChunk]: of int8 values
	max    [maxTokens]float32
	sum    [maxTokens]float32
}

// attendJob is causal attention. A query row is one head of one token; the rows
// of the heads that share a key head are tiled together. A task is one tile.
type attendJob struct {
	c        *CPU
	dst, qkv *buf
	kv       *kvPool
	b        *Batch
	layer    int
	heads    int // query heads
	share    int // query heads a key head
	types    denseTypes
	scratch  []attendScratch
}

func (p *pass) Attend(dst, qkv Buf, b *Batch, layer int) {
	j := &p.attend
	j.dst, j.qkv, j.kv, j.b, j.layer = dst.(*buf), qkv.(*buf), b.KV.(*kvPool), b, layer
	hd := j.kv.HeadDim
	j.heads = j.qkv.cols/hd - 2*j.kv.KVHeads
	j.share = j.heads / j.kv.KVHeads
	if j.dst.cols != j.heads*hd || j.dst.rows != j.qkv.rows {
		want(false, "Attend", "[%d, %d] from [%d, %d]", j.dst.rows, j.dst.cols, j.qkv.rows, j.qkv.cols)
	}
	j.types = p.c.denseTypes(j.kv.tileBits())
	for w := range j.scratch {
		s := &j.scratch[w]
		rows := p.c.plan(j.types, maxTokens).big
		grow(&s.q, rows*hd)
		grow(&s.list, attendChunk/PageTokens)
		grow(&s.panel, 4*rows*j.types.pitch(hd))
		grow(&s.weight, 4*rows*j.types.pitch(attendChunk))
		grow(&s.scores, rows*attendChunk)
		grow(&s.out, rows*j.kv.padded)
		if j.kv.Type == Int8 {
			grow(&s.scales, attendChunk)
			grow(&s.tiles, j.expanded()*PageTokens*j.kv.padded)
		}
	}
	tasks := 0
	for i := range b.Seqs {
		tasks += p.c.plan(j.types, b.Seqs[i].Rows*j.share).tiles() * j.kv.KVHeads
	}
	p.run(j, tasks)
}

func (j *attendJob) run(worker, task int) {
	row := 0
	for i := range j.b.Seqs {
		s := &j.b.Seqs[i]
		plan := j.c.plan(j.types, s.Rows*j.share)
		if n := plan.tiles() * j.kv.KVHeads; task >= n {
			task -= n
			row += s.Rows
			continue
		}
		// The longest rows first, so that the last task is a short one.
		tile := plan.tiles() - 1 - task/j.kv.KVHeads
		j.tile(&j.scratch[worker], s, row, plan, tile, task%j.kv.KVHeads)
		return
	}
}

// tile computes one tile of query rows of a sequence whose first row is row.
func (j *attendJob) tile(s *attendScratch, seq *Span, row int, plan tokenPlan, tile, head int) {
	c, hd := j.c, j.kv.HeadDim
	first, rows, mr := plan.tile(tile)
	for r := range rows {
		copy(s.q[r*hd:(r+1)*hd], j.query(row, first+r, head))
		if j.kv.Type == Int8 {
			q := s.q[r*hd : (r+1)*hd]
			c.hadamard(q)
			c.scale(q, 1/float32(ref.HadamardBlock(hd))) // for the transform's square
		}
		s.max[r], s.sum[r] = float32(math.Inf(-1)), 0
	}
	clear(s.out[:rows*j.kv.padded])
	c.activations(j.types, false, s.panel, j.types.pitch(hd), s.q, hd, rows, hd, mr, nil)
	keys := seq.Pos + (first+rows-1)/j.share + 1 // of the last row
	for at := 0; at < keys; at += attendChunk {
		n := min(attendChunk, keys-at)
		pages := seq.Pages[at/PageTokens : PagesFor(at+n)]
		j.score(s, pages, head, mr)
		if j.kv.Type == Int8 {
			j.decodeKeys(s, pages, head, rows)
		}
		for r := range rows {
			j.soften(s, r, seq.Pos+(first+r)/j.share+1-at, len(pages)*PageTokens)
		}
		if j.kv.Type == Int8 {
			j.scaleValues(s, pages, n, head, rows)
		}
		c.activations(j.types, false, s.weight, j.types.pitch(attendChunk), s.scores, attendChunk, rows, len(pages)*PageTokens, mr, nil)
		j.weigh(s, pages, n, head, mr)
	}
	for r := range rows {
		out := j.dst.row(row + (first+r)/j.share)[(head*j.share+(first+r)%j.share)*hd:][:hd]
		copy(out, s.out[r*j.kv.padded:][:hd])
		c.scale(out, 1/s.sum[r])
	}
}

// query is query row r, counted in rows of the tiles, of a sequence.
func (j *attendJob) query(row, r, head int) []float32 {
	hd := j.kv.HeadDim
	return j.qkv.row(row + r/j.share)[(head*j.share+r%j.share)*hd:][:hd]
}

// expanded is how many pages' int8 codes are bf16 at a time: what AMX multiplies
// together, or one.
func (j *attendJob) expanded() int {
	if j.types == bf16amx {
		return attendChunk / PageTokens
	}
	return 1
}

// operand is memory of a page as a product reads it: int8 codes become bf16, in
// the room of page i of a chunk.
func (j *attendJob) operand(s *attendScratch, i int, mem []byte) unsafe.Pointer {
	if j.kv.Type != Int8 {
		return unsafe.Pointer(&mem[0])
	}
	tile := s.tiles[i%j.expanded()*PageTokens*j.kv.padded:][:len(mem)]
	j.c.codesToBF16(tile, asI8(mem))
	return unsafe.Pointer(&tile[0])
}

// score multiplies the queries in the panel with the keys of the pages.
func (j *attendJob) score(s *attendScratch, pages []int32, head, mr int) {
	k := j.kv.HeadDim / j.kv.perStep()
	for i, page := range pages {
		keys := j.operand(s, i, j.kv.keys(page, j.layer, head))
		if j.types == bf16amx {
			s.list[i] = keys
			continue
		}
		j.c.dense(j.types, 1, mr, keys, 0, unsafe.Pointer(&s.panel[0]), k, &s.scores[i*PageTokens], attendChunk, false)
	}
	if j.types == bf16amx {
		pitch := j.types.pitch(j.kv.HeadDim)
		j.c.tiles(false, s.list[:len(pages)], mr, unsafe.Pointer(&s.panel[0]), pitch, k, &s.scores[0], attendChunk, false)
	}
}

// decodeKeys turns scores of int8 codes into those of keys.
func (j *attendJob) decodeKeys(s *attendScratch, pages []int32, head, rows int) {
	hd := j.kv.HeadDim
	for i, page := range pages {
		scales, _, first := j.kv.coded(page, j.layer, head)
		for r := range rows {
			y := (*[PageTokens]float32)(s.scores[r*attendChunk+i*PageTokens:])
			j.c.keyScores(y, scales, s.q[r*hd:(r+1)*hd], first)
		}
	}
}

// scaleValues multiplies the n probabilities of each row with the scales of int8
// values.
func (j *attendJob) scaleValues(s *attendScratch, pages []int32, n, head, rows int) {
	for i, page := range pages {
		_, scales, _ := j.kv.coded(page, j.layer, head)
		copy(s.scales[i*PageTokens:], scales[:])
	}
	for r := range rows {
		row := s.scores[r*attendChunk:][:n]
		j.c.scaleMul(row, row, s.scales, 1)
	}
}

// soften turns row r of the scores, of which the first n count, into
// exponentials below the largest so far, and rescales what was summed before.
func (j *attendJob) soften(s *attendScratch, r, n, width int) {
	row := s.scores[r*attendChunk:][:width]
	n = min(n, width)
	if n <= 0 {
		clear(row)
		return
	}
	scale := float32(1 / math.Sqrt(float64(j.kv.HeadDim)))
	m := j.c.max(row[:n])
	if m > s.max[r] {
		if s.sum[r] != 0 {
			shrink := float32(math.Exp(float64((s.max[r] - m) * scale)))
			s.sum[r] *= shrink
			j.c.scale(s.out[r*j.kv.padded:][:j.kv.padded], shrink)
		}
		s.max[r] = m
	}
	s.sum[r] += j.c.expSum(row[:n], scale, s.max[r])
	clear(row[n:])
}

// weigh adds the values of n keys, weighted by the panel's probabilities.
func (j *attendJob) weigh(s *attendScratch, pages []int32, n, head, mr int) {
	step := j.kv.perStep()
	pagePanel := PageTokens * mr * j.types.activationSize()
	tiles, stride := j.kv.padded/tileRows, PageTokens*tileRows*j.kv.tileBits()/8
	for i, page := range pages {
		values := j.operand(s, i, j.kv.values(page, j.layer, head))
		if j.types == bf16amx {
			s.list[i] = values
			continue
		}
		k := (min(PageTokens, n-i*PageTokens) + step - 1) / step
		x := unsafe.Pointer(&s.weight[i*pagePanel])
		for t := 0; t < tiles; {
			rows := 1
			if most := j.c.rowTiles(mr); tiles-t >= most {
				rows = most
			}
			j.c.dense(j.types, rows, mr, unsafe.Add(values, t*stride), stride, x, k, &s.out[t*tileRows], j.kv.padded, true)
			t += rows
		}
	}
	if j.types == bf16amx {
		last := ceil(n-(len(pages)-1)*PageTokens, step)
		pitch := j.types.pitch(attendChunk)
		j.c.tileSums(s.list[:len(pages)], last, j.kv.padded/tileRows, mr, unsafe.Pointer(&s.weight[0]), pitch, &s.out[0], j.kv.padded)
	}
}
