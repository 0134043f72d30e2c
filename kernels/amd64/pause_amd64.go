//go:build amd64 && !noasm

package amd64

// Pause tells the processor that the caller spins: four PAUSEs.
func Pause()
