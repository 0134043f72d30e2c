package kernels

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages: a decode step walks all weights once, and
// small pages cost it a table walk every 4 KiB.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
