package armorfmt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"armor/model/checkpoint"
	"armor/model/checkpoint/strictjson"
)

// suffixes are the tensors that only ARMOR folders have.
var suffixes = []string{".compressed", ".bitmask", ".shape", ".scales", ".A", ".B", ".A_scales", ".B_scales", ".q"}

// tensors gives the names of a pruned module's tensors, without its bias.
func (c *Config) tensors(module string) []string {
	names := []string{module + ".shape", module + ".compressed", module + ".bitmask"}
	l := c.layouts[module]
	if l.CoreDType != BF16 {
		names = append(names, module+".scales")
	}
	wrappers := []string{".A", ".B"}
	switch {
	case l.WrapperDType == None:
		return names
	case c.SharedB[module] != "":
		wrappers = wrappers[:1]
	}
	for _, x := range wrappers {
		names = append(names, module+x)
		if l.WrapperDType == Int8 {
			names = append(names, module+x+"_scales")
		}
	}
	return names
}

// ModuleTensors are the names of the tensors that hold a pruned module.
func (c *Config) ModuleTensors(module string) []string { return c.tensors(module) }

// Tensors are the names of all tensors that hold pruned or quantized modules.
func (c *Config) Tensors() map[string]bool {
	names := map[string]bool{}
	for m := range c.quantized {
		names[m+".q"], names[m+".scales"] = true, true
	}
	for _, m := range c.Modules {
		for _, name := range c.tensors(m) {
			names[name] = true
		}
	}
	return names
}

// checkTensors requires what the section lists and nothing else of its kind.
func (c *Config) checkTensors(ck *checkpoint.Checkpoint) error {
	wanted := map[string]bool{}
	for _, m := range c.Modules {
		for _, name := range c.tensors(m) {
			wanted[name] = true
			if !ck.Has(name) {
				return fmt.Errorf("%s: tensor %s: missing, key armor.modules lists %s", ck.Path, strictjson.Name(name), m)
			}
		}
		if name := m + ".weight"; ck.Has(name) {
			return fmt.Errorf("%s: tensor %s: not expected, key armor.modules lists %s as pruned", ck.Path, strictjson.Name(name), m)
		}
	}
	if err := c.checkDense(ck); err != nil {
		return err
	}
	for m := range c.quantized {
		wanted[m+".q"], wanted[m+".scales"] = true, true
	}
	for _, name := range ck.Names() {
		for _, suffix := range suffixes {
			if strings.HasSuffix(name, suffix) && !wanted[name] {
				return fmt.Errorf("%s: tensor %s: not expected by the section armor of config.json", ck.Path, strictjson.Name(name))
			}
		}
	}
	return nil
}

const (
	embedding = "model.embed_tokens"
	head      = "lm_head" // absent where it is the embedding
)

// isHead reports whether head_dtype speaks of a module.
func isHead(module string) bool { return module == embedding || module == head }

// checkDense finds out which dense modules are quantized. Embedding and head are if
// head_dtype says so, the others if they have codes.
func (c *Config) checkDense(ck *checkpoint.Checkpoint) error {
	c.quantized = map[string]bool{}
	for _, m := range append([]string{embedding, head}, c.Dense...) {
		codes, weight := m+".q", m+".weight"
		wants := Bits(c.HeadDType) > 0
		if !isHead(m) {
			wants = ck.Has(codes)
		}
		switch {
		case !wants && !ck.Has(weight) && slices.Contains(c.Dense, m) && m != head:
			return fmt.Errorf("%s: tensor %s: missing, key armor.dense_modules lists %s", ck.Path, strictjson.Name(weight), m)
		case !wants:
		case m == head && !ck.Has(codes) && !ck.Has(weight): // it is the embedding
		case !ck.Has(codes):
			return fmt.Errorf("%s: tensor %s: missing, key armor.head_dtype says %s", ck.Path, strictjson.Name(codes), c.HeadDType)
		case ck.Has(weight):
			return fmt.Errorf("%s: tensor %s: not expected beside %s", ck.Path, strictjson.Name(weight), codes)
		default:
			c.quantized[m] = true
		}
	}
	return nil
}

// QuantizedModules are the dense modules that are kept as codes, sorted.
func (c *Config) QuantizedModules() []string { return slices.Sorted(maps.Keys(c.quantized)) }
