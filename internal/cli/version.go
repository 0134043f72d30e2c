package cli

import (
	"fmt"
	goruntime "runtime"
	"runtime/debug"

	"armor/kernels"

	"github.com/klauspost/cpuid/v2"
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

// Version is what the command version prints.
func Version(name string) string {
	v, c := Built()
	return fmt.Sprintf("%s %s, commit %s, %s %s/%s\n%s, kernels %v\n", name, v, c,
		goruntime.Version(), goruntime.GOOS, goruntime.GOARCH, cpuid.CPU.BrandName, kernels.BestISA())
}
