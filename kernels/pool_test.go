package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestPool(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		p := newPool(workers)
		rng := rand.New(rand.NewPCG(1, 1))
		for range 3000 {
			j := &countJob{ran: make([]int, rng.IntN(40))}
			p.run(j, len(j.ran))
			for i, n := range j.ran {
				if n != 1 {
					t.Fatalf("task %d of %d ran %d times", i, len(j.ran), n)
				}
			}
		}
		p.run(&panicJob{}, 7)
		if err := p.err(); err == nil {
			t.Error("a panic was lost")
		}
		if err := p.err(); err != nil {
			t.Errorf("reported twice: %v", err)
		}
		p.close()
	}
}

type countJob struct{ ran []int }

func (j *countJob) run(_, task int) { j.ran[task]++ }

type panicJob struct{}

func (*panicJob) run(_, task int) {
	if task == 3 {
		panic("three")
	}
}

// spinJob has tasks that only take time.
type spinJob struct{ pauses int }

func (j *spinJob) run(int, int) {
	for range j.pauses {
		pause()
	}
}

// BenchmarkPool is one job: of two empty tasks, which is the cost of a
// synchronisation, or of a decode's linear, 32 tasks of about 4 or 40 µs.
func BenchmarkPool(b *testing.B) {
	for _, workers := range []int{1, 2, 3, 4} {
		for _, t := range []struct{ tasks, pauses int }{{2, 0}, {32, 16}, {32, 160}} {
			b.Run(fmt.Sprintf("workers=%d/tasks=%d/pauses=%d", workers, t.tasks, t.pauses), func(b *testing.B) {
				p := newPool(workers)
				defer p.close()
				j := &spinJob{t.pauses}
				for b.Loop() {
					p.run(j, t.tasks)
				}
			})
		}
	}
}
