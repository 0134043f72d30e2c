package main

import (
	"fmt"
	"io"

	"armor/internal/cli"
	"armor/prune/folder"

	"github.com/spf13/cobra"
)

// newPack, newExport and newImport turn one folder into another.
func newPack() *cobra.Command {
	return convert("pack", "Pack a model whose zeros are 2:4 and stored densely", `Pack MODEL, whose linear layers have two zeros in every four consecutive inputs
and store them (SparseGPT, Wanda, MaskLLM, Sparse-Llama), into the folder OUT. It is
lossless; modules that are not 2:4 stay dense and are listed.`,
		folder.Pack)
}

func newImport() *cobra.Command {
	return convert("import", "Import a checkpoint of the ARMOR authors' code", `Turn MODEL, a folder that the code of the ARMOR paper's authors wrote, into an ARMOR
folder of this program.`,
		folder.Import)
}

func newExport() *cobra.Command {
	var dense, official bool
	c := convert("export", "Write a pruned model in another format", `Write the ARMOR folder MODEL in a format that other programs read: --dense multiplies
A, the core and B out to an ordinary bf16 model, --official writes the names that the
code of the ARMOR paper's authors reads.`, nil)
	c.Flags().BoolVar(&dense, "dense", false, "an ordinary model")
	c.Flags().BoolVar(&official, "official", false, "the names of the authors' code")
	c.RunE = func(c *cobra.Command, a []string) error {
		if dense == official {
			return cli.Usage(fmt.Errorf("want one of --dense and --official"))
		}
		src, err := cli.FindModel(a[0])
		if err != nil {
			return err
		}
		o := folder.Options{ArmorVersion: versionString()}
		if official {
			return folder.ExportOfficial(src, a[1], o)
		}
		return folder.ExportDense(src, a[1], o)
	}
	return c
}

func convert(name, short, long string, f func(src, dst string, o folder.Options) (*folder.Result, error)) *cobra.Command {
	return &cobra.Command{
		Use:   name + " [flags] MODEL OUT",
		Short: short,
		Long:  long,
		Args:  cli.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			src, err := cli.FindModel(a[0])
			if err != nil {
				return err
			}
			r, err := f(src, a[1], folder.Options{ArmorVersion: versionString()})
			if err != nil {
				return err
			}
			return printResult(c.OutOrStdout(), a[1], r)
		},
	}
}

func printResult(w io.Writer, dst string, r *folder.Result) error {
	t := r.Totals
	fmt.Fprintf(w, "%s: %d modules are 2:4, %.1f MB of %.1f MB before\n", dst, len(r.Modules), float64(t.BytesPacked)/1e6, float64(t.BytesDense)/1e6)
	rounded := 0
	for _, m := range r.Modules {
		if m.Rounded {
			rounded++
		}
	}
	if rounded > 0 {
		fmt.Fprintf(w, "rounded to bf16: %d modules\n", rounded)
	}
	for _, d := range r.Dense {
		if _, err := fmt.Fprintf(w, "dense: %s: %s\n", d.Name, d.Reason); err != nil {
			return err
		}
	}
	return nil
}
