package solve

import "armor/internal/parallel"

// inParallel runs f for tasks 0 … n-1, claimed in this order by up to threads
// workers. A task writes only what is its own, so that the result does not
// depend on which worker runs it. A panic of f is one of the caller, see Prune.
func inParallel(threads, n int, f func(worker, task int)) {
	err := parallel.Do(threads, n, func(worker, task int) error {
		f(worker, task)
		return nil
	})
	if err != nil {
		panic(err)
	}
}
