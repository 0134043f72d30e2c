package main

import (
	"fmt"
	"io"
	"time"

	"armor/prune"
)

// progress prints one line for each step.
type progress struct{ w io.Writer }

func (p progress) event(e prune.Event) {
	switch e.Phase {
	case "prune":
		left := time.Duration(float64(e.Elapsed) / float64(max(1, e.Done)) * float64(e.All-e.Done)).Round(time.Second)
		fmt.Fprintf(p.w, "%5.1f %%  %-36s loss %.4f → %.4f  %.2f s, %v left\n", 100*float64(e.Done)/float64(e.All), e.Module, e.Start, e.Loss, e.Seconds, left)
	case "sensitivity":
		fmt.Fprintf(p.w, "sensitivity %d/%d  %.1f s\n", e.Done, e.All, e.Seconds)
	case "quantize":
		fmt.Fprintf(p.w, "%5.1f %%  %-36s loss %.5f  %.2f s\n", 100*float64(e.Done)/float64(e.All), e.Module, e.Loss, e.Seconds)
	default:
		fmt.Fprintf(p.w, "%s %d/%d  %.1f s\n", e.Phase, e.Done, e.All, e.Seconds)
	}
}
