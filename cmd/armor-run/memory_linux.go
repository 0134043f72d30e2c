package main

import (
	"os"
	"regexp"
	"strconv"
)

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakMemory is the most memory this process has had resident.
func peakMemory() string {
	status, err := os.ReadFile("/proc/self/status")
	if m := peakLine.FindSubmatch(status); err == nil && m != nil {
		if kb, err := strconv.ParseInt(string(m[1]), 10, 64); err == nil {
			return mebibytes(kb << 10)
		}
	}
	return "unknown"
}
