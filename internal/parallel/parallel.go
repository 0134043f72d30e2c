// Package parallel runs loops on several processors.
package parallel

import (
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
)

// Do calls f(worker, i) for i from 0 to n-1 on at most workers goroutines (0:
// one for each processor), in any order. It returns when all calls have; after
// the first error no further ones begin. A panic of f is an error.
func Do(workers, n int, f func(worker, i int) error) error {
	if workers <= 0 {
		workers = goruntime.GOMAXPROCS(0)
	}
	workers = min(workers, n)
	var next, failed atomic.Int64
	errs := make([]error, max(workers, 0))
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for failed.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = call(f, w, i); errs[w] != nil {
					failed.Store(1)
				}
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func call(f func(worker, i int) error, worker, i int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error: %v", r)
		}
	}()
	return f(worker, i)
}
