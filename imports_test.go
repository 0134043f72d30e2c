// Package armor holds the one test over the whole module's structure.
package armor

import (
	"os/exec"
	"strings"
	"testing"
)

// rows are the layers of the module, the highest first. A package imports only
// packages of rows below its own; "/..." is a whole tree.
var rows = [][]string{
	{"armor/cmd/..."},
	{"armor/internal/cli"},
	{"armor/bench/..."},
	{"armor/runtime/serve"},
	{"armor/runtime"},
	{"armor/runtime/sample"},
	{"armor/prune"},
	{"armor/prune/solve", "armor/prune/calib", "armor/prune/report", "armor/prune/folder"},
	{"armor/kernels/cuda"},
	{"armor/model"},
	{"armor/model/builtin"},
	{"armor/model/llama", "armor/model/qwen"},
	{"armor/model/hfconfig", "armor/model/ggufconfig"},
	{"armor/model/nn"},
	{"armor/model/armorfmt"},
	{"armor/model/checkpoint", "armor/model/tokenizer", "armor/model/hub", "armor/model/tokenizer/chat"},
	{"armor/model/checkpoint/strictjson", "armor/model/tokenizer/chat/jinja", "armor/model/atomicfile", "armor/kernels/block"},
	{"armor/kernels"},
	{"armor/kernels/ref"},
	{"armor/kernels/amd64"},
	{"armor/kernels/sparse24", "armor/internal/parallel"},
	{"armor/kernels/fourbit"},
	{"armor/kernels/internal/kerneltest", "armor/model/internal/gguftest"},
}

func rowOf(pkg string) int {
	for i, row := range rows {
		for _, pattern := range row {
			root, tree := strings.CutSuffix(pattern, "/...")
			if pkg == pattern || tree && (pkg == root || strings.HasPrefix(pkg, root+"/")) {
				return i
			}
		}
	}
	return -1
}

func TestImportDirection(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}: {{join .Imports \" \"}}", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if pkg == "armor" || pkg == "armor:" { // this package, which imports nothing
			continue
		}
		own := rowOf(pkg)
		if own < 0 {
			t.Errorf("%s is in no row of the layout", pkg)
			continue
		}
		for imported := range strings.FieldsSeq(imports) {
			if !strings.HasPrefix(imported, "armor/") {
				continue
			}
			seen++
			if rowOf(imported) <= own {
				t.Errorf("%s imports %s, which is not below it", pkg, imported)
			}
			if strings.HasPrefix(pkg, "armor/prune") && strings.HasPrefix(imported, "armor/runtime") {
				t.Errorf("%s imports %s: pruning and running know nothing of each other", pkg, imported)
			}
		}
	}
	if seen == 0 {
		t.Error("no imports within the module were seen")
	}
}
