package main

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"

	"armor/kernels"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and what the processor can do",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			version, commit := built()
			_, err := fmt.Fprintf(c.OutOrStdout(), "armor-run %s, commit %s, %s %s/%s\n%s, kernels %v\n", version, commit,
				goruntime.Version(), goruntime.GOOS, goruntime.GOARCH, cpuid.CPU.BrandName, kernels.BestISA())
			return err
		},
	}
}

// Set by make release.
var version, commit string

// built is what this program was built from.
func built() (v, c string) {
	if version != "" {
		return version, commit
	}
	v, c = "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				c = s.Value
			}
		}
	}
	return v, c
}

// mebibytes prints a size as people read it.
func mebibytes(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
