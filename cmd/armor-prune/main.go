// Command armor-prune makes 2:4 models of Llama and Qwen language models.
package main

import (
	"errors"
	"os"
	"syscall"

	"armor/internal/cli"
	"armor/prune"

	"github.com/spf13/cobra"
)

func main() {
	stopped := func(err error) bool { return errors.Is(err, prune.ErrStopped) }
	os.Exit(cli.Main(newRoot(), os.Args[1:], stopped, os.Interrupt, syscall.SIGTERM))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{Use: "armor-prune", Short: "Prune Llama and Qwen language models to 2:4 sparsity"}
	root.AddCommand(newRun(), newResume(), newMerge(), newSensitivity(), newQuantize(), newInspect(), newPack(), newImport(), newExport(), cli.NewVersion("armor-prune"))
	return root
}
