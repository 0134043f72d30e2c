package cli

import (
	"os"
	"regexp"
	"strconv"
)

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// PeakMemory is the most memory this process has had resident, in bytes; 0 where
// the system does not say.
func PeakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if m := peakLine.FindSubmatch(status); err == nil && m != nil {
		if kb, err := strconv.ParseInt(string(m[1]), 10, 64); err == nil {
			return kb << 10
		}
	}
	return 0
}
