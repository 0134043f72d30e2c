package cli

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"

	"armor/kernels"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"
)

// Set by make release.
var version, commit string

// Built is what this program was built from.
func Built() (v, c string) {
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

// NewVersion is the command version.
func NewVersion(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and what the processor can do",
		Args:  Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(c.OutOrStdout(), versionText(program))
			return err
		},
	}
}

func versionText(name string) string {
	v, c := Built()
	return fmt.Sprintf("%s %s, commit %s, %s %s/%s\n%s, kernels %v\n", name, v, c,
		goruntime.Version(), goruntime.GOOS, goruntime.GOARCH, cpuid.CPU.BrandName, kernels.BestISA())
}
