//go:build !linux

package kernels

import "github.com/edsrzf/mmap-go"

// private is what protects a mapping that no other process sees.
const private = mmap.RDWR

func adviseHuge([]byte) {}
