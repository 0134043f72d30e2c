//go:build amd64 && !noasm

package kerneltest

import "golang.org/x/sys/unix"

// permitAMX asks Linux for the use of tiles: ARCH_REQ_XCOMP_PERM, XTILEDATA.
func permitAMX() bool {
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, 0x1023, 18, 0)
	return errno == 0
}
