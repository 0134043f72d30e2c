//go:build !linux && !darwin && !freebsd && !windows

package hub

import "os"

// freeSpace is not known here.
func freeSpace(string) (int64, bool) { return 0, false }

// tryLock takes every file as free here: the worst is the same bytes written
// twice.
func tryLock(*os.File) (bool, error) { return true, nil }
