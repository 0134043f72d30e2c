package kernels

import (
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A job is work in numbered tasks that may run in any order on any worker.
// Which worker runs a task must not change its result.
type job interface{ run(worker, task int) }

// pool runs jobs on its caller's goroutine, worker 0, and on helpers. Both spin
// for a little while where they wait, and then sleep: whoever is waited for may
// have lost its processor, and gets the one that a sleeper leaves.
type pool struct {
	workers int
	state   atomic.Uint64 // generation | tasks | next task: a claim checks all three
	job     job

	_    [cacheLine]byte // done is written with every task, state read all the time
	done atomic.Int64
	_    [cacheLine]byte

	waiting  atomic.Bool   // run sleeps until finished
	finished chan struct{} // room for one

	mu       sync.Mutex
	wake     sync.Cond
	sleeping atomic.Int32
	closed   atomic.Bool
	failure  atomic.Pointer[error]
	exit     sync.WaitGroup
}

const (
	taskBits = 20
	maxTasks = 1<<taskBits - 1

	// To wake a helper takes about 60 µs: it stays awake over the serial parts of
	// a step and over a last task. Waking run costs little, see help.
	helperSpin = 200 * time.Microsecond
	runSpin    = 50 * time.Microsecond
)

// waiter tells when to stop spinning. PAUSE takes 10 to 140 cycles, so it goes
// by the clock, but looks at it rarely.
type waiter struct {
	turns int
	until time.Time
}

// spin pauses, and is false when so long has passed since the first call.
func (w *waiter) spin(most time.Duration) bool {
	pause()
	w.turns++
	switch {
	case w.turns%64 != 0:
		return true
	case w.until.IsZero():
		w.until = time.Now().Add(most)
		return true
	default:
		return time.Now().Before(w.until)
	}
}

func newPool(workers int) *pool {
	p := &pool{workers: workers, finished: make(chan struct{}, 1)}
	p.wake.L = &p.mu
	for w := 1; w < workers; w++ {
		p.exit.Add(1)
		go p.help(w)
	}
	return p
}

// run does tasks 0 … n-1 of j and returns when all are done.
func (p *pool) run(j job, n int) {
	if p.workers == 1 || n == 1 {
		for i := range n {
			p.task(j, 0, i)
		}
		return
	}
	if n > maxTasks {
		panic("kernels: too many tasks")
	}
	p.job = j
	p.done.Store(0)
	generation := p.state.Load()>>(2*taskBits) + 1
	p.state.Store(generation<<(2*taskBits) | uint64(n)<<taskBits)
	if p.sleeping.Load() > 0 {
		p.mu.Lock()
		p.wake.Broadcast()
		p.mu.Unlock()
	}
	p.claim(0)
	w := waiter{}
	for p.done.Load() < int64(n) {
		if w.spin(runSpin) {
			continue
		}
		p.waiting.Store(true)
		if p.done.Load() < int64(n) || !p.waiting.CompareAndSwap(true, false) {
			<-p.finished
		}
	}
}

// claim runs tasks of the present job until none is left. The job cannot change
// between a successful claim and the end of its task, as run waits for that.
func (p *pool) claim(worker int) {
	for {
		s := p.state.Load()
		n := s >> taskBits & maxTasks
		if next := s & maxTasks; next < n {
			if p.state.CompareAndSwap(s, s+1) {
				p.task(p.job, worker, int(next))
				if p.done.Add(1) == int64(n) && p.waiting.CompareAndSwap(true, false) {
					p.finished <- struct{}{}
					goruntime.Gosched() // run goes on at once, on this processor
				}
			}
			continue
		}
		return
	}
}

// task keeps a panic from ending the process: it becomes the pass's error.
func (p *pool) task(j job, worker, i int) {
	defer func() {
		if r := recover(); r != nil {
			err := fmt.Errorf("internal error: %v", r)
			p.failure.CompareAndSwap(nil, &err)
		}
	}()
	j.run(worker, i)
}

func (p *pool) help(worker int) {
	defer p.exit.Done()
	seen := uint64(0)
	w := waiter{}
	for !p.closed.Load() {
		s := p.state.Load()
		if s>>(2*taskBits) != seen {
			p.claim(worker)
			seen = s >> (2 * taskBits)
			w = waiter{}
			continue
		}
		if w.spin(helperSpin) {
			continue
		}
		p.mu.Lock()
		p.sleeping.Add(1)
		for p.state.Load()>>(2*taskBits) == seen && !p.closed.Load() {
			p.wake.Wait()
		}
		p.sleeping.Add(-1)
		p.mu.Unlock()
		w = waiter{}
	}
}

// err returns the first panic since the last call, as an error.
func (p *pool) err() error {
	if e := p.failure.Swap(nil); e != nil {
		return *e
	}
	return nil
}

func (p *pool) close() {
	p.closed.Store(true)
	p.mu.Lock()
	p.wake.Broadcast()
	p.mu.Unlock()
	p.exit.Wait()
}
