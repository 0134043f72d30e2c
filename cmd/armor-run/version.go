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
			version, commit := "unknown", "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						commit = s.Value
					}
				}
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "armor-run %s, commit %s, %s %s/%s\n%s, kernels %v\n", version, commit,
				goruntime.Version(), goruntime.GOOS, goruntime.GOARCH, cpuid.CPU.BrandName, kernels.BestISA())
			return err
		},
	}
}

// mebibytes prints a size as people read it.
func mebibytes(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
}
