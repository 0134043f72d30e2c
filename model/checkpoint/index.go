package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"armor/model/checkpoint/strictjson"
)

// maxShards bounds open files and mappings; the largest models have some 200.
const maxShards = 1024

// loadShards opens the files that an index names and requires it and them to
// agree on every tensor.
func (c *Checkpoint) loadShards(path string, index []byte) error {
	shardOf, err := parseIndex(index)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	shards := slices.Compact(slices.Sorted(maps.Values(shardOf)))
	if len(shards) > maxShards {
		return fmt.Errorf("%s: too many shards: got %d, want at most %d", path, len(shards), maxShards)
	}
	for _, shard := range shards {
		if err := c.loadShard(shard, shardOf); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shardOf)) {
		if c.tensors[name] == nil {
			return fmt.Errorf("%s: tensor %s: missing in its shard %s", path, strictjson.Name(name), shardOf[name])
		}
	}
	return nil
}

func (c *Checkpoint) loadShard(shard string, shardOf map[string]string) error {
	tensors, err := c.openTensors(shard)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		other, listed := shardOf[t.Name]
		switch first := c.tensors[t.Name]; {
		case first != nil:
			return t.errorf("duplicate, it is also in %s", filepath.Base(first.file.path))
		case !listed:
			return t.errorf("not listed in the index")
		case other != shard:
			return t.errorf("found here, but the index says shard %s", other)
		}
		c.tensors[t.Name] = t
	}
	return nil
}

// parseIndex reads which shard holds each tensor. The rest of an index
// (metadata.total_size) is not needed and not believed.
func parseIndex(index []byte) (map[string]string, error) {
	o, err := strictjson.Parse(index)
	if err != nil {
		return nil, err
	}
	entries, err := o.Object("weight_map")
	if err != nil {
		return nil, err
	}
	if len(entries.Keys()) == 0 {
		return nil, o.Errorf("weight_map", "empty, want tensors")
	}
	shardOf := make(map[string]string, len(entries.Keys()))
	for _, name := range entries.Keys() {
		shard, err := entries.String(name)
		if err == nil {
			if err = plainName(shard); err != nil {
				err = fmt.Errorf("tensor %s: shard %s: %w", strictjson.Name(name), strictjson.Quote(shard), err)
			}
		}
		if err != nil {
			return nil, err
		}
		shardOf[name] = shard
	}
	return shardOf, nil
}

// plainName accepts the name of a file in the same folder and nothing else.
func plainName(name string) error {
	plain := filepath.IsLocal(name) && name != "." && len(name) <= 255
	for i := 0; plain && i < len(name); i++ {
		plain = name[i] >= ' ' && name[i] < 0x7f && name[i] != '/' && name[i] != '\\'
	}
	if !plain {
		return errors.New("want a plain file name (ASCII, no folders)")
	}
	return nil
}
