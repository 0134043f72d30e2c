package kernels

import (
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
)

// A job is work in numbered tasks that may run in any order on any worker.
// Which worker runs a task must not change its result.
type job interface{ run(worker, task int) }

// pool runs jobs on its caller's goroutine, worker 0, and on helpers that spin
// for a little while between jobs and then sleep.
type pool struct {
	workers int
	state   atomic.Uint64 // generation | tasks | next task: a claim checks all three
	done    atomic.Int64
	job     job

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
	// A decode step's serial parts take a few microseconds, sampling about a
	// hundred: helpers stay awake over the former only.
	spins = 2000
)

func newPool(workers int) *pool {
	p := &pool{workers: workers}
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
	for i := 0; p.done.Load() < int64(n); i++ {
		pause()
		if i%64 == 63 { // a helper may have lost its processor
			goruntime.Gosched()
		}
	}
}

// claim runs tasks of the present job until none is left. The job cannot change
// between a successful claim and the end of its task, as run waits for that.
func (p *pool) claim(worker int) {
	for {
		s := p.state.Load()
		if next := s & maxTasks; next < s>>taskBits&maxTasks {
			if p.state.CompareAndSwap(s, s+1) {
				p.task(p.job, worker, int(next))
				p.done.Add(1)
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
	for idle := 0; !p.closed.Load(); idle++ {
		s := p.state.Load()
		if s>>(2*taskBits) != seen {
			p.claim(worker)
			seen = s >> (2 * taskBits)
			idle = 0
			continue
		}
		if idle < spins {
			pause()
			continue
		}
		p.mu.Lock()
		p.sleeping.Add(1)
		for p.state.Load()>>(2*taskBits) == seen && !p.closed.Load() {
			p.wake.Wait()
		}
		p.sleeping.Add(-1)
		p.mu.Unlock()
		idle = 0
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
