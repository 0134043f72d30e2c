package nn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"armor/kernels"
	"armor/model/checkpoint"
)

// storage collects which types of the file are kept in what form.
type storage map[string]map[checkpoint.DType]bool

func (s storage) note(parts []kernels.Part) {
	for _, p := range parts {
		if p.Core != nil {
			form := p.Type.String() + " 2:4"
			if p.Quant.Bits > 0 {
				form = fmt.Sprintf("int%d 2:4 in groups of %d, rounded", p.Quant.Bits, p.Quant.Group)
			}
			s.add(form, checkpoint.BF16)
			continue
		}
		t, ok := p.W.(*checkpoint.Tensor)
		if !ok {
			continue
		}
		form := p.Type.String()
		if p.Quant.Bits > 0 {
			form = fmt.Sprintf("int%d in groups of %d, rounded", p.Quant.Bits, p.Quant.Group)
			if t.Fits(p.Quant) {
				form = strings.TrimSuffix(form, "rounded") + "exactly"
			}
		}
		s.add(form, t.DType)
	}
}

func (s storage) add(form string, t checkpoint.DType) {
	if s[form] == nil {
		s[form] = map[checkpoint.DType]bool{}
	}
	s[form][t] = true
}

// String is one line: "Q8_0 as int8 in groups of 32, exactly; F16 as bf16".
func (s storage) String() string {
	var forms []string
	for _, form := range slices.Sorted(maps.Keys(s)) {
		var types []string
		for _, t := range slices.Sorted(maps.Keys(s[form])) {
			types = append(types, t.String())
		}
		forms = append(forms, strings.Join(types, ", ")+" as "+form)
	}
	return strings.Join(forms, "; ")
}
