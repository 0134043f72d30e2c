package nn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"armor/kernels"
	"armor/model/armorfmt"
	"armor/model/checkpoint"
)

// storage collects which types of the file are kept in what form.
type storage map[string]map[string]bool

func (s storage) note(parts []kernels.Part) {
	for _, p := range parts {
		if p.Core != nil {
			s.add(coreForm(&p), coreType(&p))
			continue
		}
		var t kernels.Coded
		var name string
		switch w := p.W.(type) {
		case *checkpoint.Tensor:
			t, name = w, w.DType.String()
		case *armorfmt.Quantized:
			t, name = w, w.DType()
		default:
			continue
		}
		form := p.Type.String()
		if p.Quant.Bits > 0 {
			form = fmt.Sprintf("int%d in groups of %d, rounded", p.Quant.Bits, p.Quant.Group)
			if t.Fits(p.Quant) {
				form = strings.TrimSuffix(form, "rounded") + "exactly"
			}
		}
		s.add(form, name)
	}
}

// coreType is how the file has a core.
func coreType(p *kernels.Part) string {
	if c, ok := p.Core.(*armorfmt.Core); ok && c.DType() != armorfmt.BF16 {
		return c.DType()
	}
	return checkpoint.BF16.String()
}

func coreForm(p *kernels.Part) string {
	if p.Quant.Bits == 0 {
		return p.Type.String() + " 2:4"
	}
	return fmt.Sprintf("int%d 2:4 in groups of %d", p.Quant.Bits, p.Quant.Group)
}

func (s storage) add(form, t string) {
	if s[form] == nil {
		s[form] = map[string]bool{}
	}
	s[form][t] = true
}

// String is one line: "Q8_0 as int8 in groups of 32, exactly; F16 as bf16".
func (s storage) String() string {
	var forms []string
	for _, form := range slices.Sorted(maps.Keys(s)) {
		forms = append(forms, strings.Join(slices.Sorted(maps.Keys(s[form])), ", ")+" as "+form)
	}
	return strings.Join(forms, "; ")
}
