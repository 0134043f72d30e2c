package kernels

import "time"

// streamJob reads memory and keeps nothing; a task is one chunk.
type streamJob struct {
	c      *CPU
	chunks [][]byte
	sink   []float32 // per task, so that nothing is shared
}

const (
	streamChunk = 1 << 20
	// A processor fetches more at once from several places than from one, as
	// kernels do that read four row tiles side by side.
	streams     = 4
	streamPiece = 1 << 10
)

func (j *streamJob) run(_, task int) {
	const apart = streamChunk / streams
	for at := 0; at < apart; at += streamPiece {
		for s := range streams {
			j.sink[task] = max(j.sink[task], j.c.max(asF32(j.chunks[task][s*apart+at:][:streamPiece])))
		}
	}
}

// Bandwidth measures a plain streaming read of up to 1 GiB of the memory that
// this backend holds, by all workers: bytes a second, the best of three. It is 0
// where so little is held that caches would answer.
func (c *CPU) Bandwidth() float64 {
	const least, most = 128 << 20, 1 << 30
	j := &streamJob{c: c}
	total := 0
	for _, m := range c.memory.large {
		for len(m) >= streamChunk && total < most {
			j.chunks = append(j.chunks, m[:streamChunk])
			m = m[streamChunk:]
			total += streamChunk
		}
	}
	if total < least {
		return 0
	}
	j.sink = make([]float32, len(j.chunks))
	best := 0.0
	for range 3 {
		begin := time.Now()
		c.pool.run(j, len(j.chunks))
		best = max(best, float64(total)/time.Since(begin).Seconds())
	}
	return best
}
