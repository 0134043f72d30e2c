package kernels

import (
	"github.com/edsrzf/mmap-go"
	"golang.org/x/sys/unix"
)

// private keeps a mapping out of shared memory, which Linux gives no huge pages and
// slower small ones.
const private = mmap.COPY

// adviseHuge asks for huge pages: a decode step walks all weights once, and
// small pages cost it a table walk every 4 KiB.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
