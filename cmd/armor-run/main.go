// Command armor-run runs Llama and Qwen language models.
package main

import (
	"os"

	"armor/internal/cli"

	"github.com/spf13/cobra"
)

func main() { os.Exit(cli.Main(newRoot(), os.Args[1:], nil, os.Interrupt)) }

func newRoot() *cobra.Command {
	root := &cobra.Command{Use: "armor-run", Short: "Run Llama and Qwen language models"}
	root.AddCommand(newGenerate(), newChat(), newPerplexity(), newBench(), newCheck(), newPull(), newTokenize(), newInspect(), cli.NewVersion("armor-run"))
	return root
}
