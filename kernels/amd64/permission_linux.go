//go:build amd64 && !noasm

package amd64

import (
	"sync"

	"golang.org/x/sys/unix"
)

// RequestAMX asks Linux, once, to let this process use AMX's tiles, and reports
// whether it may.
var RequestAMX = sync.OnceValue(func() bool {
	const archReqXcompPerm, xfeatureXtiledata = 0x1023, 18
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, archReqXcompPerm, xfeatureXtiledata, 0)
	return errno == 0
})
