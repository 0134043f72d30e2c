package kernels

import (
	"math"
	"sync/atomic"
	"unsafe"

	"armor/kernels/ref"
)

// attendChunk is how many keys are attended to at a time, from position 0 on. What
// chunks give is merged in their order: sums depend on neither batch nor threads.
const attendChunk = 32 * PageTokens

// attendScratch is one worker's memory for a tile of query rows.
type attendScratch struct {
	q      []float32        // [rows, head_dim]
	list   []unsafe.Pointer // [pages of a chunk]: their keys or values, for AMX
	panel  []byte           // q as a panel
	weight []byte           // a chunk's probabilities as a panel
	scores []float32        // [rows, attendChunk]
	tiles  []uint16         // [expanded, 16·head_dim padded]: int8 codes as bf16
	scales []float32        // [attendChunk]: of int8 values
	chunk  attended         // of one chunk
	all    attended         // of those so far
}

// attended is what a tile of query rows took from some of the keys.
type attended struct {
	max [maxTokens]float32
	sum [maxTokens]float32 // of exponentials below max
	out []float32          // [rows, head_dim padded]: values weighted by these
}

// attendJob is causal attention. A query row is one head of one token; the rows
// of the heads that share a key head are tiled together. A task is one tile, or,
// where tiles are too few for the workers, one chunk of keys of a tile.
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
	spans    []attendSpan
	parts    []attended     // of the chunks that are tasks
	left     []atomic.Int32 // of each span and key head: chunks that are to come
}

// attendSpan is the tasks of one sequence.
type attendSpan struct {
	*Span
	row    int // of the batch, its first
	plan   tokenPlan
	chunks int // tasks of a tile; more than one only where there is one tile
	part   int // the first of its parts
	left   int // the first of its counters
}

func (s *attendSpan) tasks(kvHeads int) int { return s.plan.tiles() * kvHeads * s.chunks }

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
	rows := p.c.plan(j.types, maxTokens).big
	for w := range j.scratch {
		s := &j.scratch[w]
		grow(&s.q, rows*hd)
		grow(&s.list, attendChunk/PageTokens)
		grow(&s.panel, 4*rows*j.types.pitch(hd))
		grow(&s.weight, 4*rows*j.types.pitch(attendChunk))
		grow(&s.scores, rows*attendChunk)
		grow(&s.chunk.out, rows*j.kv.padded)
		grow(&s.all.out, rows*j.kv.padded)
		if j.kv.Type == Int8 {
			grow(&s.scales, attendChunk)
			grow(&s.tiles, j.expanded()*PageTokens*j.kv.padded)
		}
	}
	p.run(j, j.divide(rows))
}

// divide makes the tasks and counts them.
func (j *attendJob) divide(rows int) int {
	j.spans = j.spans[:0]
	row, tasks := 0, 0
	for i := range j.b.Seqs {
		s := attendSpan{Span: &j.b.Seqs[i], row: row, chunks: 1}
		s.plan = j.c.plan(j.types, s.Rows*j.share)
		j.spans = append(j.spans, s)
		row += s.Rows
		tasks += s.tasks(j.kv.KVHeads)
	}
	if workers := j.c.pool.workers; workers == 1 || tasks >= 4*workers {
		return tasks
	}
	tasks = 0
	parts, left := 0, 0
	for i := range j.spans {
		s := &j.spans[i]
		if chunks := ceil(s.Pos+s.Rows, attendChunk); s.plan.tiles() == 1 && chunks > 1 {
			s.chunks, s.part, s.left = chunks, parts, left
			parts += chunks * j.kv.KVHeads
			left += j.kv.KVHeads
		}
		tasks += s.tasks(j.kv.KVHeads)
	}
	for len(j.parts) < parts {
		j.parts = append(j.parts, attended{})
	}
	for i := range parts {
		grow(&j.parts[i].out, rows*j.kv.padded)
	}
	grow(&j.left, left)
	for i := range j.spans {
		s := &j.spans[i]
		for h := 0; s.chunks > 1 && h < j.kv.KVHeads; h++ {
			j.left[s.left+h].Store(int32(s.chunks))
		}
	}
	return tasks
}

func (j *attendJob) run(worker, task int) {
	kvHeads := j.kv.KVHeads
	for i := range j.spans {
		s := &j.spans[i]
		if n := s.tasks(kvHeads); task >= n {
			task -= n
			continue
		}
		w, head := &j.scratch[worker], task%kvHeads
		if s.chunks > 1 {
			j.part(w, s, task/kvHeads, head)
			return
		}
		// The longest rows first, so that the last task is a short one.
		j.tile(w, s, s.plan.tiles()-1-task/kvHeads, head)
		return
	}
}

// tile computes one tile of query rows of a sequence.
func (j *attendJob) tile(w *attendScratch, s *attendSpan, tile, head int) {
	j.queries(w, s, tile, head)
	first, rows, mr := s.plan.tile(tile)
	keys := s.Pos + (first+rows-1)/j.share + 1 // of the last row
	j.attend(w, &w.all, s, first, rows, mr, head, 0, keys)
	for at := attendChunk; at < keys; at += attendChunk {
		j.attend(w, &w.chunk, s, first, rows, mr, head, at, keys)
		j.merge(&w.all, &w.chunk, rows)
	}
	j.finish(&w.all, s, first, rows, head)
}

