package main

import (
	"fmt"

	"armor/internal/cli"
)

// peakMemory is the most memory this process has had resident.
func peakMemory() string {
	if n := cli.PeakMemory(); n > 0 {
		return mebibytes(n)
	}
	return "unknown"
}

// mebibytes prints a size as people read it.
func mebibytes(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
