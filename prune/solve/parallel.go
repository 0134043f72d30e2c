package solve

import (
	"sync"
	"sync/atomic"
)

// parallel runs f for tasks 0 … n-1, claimed in this order by up to threads
// workers. A task writes only what is its own, so that the result does not
// depend on which worker runs it.
func parallel(threads, n int, f func(worker, task int)) {
	threads = min(threads, n)
	if threads <= 1 {
		for i := range n {
			f(0, i)
		}
		return
	}
	var next atomic.Int64
	work := func(worker int) {
		for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
			f(worker, int(i))
		}
	}
	var others sync.WaitGroup
	for w := 1; w < threads; w++ {
		others.Go(func() { work(w) })
	}
	work(0)
	others.Wait()
}
