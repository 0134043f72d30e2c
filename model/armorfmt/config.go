// Package armorfmt reads and writes folders of models whose linear layers are
// y = A·(S·(B·x)): S is a 2:4 core, A and B are block-diagonal wrappers, both or
// neither. Such a folder is a Hugging Face folder with a section "armor" in
// config.json (format_version 1) and, for each pruned module, in place of .weight
//
//	.compressed  BF16 or I8 [d_out, d_in/2]  kept values, row-major, ascending column;
//	             U8 [d_out, d_in/4]          in int4: low nibble first, two's complement
//	.scales      F16 [d_out, d_in/g]         of an int8 or int4 core: of a row and g inputs
//	.bitmask     U8 [d_out, ceil(d_in/8)]    bit k of byte j is column 8j+k
//	.shape       I64 [2, 1]                  d_out, d_in
//	.A           BF16 or I8 [d_out/b_out, b_out, b_out]
//	.B           BF16 or I8 [d_in/b_in, b_in, b_in], unless it is another module's
//	.A_scales    F16 [d_out], .B_scales F16 [d_in]: of int8 wrappers, of a block's row
//
// Dense modules may have codes in place of .weight, the embedding and the head too
//
//	.q           I8 [d_out, d_in], or U8 [d_out, d_in/2] in int4: low nibble first, offset 8
//	.scales      F16 [d_out, d_in/g]
package armorfmt

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// Version is the format_version that this build reads and writes.
const Version = 1

// Bounds that no model comes near.
const (
	maxModules = 1 << 16
	maxBlock   = 1 << 16
)

// Layout is how one module is stored.
type Layout struct {
	CoreDType         string // BF16, Int8 or Int4
	Group             int    // inputs that share a scale of the core; 0 in bf16
	WrapperDType      string // BF16 or Int8, or None for a plain 2:4 core
	BlockOut, BlockIn int    // of A and of B; 0 without wrappers
}

// Config is the section "armor" of a config.json.
type Config struct {
	BaseModelType string // model_type of the dense model, "llama"
	BaseModel     string // what it was made of, or ""
	BaseSHA256    string
	ArmorVersion  string            // of the program that wrote it, or ""
	Recipe        json.RawMessage   // an object, or nil
	Modules       []string          // the pruned ones
	Dense         []string          // linear layers that are not pruned
	SharedB       map[string]string // module → the module whose B it uses
	HeadDType     string            // of embedding and head: Int8, Int4, or BF16 for the source's
	HeadGroup     int               // inputs that share a scale of a quantized dense module

	layouts   map[string]Layout // of Modules
	quantized map[string]bool   // dense modules with codes in place of a weight
}

// Pruned reports whether a module is stored as ARMOR.
func (c *Config) Pruned(module string) bool {
	_, ok := c.layouts[module]
	return ok
}

// Layout gives how a pruned module is stored.
func (c *Config) Layout(module string) (Layout, bool) {
	l, ok := c.layouts[module]
	return l, ok
}

// Quantized reports whether a module that is not pruned is kept as codes, see
// OpenQuantized. It is known after ReadConfig.
func (c *Config) Quantized(module string) bool { return c.quantized[module] }

// ReadConfig reads the section of a checkpoint and requires its tensors to be
// those that the section lists. It is nil for a model that is not ARMOR.
func ReadConfig(ck *checkpoint.Checkpoint) (*Config, error) {
	if ck.GGUF() != nil {
		return nil, nil
	}
	c, err := ParseConfig(ck.Config())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(ck.Path, "config.json"), err)
	}
	if c == nil {
		return nil, nil
	}
	return c, c.checkTensors(ck)
}