// part computes one chunk of the only tile; the last one to end merges all.
func (j *attendJob) part(w *attendScratch, s *attendSpan, chunk, head int) {
	j.queries(w, s, 0, head)
	_, rows, mr := s.plan.tile(0)
	parts := j.parts[s.part+head*s.chunks:][:s.chunks]
	j.attend(w, &parts[chunk], s, 0, rows, mr, head, chunk*attendChunk, s.Pos+s.Rows)
	if j.left[s.left+head].Add(-1) > 0 {
		return
	}
	for i := range parts[1:] {
		j.merge(&parts[0], &parts[1+i], rows)
	}
	j.finish(&parts[0], s, 0, rows, head)
}

// queries makes the panel of a tile of query rows.
func (j *attendJob) queries(w *attendScratch, s *attendSpan, tile, head int) {
	hd := j.kv.HeadDim
	first, rows, mr := s.plan.tile(tile)
	for r := range rows {
		q := w.q[r*hd : (r+1)*hd]
		copy(q, j.query(s.row, first+r, head))
		if j.kv.Type == Int8 {
			j.c.hadamard(q)
			j.c.scale(q, 1/float32(ref.HadamardBlock(hd))) // for the transform's square
		}
	}
	j.c.activations(j.types, false, w.panel, j.types.pitch(hd), w.q, hd, rows, hd, mr, nil)
}

// attend computes what the queries in the panel take from the chunk of keys that
// begins at at, of so many keys in all.
func (j *attendJob) attend(w *attendScratch, a *attended, s *attendSpan, first, rows, mr, head, at, keys int) {
	n := min(attendChunk, keys-at)
	pages := s.Pages[at/PageTokens : PagesFor(at+n)]
	j.score(w, pages, head, mr)
	if j.kv.Type == Int8 {
		j.decodeKeys(w, pages, head, rows)
	}
	scale := j.scale()
	for r := range rows {
		row := w.scores[r*attendChunk:][:len(pages)*PageTokens]
		sees := max(0, min(s.Pos+(first+r)/j.share+1-at, n))
		a.max[r], a.sum[r] = float32(math.Inf(-1)), 0
		if sees > 0 {
			a.max[r] = j.c.max(row[:sees])
			a.sum[r] = j.c.expSum(row[:sees], scale, a.max[r])
		}
		clear(row[sees:])
	}
	if j.kv.Type == Int8 {
		j.scaleValues(w, pages, n, head, rows)
	}
	j.c.activations(j.types, false, w.weight, j.types.pitch(attendChunk), w.scores, attendChunk, rows, len(pages)*PageTokens, mr, nil)
	clear(a.out[:rows*j.kv.padded])
	j.weigh(w, a.out, pages, n, head, mr)
}

func (j *attendJob) scale() float32 { return float32(1 / math.Sqrt(float64(j.kv.HeadDim))) }

// merge adds what rows took from the next chunk to what they took before.
func (j *attendJob) merge(a, next *attended, rows int) {
	scale := float64(j.scale())
	for r := range rows {
		out, more := a.out[r*j.kv.padded:][:j.kv.padded], next.out[r*j.kv.padded:][:j.kv.padded]
		switch {
		case next.sum[r] == 0: // before the chunk's first key
			continue
		case next.max[r] > a.max[r]:
			shrink := float32(math.Exp(float64(a.max[r]-next.max[r]) * scale))
			j.c.scale(out, shrink)
			a.max[r], a.sum[r] = next.max[r], a.sum[r]*shrink+next.sum[r]
		default:
			shrink := float32(math.Exp(float64(next.max[r]-a.max[r]) * scale))
			j.c.scale(more, shrink)
			a.sum[r] += next.sum[r] * shrink
		}
		j.c.add(out, more)
	}
}

// finish divides by the sums of exponentials.
func (j *attendJob) finish(a *attended, s *attendSpan, first, rows, head int) {
	hd := j.kv.HeadDim
	for r := range rows {
		out := j.dst.row(s.row + (first+r)/j.share)[(head*j.share+(first+r)%j.share)*hd:][:hd]
		copy(out, a.out[r*j.kv.padded:])
		j.c.scale(out, 1/a.sum[r])
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

// weigh adds to out the values of n keys, weighted by the panel's probabilities.
func (j *attendJob) weigh(s *attendScratch, out []float32, pages []int32, n, head, mr int) {
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
			j.c.dense(j.types, rows, mr, unsafe.Add(values, t*stride), stride, x, k, &out[t*tileRows], j.kv.padded, true)
			t += rows
		}
	}
	if j.types == bf16amx {
		last := ceil(n-(len(pages)-1)*PageTokens, step)
		pitch := j.types.pitch(attendChunk)
		j.c.tileSums(s.list[:len(pages)], last, j.kv.padded/tileRows, mr, unsafe.Pointer(&s.weight[0]), pitch, &out[0], j.kv.padded)
	}
}
