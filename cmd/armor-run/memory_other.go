//go:build !linux

package main

func peakMemory() string { return "unknown" }
