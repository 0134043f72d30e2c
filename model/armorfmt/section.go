package armorfmt

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"armor/model/checkpoint/strictjson"
)

// Info is what the section "armor" says besides the modules. All of it may be
// empty.
type Info struct {
	BaseModel    string // a name or path
	BaseSHA256   string
	ArmorVersion string
	Calibration  json.RawMessage // an object
	Recipe       json.RawMessage // an object
	Config       []byte          // of the dense model, if it is not the source's config.json
}

// section is written; ParseConfig reads it.
type section struct {
	FormatVersion int                 `json:"format_version"`
	BaseModelType string              `json:"base_model_type"`
	BaseModel     string              `json:"base_model,omitempty"`
	BaseSHA256    string              `json:"base_sha256,omitempty"`
	Pattern       string              `json:"pattern"`
	BlockSize     []int               `json:"block_size,omitempty"`
	CoreDType     string              `json:"core_dtype"`
	GroupSize     int                 `json:"group_size,omitempty"`
	WrapperDType  string              `json:"wrapper_dtype"`
	HeadDType     string              `json:"head_dtype,omitempty"`
	HeadGroupSize int                 `json:"head_group_size,omitempty"`
	Normalizer    string              `json:"normalizer"`
	Overrides     map[string]override `json:"overrides,omitempty"`
	Modules       []string            `json:"modules"`
	DenseModules  []string            `json:"dense_modules,omitempty"`
	SharedB       map[string]string   `json:"shared_b,omitempty"`
	Calibration   json.RawMessage     `json:"calibration,omitempty"`
	Recipe        json.RawMessage     `json:"recipe,omitempty"`
	ArmorVersion  string              `json:"armor_version,omitempty"`
}

// override holds what differs from the section's own values.
type override struct {
	BlockSize    []int  `json:"block_size,omitempty"`
	CoreDType    string `json:"core_dtype,omitempty"`
	GroupSize    int    `json:"group_size,omitempty"`
	WrapperDType string `json:"wrapper_dtype,omitempty"`
}

// setLayouts makes the most common layout the default, the first of equals, and
// overrides the others.
func (s *section) setLayouts(modules []string, layouts map[string]Layout) {
	count := map[Layout]int{}
	for _, m := range modules {
		count[layouts[m]]++
	}
	var usual Layout
	for _, m := range modules {
		if count[layouts[m]] > count[usual] {
			usual = layouts[m]
		}
	}
	s.CoreDType, s.GroupSize, s.WrapperDType, s.BlockSize = usual.CoreDType, usual.Group, usual.WrapperDType, usual.blocks()
	for _, m := range modules {
		l := layouts[m]
		if l == usual {
			continue
		}
		var o override
		if l.CoreDType != usual.CoreDType {
			o.CoreDType = l.CoreDType
		}
		if l.Group != usual.Group {
			o.GroupSize = l.Group
		}
		if l.WrapperDType != usual.WrapperDType {
			o.WrapperDType = l.WrapperDType
		}
		if l.BlockOut != usual.BlockOut || l.BlockIn != usual.BlockIn {
			o.BlockSize = l.blocks()
		}
		if s.Overrides == nil {
			s.Overrides = map[string]override{}
		}
		s.Overrides[m] = o
	}
}

func (l Layout) blocks() []int {
	if l.WrapperDType == None {
		return nil
	}
	return []int{l.BlockOut, l.BlockIn}
}

// armorConfig gives the text of an ARMOR folder's config.json: that of the base
// model with other model_type and architectures, and the section.
func armorConfig(base []byte, s *section) ([]byte, error) {
	keys, err := strictjson.Parse(base)
	if err != nil {
		return nil, err
	}
	names, err := keys.Strings("architectures", 16)
	if err != nil {
		return nil, err
	}
	if keys.Set("armor") {
		return nil, keys.Errorf("armor", "the model is ARMOR already, want a dense one")
	}
	if s.BaseModelType, err = keys.String("model_type"); err != nil {
		return nil, err
	}
	for i := range names {
		names[i] = "Armor" + names[i]
	}
	return rewrite(keys, map[string]any{"architectures": names, "model_type": "armor_" + s.BaseModelType, "armor": s})
}

// BaseConfig gives the text of the config.json of the dense model: that of an
// ARMOR folder without the section, model_type and architectures as they were.
func BaseConfig(armor []byte) ([]byte, error) {
	c, err := ParseConfig(armor)
	if err != nil {
		return nil, err
	}
	keys, err := strictjson.Parse(armor)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, keys.Errorf("armor", "missing, want the config of an ARMOR folder")
	}
	change := map[string]any{"model_type": c.BaseModelType, "armor": nil}
	if keys.Set("architectures") {
		names, err := keys.Strings("architectures", 16)
		if err != nil {
			return nil, err
		}
		for i, n := range names {
			names[i] = strings.TrimPrefix(n, "Armor")
		}
		change["architectures"] = names
	}
	return rewrite(keys, change)
}

// SetKeys gives the text of a config.json with other values of some keys, nil to
// remove one. Keys keep their order; new ones follow, sorted.
func SetKeys(config []byte, change map[string]any) ([]byte, error) {
	keys, err := strictjson.Parse(config)
	if err != nil {
		return nil, err
	}
	return rewrite(keys, change)
}

func rewrite(keys *strictjson.Object, change map[string]any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	member := func(key string, value any) error {
		if value == nil {
			return nil
		}
		for i, v := range []any{key, value} {
			text, err := json.Marshal(v)
			if err != nil {
				return err
			}
			if i == 0 && b.Len() > 1 {
				b.WriteByte(',')
			}
			b.Write(text)
			if i == 0 {
				b.WriteByte(':')
			}
		}
		return nil
	}
	for _, key := range keys.Keys() {
		value, changed := change[key]
		if !changed {
			value = keys.Raw(key)
		}
		if err := member(key, value); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(change)) {
		if !keys.Has(key) {
			if err := member(key, change[key]); err != nil {
				return nil, err
			}
		}
	}
	b.WriteByte('}')
	var text bytes.Buffer
	if err := json.Indent(&text, b.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}
