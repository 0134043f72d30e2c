//go:build amd64 && !noasm && !linux

package kerneltest

func permitAMX() bool { return false }
