//go:build amd64 && !noasm && !linux

package amd64

// RequestAMX reports whether this process may use AMX's tiles: elsewhere no one
// is asked.
func RequestAMX() bool { return false }
