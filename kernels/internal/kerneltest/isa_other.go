//go:build !amd64 || noasm

package kerneltest

func (ISA) has() bool { return false }
