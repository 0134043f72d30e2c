package checkpoint

import "golang.org/x/sys/unix"

// release drops whole pages of a mapping from memory. They come back from the
// file when they are read.
func release(pages []byte) {
	_ = unix.Madvise(pages, unix.MADV_DONTNEED) // advice: a refusal costs memory only
}
