package hfconfig

import (
	"errors"

	"armor/model/checkpoint/strictjson"
)

// Family is the class and the model_type that name one kind of decoder.
type Family struct {
	Architecture string // "LlamaForCausalLM"
	ModelType    string // "llama"
}

// Armor is the family's kind with ARMOR's matrices: the same decoder, other
// tensors, and a section "armor" in the config.
func (f Family) Armor() Family { return Family{"Armor" + f.Architecture, "armor_" + f.ModelType} }

// families are the kinds of decoder that Architecture knows by their model_type.
func families() []Family {
	return []Family{
		{"LlamaForCausalLM", "llama"},
		{"Qwen2ForCausalLM", "qwen2"},
		{"Qwen3ForCausalLM", "qwen3"},
	}
}

// Architecture gives the class that a config.json names first in architectures,
// known or not, or else the class of its model_type. Errors name the key.
func Architecture(data []byte) (string, error) {
	r := NewReader(data)
	name := r.architecture()
	return name, r.err
}

func (r *Reader) architecture() string {
	if r.err != nil {
		return ""
	}
	if r.keys.Set("architectures") {
		names, err := r.keys.Strings("architectures", 16)
		if err == nil && len(names) > 0 && strictjson.Name(names[0]) != names[0] {
			err = r.keys.Errorf("architectures", "%s is not supported, want the name of a class", strictjson.Quote(names[0]))
		}
		if r.fail(err); err != nil {
			return ""
		}
		if len(names) > 0 {
			return names[0]
		}
	}
	if !r.keys.Set("model_type") {
		r.fail(errors.New("keys architectures and model_type: missing, want one of them"))
		return ""
	}
	modelType, err := r.keys.String("model_type")
	var known []string
	for _, f := range families() {
		for _, f := range []Family{f, f.Armor()} {
			if f.ModelType == modelType {
				return f.Architecture
			}
		}
		known = append(known, f.ModelType)
	}
	if err == nil {
		err = r.unsupported("model_type", modelType, known)
	}
	r.fail(err)
	return ""
}

// OneOfFamilies requires the config to be one of families, by its class and, if
// it is there, its model_type, and tells which. Transformers picks the class by
// model_type, others by architectures: they must agree. The ARMOR kind of a family
// is told as the family itself.
func (r *Reader) OneOfFamilies(families ...Family) Family {
	name := r.architecture()
	if r.err != nil {
		return Family{}
	}
	var known []string
	for _, f := range families {
		switch armor := f.Armor(); name {
		case f.Architecture:
			r.OneOf("model_type", f.ModelType)
			if r.err == nil && r.keys.Set("armor") {
				r.fail(r.keys.Errorf("armor", "needs the architecture %s, got %s", armor.Architecture, name))
			}
			return f
		case armor.Architecture:
			r.OneOf("model_type", armor.ModelType)
			if r.err == nil {
				_, err := r.keys.Object("armor")
				r.fail(err)
			}
			return f
		}
		known = append(known, f.Architecture)
	}
	r.fail(r.unsupported("architectures", name, known))
	return Family{}
}
