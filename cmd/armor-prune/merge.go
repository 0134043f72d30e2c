package main

import (
	"armor/internal/cli"
	"armor/prune"

	"github.com/spf13/cobra"
)

func newMerge() *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "merge [flags] OUT PART...",
		Short: "Join the parts that runs with --layers made",
		Long: `Join what several armor-prune run --layers A:B made of one model into the folder OUT.
Together the parts must have all layers; they must come from the same model, text and
settings. They stay as they are.`,
		Args: cli.Args(cobra.MinimumNArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			j, err := prune.Merge(a[0], a[1:])
			if err != nil {
				return err
			}
			return f.goOn(c, j)
		},
	}
	f.addWork(c)
	return c
}
