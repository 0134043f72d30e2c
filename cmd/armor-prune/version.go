package main

import (
	"fmt"

	"armor/internal/cli"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and what the processor can do",
		Args:  cli.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(c.OutOrStdout(), cli.Version("armor-prune"))
			return err
		},
	}
}

func versionString() string {
	v, commit := cli.Built()
	return v + " " + commit
}