// ParseConfig reads the section from the text of a config.json, nil if it has
// none. Errors are one line, "key NAME: ...", without the path.
func ParseConfig(data []byte) (*Config, error) {
	whole, err := strictjson.Parse(data)
	if err != nil || !whole.Set("armor") {
		return nil, err
	}
	keys, err := whole.Object("armor")
	if err != nil {
		return nil, err
	}
	c := &Config{}
	for _, read := range []func(*strictjson.Object) error{
		readVersion, checkKeys, c.readReports, c.readHead, c.readNames, c.readModules, c.readOverrides, c.readSharedB,
	} {
		if err := read(keys); err != nil {
			return nil, err
		}
	}
	if !whole.Set("model_type") {
		return c, nil
	}
	modelType, err := whole.String("model_type")
	if err == nil && modelType != "armor_"+c.BaseModelType {
		err = keys.Errorf("base_model_type", "got %s, want that of model_type %s without armor_",
			strictjson.Quote(c.BaseModelType), strictjson.Quote(modelType))
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func readVersion(keys *strictjson.Object) error {
	const key = "format_version"
	v, err := keys.Int(key, 0, 1<<30)
	if err == nil && v != Version {
		err = keys.Errorf(key, "got %d, this build reads %d", v, Version)
	}
	return err
}

// checkKeys comes behind the version: a later format may have other keys.
func checkKeys(keys *strictjson.Object) error {
	known := []string{"format_version", "base_model_type", "base_model", "base_sha256", "pattern", "block_size",
		"core_dtype", "group_size", "wrapper_dtype", "head_dtype", "head_group_size", "normalizer", "overrides",
		"modules", "dense_modules", "shared_b", "calibration", "recipe", "armor_version"}
	if err := onlyKeys(keys, known); err != nil {
		return err
	}
	for key, want := range map[string]string{"pattern": "2:4", "normalizer": "folded"} {
		got, err := keys.String(key)
		if err != nil {
			return err
		}
		if got != want {
			return keys.Errorf(key, "%s is not supported, want %s", strictjson.Quote(got), want)
		}
	}
	return nil
}

// readReports reads what says how the folder was made.
func (c *Config) readReports(keys *strictjson.Object) error {
	for _, key := range []string{"calibration", "recipe"} {
		if keys.Set(key) {
			if _, err := keys.Object(key); err != nil {
				return err
			}
		}
	}
	if keys.Set("recipe") {
		c.Recipe = json.RawMessage(keys.Raw("recipe"))
	}
	return nil
}

func onlyKeys(keys *strictjson.Object, known []string) error {
	for _, key := range keys.Keys() {
		if !slices.Contains(known, key) {
			return keys.Errorf(key, "unknown, this build reads format_version %d", Version)
		}
	}
	return nil
}

// dtype reads a type of numbers.
func dtype(keys *strictjson.Object, key string, known ...string) (string, error) {
	v, err := keys.String(key)
	if err == nil && !slices.Contains(known, v) {
		err = keys.Errorf(key, "%s is not known, want %s", strictjson.Quote(v), strings.Join(known, ", "))
	}
	return v, err
}

// readHead reads how embedding, head and other dense modules are quantized.
func (c *Config) readHead(keys *strictjson.Object) (err error) {
	c.HeadDType, c.HeadGroup = BF16, HeadGroupSize
	if keys.Set("head_dtype") {
		if c.HeadDType, err = dtype(keys, "head_dtype", BF16, Int8, Int4); err != nil {
			return err
		}
	}
	const key = "head_group_size"
	if keys.Set(key) {
		n, err := keys.Int(key, 1, maxBlock)
		if err == nil && n%HeadGroupSize != 0 {
			err = keys.Errorf(key, "got %d, want a multiple of %d", n, HeadGroupSize)
		}
		if err != nil {
			return err
		}
		c.HeadGroup = int(n)
	}
	return nil
}

func (c *Config) readNames(keys *strictjson.Object) (err error) {
	if c.BaseModelType, err = keys.String("base_model_type"); err != nil {
		return err
	}
	for key, field := range map[string]*string{"base_model": &c.BaseModel, "base_sha256": &c.BaseSHA256, "armor_version": &c.ArmorVersion} {
		if keys.Set(key) {
			if *field, err = keys.String(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// readModules reads which modules are pruned, all in the default layout.
func (c *Config) readModules(keys *strictjson.Object) error {
	layout, err := readLayout(keys, Layout{}, false)
	if err != nil {
		return err
	}
	c.layouts = map[string]Layout{}
	if c.Modules, err = moduleNames(keys, "modules"); err != nil {
		return err
	}
	if len(c.Modules) == 0 {
		return keys.Errorf("modules", "empty, want the pruned modules")
	}
	for _, m := range c.Modules {
		c.layouts[m] = layout
	}
	if !keys.Set("dense_modules") {
		return nil
	}
	if c.Dense, err = moduleNames(keys, "dense_modules"); err != nil {
		return err
	}
	for _, m := range c.Dense {
		if c.Pruned(m) {
			return keys.Errorf("dense_modules", "%s is in modules, too", m)
		}
	}
	return nil
}

// moduleNames reads names that are plain, each once.
func moduleNames(keys *strictjson.Object, key string) ([]string, error) {
	names, err := keys.Strings(key, maxModules)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if strictjson.Name(n) != n {
			return nil, keys.Errorf(key, "got %s in it, want names of modules", strictjson.Quote(n))
		}
		if seen[n] {
			return nil, keys.Errorf(key, "%s is in it twice", n)
		}
		seen[n] = true
	}
	return names, nil
}

// readLayout reads the keys of one, which an override may leave as they are.
func readLayout(keys *strictjson.Object, l Layout, override bool) (Layout, error) {
	var err error
	if !override || keys.Has("core_dtype") {
		if l.CoreDType, err = dtype(keys, "core_dtype", BF16, Int8, Int4); err != nil {
			return l, err
		}
	}
	if !override || keys.Has("wrapper_dtype") {
		if l.WrapperDType, err = dtype(keys, "wrapper_dtype", BF16, Int8, None); err != nil {
			return l, err
		}
	}
	const key = "group_size"
	if l.Group == 0 {
		l.Group = GroupSize
	}
	if keys.Has(key) {
		n, err := keys.Int(key, 1, maxBlock)
		if err == nil && n%GroupSize != 0 {
			err = keys.Errorf(key, "got %d, want a multiple of %d", n, GroupSize)
		}
		if err != nil {
			return l, err
		}
		l.Group = int(n)
	}
	if keys.Has("block_size") || l.WrapperDType != None && l.BlockOut == 0 {
		if l.BlockOut, l.BlockIn, err = blockSize(keys); err != nil {
			return l, err
		}
	}
	return l, nil
}

func blockSize(keys *strictjson.Object) (out, in int, err error) {
	const key = "block_size"
	b, err := keys.Naturals(key, 2)
	if err != nil {
		return 0, 0, err
	}
	if len(b) != 2 || b[0] < 1 || b[1] < 1 || b[0] > maxBlock || b[1] > maxBlock {
		return 0, 0, keys.Errorf(key, "got %v, want two numbers from 1 to %d", b, maxBlock)
	}
	return int(b[0]), int(b[1]), nil
}

func (c *Config) readOverrides(keys *strictjson.Object) error {
	const key = "overrides"
	if !keys.Set(key) {
		return c.plainLayouts()
	}
	all, err := keys.Object(key)
	if err != nil {
		return err
	}
	for _, m := range all.Keys() {
		if !c.Pruned(m) {
			return all.Errorf(m, "not one of modules")
		}
		o, err := all.Object(m)
		if err != nil {
			return err
		}
		if err := onlyKeys(o, []string{"block_size", "core_dtype", "group_size", "wrapper_dtype"}); err != nil {
			return err
		}
		if c.layouts[m], err = readLayout(o, c.layouts[m], true); err != nil {
			return err
		}
	}
	return c.plainLayouts()
}

// plainLayouts forgets the block sizes of modules without wrappers and the groups
// of cores without scales.
func (c *Config) plainLayouts() error {
	for m, l := range c.layouts {
		if l.WrapperDType == None {
			l.BlockOut, l.BlockIn = 0, 0
		}
		if l.CoreDType == BF16 {
			l.Group = 0
		}
		c.layouts[m] = l
	}
	return nil
}

// readSharedB requires modules that have a B of their own: so there are no chains.
func (c *Config) readSharedB(keys *strictjson.Object) error {
	const key = "shared_b"
	if !keys.Set(key) {
		return nil
	}
	all, err := keys.Object(key)
	if err != nil {
		return err
	}
	c.SharedB = make(map[string]string, len(all.Keys()))
	for _, m := range all.Keys() {
		owner, err := all.String(m)
		if err != nil {
			return err
		}
		own, other := c.layouts[m], c.layouts[owner]
		switch {
		case !c.Pruned(m):
			return all.Errorf(m, "not one of modules")
		case !c.Pruned(owner):
			return all.Errorf(m, "%s is not one of modules", strictjson.Quote(owner))
		case all.Has(owner):
			return all.Errorf(m, "%s has no B of its own, want a module that has", owner)
		case own.WrapperDType == None || other.WrapperDType == None:
			return all.Errorf(m, "it and %s need wrappers, got wrapper_dtype none", owner)
		case own.WrapperDType != other.WrapperDType:
			return all.Errorf(m, "wrapper_dtype: got %s, want %s as %s has", own.WrapperDType, other.WrapperDType, owner)
		case own.BlockIn != other.BlockIn:
			return all.Errorf(m, "block_size: got %d, want %d as %s has", own.BlockIn, other.BlockIn, owner)
		}
		c.SharedB[m] = owner
	}
	return nil
}
