package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	configFile = "config.json"
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// besides says whether a file goes with the weights: configuration, vocabulary,
// chat templates. Nothing of other frameworks, and no code.
func besides(name string) bool {
	switch name {
	case configFile, "generation_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
		"merges.txt", "chat_template.json", "armor_report.json":
		return true
	}
	if folder := path.Dir(name); folder != "." {
		return folder == "additional_chat_templates" && path.Ext(name) == ".jinja"
	}
	switch path.Ext(name) {
	case ".jinja":
		return true
	case ".json", ".model", ".txt":
		return strings.HasPrefix(name, "tokenizer")
	}
	return false
}

// chooseFolder picks the files of a Hugging Face or ARMOR folder. Where the
// weights are in several files it picks their index, which names them. The single
// file goes first, as in transformers.
func chooseFolder(l *listing, repo string) ([]string, error) {
	var names []string
	for _, name := range l.names {
		if besides(name) {
			names = append(names, name)
		}
	}
	hasWeights := true
	switch {
	case l.has(singleFile):
		names = append(names, singleFile)
	case l.has(indexFile):
		names = append(names, indexFile)
	default:
		hasWeights = false
	}
	if !hasWeights || !l.has(configFile) {
		return nil, whyNot(l, repo, hasWeights)
	}
	return names, checkAll(names)
}

// whyNot says what a repository holds instead of a folder with weights.
func whyNot(l *listing, repo string, hasWeights bool) error {
	var gguf, foreign []string
	for _, name := range l.names {
		switch path.Ext(name) {
		case ".gguf":
			gguf = append(gguf, name)
		case ".bin", ".pt", ".pth", ".onnx", ".h5", ".msgpack", ".safetensors":
			foreign = append(foreign, name)
		}
	}
	switch {
	case len(gguf) > 0:
		return ggufOnly(repo, gguf)
	case hasWeights:
		return errors.New("no " + configFile + " in this repository")
	case len(foreign) > 0:
		return fmt.Errorf("no %s in this repository, only %s, which cannot be used", singleFile, few(foreign))
	}
	return fmt.Errorf("no weights in this repository: want %s, or a GGUF file", singleFile)
}

// chooseGGUF picks the named file and, if it is one part of several, the others.
func chooseGGUF(l *listing, n Name) ([]string, error) {
	names, err := splitSet(n.File)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.File, err)
	}
	for _, name := range names {
		if l.has(name) {
			continue
		}
		var gguf []string
		for _, other := range l.names {
			if path.Ext(other) == ".gguf" {
				gguf = append(gguf, other)
			}
		}
		if len(gguf) == 0 {
			return nil, fmt.Errorf("no file %s in this repository, nor any other GGUF file", name)
		}
		return nil, fmt.Errorf("no file %s in this repository, which has %s", name, few(firstParts(gguf)))
	}
	return names, checkAll(names)
}

// ggufOnly tells that a file must be chosen, and among which.
func ggufOnly(repo string, names []string) error {
	names = firstParts(names)
	return fmt.Errorf("%s: only GGUF files: choose one, as %s:%s; there are %s", repo, repo, plain(names[0]), few(names))
}

// firstParts leaves one file of each split model.
func firstParts(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		parts, err := splitSet(name)
		return err == nil && parts[0] != name
	})
}

// few shows names, not too many of them.
func few(names []string) string {
	const most = 30
	var b strings.Builder
	for i, name := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(plain(name))
	}
	return b.String()
}

func checkAll(names []string) error {
	for _, name := range names {
		if err := checkWritable(name); err != nil {
			return err
		}
	}
	return nil
}

// parseIndex gives the files that an index names, sorted. They lie beside it.
func parseIndex(text []byte) ([]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var shards []string
	for _, shard := range index.WeightMap {
		if seen[shard] {
			continue
		}
		seen[shard] = true
		if len(seen) > maxShards {
			return nil, fmt.Errorf("weight_map: more than %d files", maxShards)
		}
		if err := checkWritable(shard); err != nil {
			return nil, fmt.Errorf("weight_map: %w", err)
		}
		if strings.Contains(shard, "/") || !strings.HasSuffix(shard, ".safetensors") {
			return nil, fmt.Errorf("weight_map: got %s, want a .safetensors file beside the index", quote(shard))
		}
		shards = append(shards, shard)
	}
	if len(shards) == 0 {
		return nil, errors.New("weight_map: missing or empty")
	}
	slices.Sort(shards)
	return shards, nil
}
