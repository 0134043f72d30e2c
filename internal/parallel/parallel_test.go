package parallel

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

func TestDo(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 100} {
		for _, n := range []int{0, 1, 7, 1000} {
			seen := make([]atomic.Int32, n)
			if err := Do(workers, n, func(_, i int) error { seen[i].Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
			for i := range seen {
				if got := seen[i].Load(); got != 1 {
					t.Errorf("%d workers: %d ran %d times, want once", workers, i, got)
				}
			}
		}
	}
}

func TestDoFails(t *testing.T) {
	stop := errors.New("stop")
	var calls atomic.Int32
	err := Do(2, 1e6, func(_, i int) error {
		calls.Add(1)
		if i == 3 {
			return stop
		}
		return nil
	})
	if err != stop || calls.Load() == 1e6 {
		t.Errorf("got %v after %d calls, want the error of the fourth and few calls", err, calls.Load())
	}
	if err := Do(2, 5, func(_, i int) error { panic("lost") }); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("got %v, want the panic as an error", err)
	}
}
