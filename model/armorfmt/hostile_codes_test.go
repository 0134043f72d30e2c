package armorfmt

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"armor/kernels"
	"armor/kernels/fourbit"
)

// codedHostile are damages to a folder with codes.
func codedHostile() map[string]func(*folder) {
	cases := map[string]func(*folder){}
	key := func(words, key string, value any) {
		cases[words] = func(f *folder) { f.armor[key] = value }
	}
	tensorOf := func(words, name string, change func(*tensor)) {
		cases[words] = func(f *folder) { change(f.tensors[name]) }
	}
	at := func(words, name string, at int, b byte) {
		tensorOf(words, name, func(x *tensor) { x.data[at] = b })
	}
	half := func(words, name string, at int, bits uint16) {
		tensorOf(words, name, func(x *tensor) { x.data[2*at], x.data[2*at+1] = byte(bits), byte(bits>>8) })
	}
	g0 := "model.layers.0.mlp.gate_proj" // the usual layout, [160, 64]

	key("key armor.group_size: got 96, want a multiple of 64", "group_size", 96)
	key("key armor.group_size: got 0, want a whole number", "group_size", 0)
	key("key armor.group_size: got \"64\"", "group_size", "64")
	key("key armor.group_size: module "+q0+": got 128, want a divisor of its 64 inputs", "group_size", 128)
	key("key armor.head_group_size: got 48, want a multiple of 32", "head_group_size", 48)
	key("tensor model.embed_tokens.q: key armor.head_group_size: got 128, want a divisor of 64 inputs", "head_group_size", 128)
	key("tensor model.embed_tokens.scales: shape: got [512 2], want [512 1]", "head_group_size", 64)
	key("tensor model.embed_tokens.q: dtype: got I8, want U8", "head_dtype", "int4")
	key("tensor model.embed_tokens.q: not expected", "head_dtype", "bf16")
	key("tensor "+q0+".compressed: dtype: got U8, want I8", "core_dtype", "int8")
	key("tensor "+g0+".scales: not expected", "core_dtype", "bf16")
	key("tensor "+"model.layers.0.mlp.down_proj.A_scales: not expected", "wrapper_dtype", "bf16")
	for name, want := range map[string]string{q0 + ".scales": "key armor.modules", q0 + ".A_scales": "key armor.modules",
		q0 + ".B_scales": "key armor.modules", u1 + ".scales": "", "model.embed_tokens.q": "key armor.head_dtype says int8"} {
		cases["tensor "+name+": missing | "+want] = func(f *folder) { f.tensors[name] = nil }
	}
	cases["tensor "+u1+".weight: missing, key armor.dense_modules lists"] = func(f *folder) { f.tensors[u1+".q"] = nil }
	cases["tensor model.embed_tokens.weight: not expected beside model.embed_tokens.q"] = func(f *folder) {
		f.tensors["model.embed_tokens.weight"] = &tensor{"BF16", []int{1, 1}, make([]byte, 2)}
		f.order = append(f.order, "model.embed_tokens.weight")
	}
	cases["tensor lm_head.q: missing, key armor.head_dtype says int8"] = func(f *folder) {
		f.tensors["lm_head.weight"] = &tensor{"BF16", []int{1, 1}, make([]byte, 2)}
		f.order = append(f.order, "lm_head.weight")
	}
	cases["key armor.shared_b."+k0+": wrapper_dtype: got int8, want bf16 as "+v0+" has"] = func(f *folder) {
		f.armor["shared_b"] = map[string]any{k0: v0}
	}

	tensorOf("tensor "+g0+".compressed: shape: got [160 32], want [160 16]", g0+".compressed", func(x *tensor) { *x = tensor{"U8", []int{160, 32}, make([]byte, 5120)} })
	tensorOf("tensor "+g0+".scales: dtype: got BF16, want F16", g0+".scales", func(x *tensor) { x.dtype = "BF16" })
	tensorOf("tensor "+g0+".scales: shape: got [160], want [160 1]", g0+".scales", func(x *tensor) { x.shape = []int{160} })
	tensorOf("tensor "+g0+".A_scales: shape: got [160 1], want [160]", g0+".A_scales", func(x *tensor) { x.shape = []int{160, 1} })
	tensorOf("tensor "+g0+".A: dtype: got U8, want I8", g0+".A", func(x *tensor) { x.dtype = "U8" })
	tensorOf("tensor "+u1+".q: dtype: got F16, want I8", u1+".q", func(x *tensor) { *x = tensor{"F16", []int{160, 16}, x.data} })
	tensorOf("tensor "+u1+".scales: shape: got [320], want [160 2]", u1+".scales", func(x *tensor) { x.shape = []int{320} })

	at("tensor "+v0+".compressed: row 1, code 0: got -128, want -127 to 127", v0+".compressed", 32, 0x80)
	at("tensor "+g0+".A: row 0, code 5: got -128", g0+".A", 5, 0x80)
	at("tensor "+g0+".B: row 63, code 31: got -128", g0+".B", 2047, 0x80)
	at("tensor model.embed_tokens.q: row 511, code 63: got -128", "model.embed_tokens.q", 512*64-1, 0x80)
	at("tensor "+g0+".bitmask: row 0, group 3: got 3 bits, want 2 of 4", g0+".bitmask", 1, 0x73)
	at("tensor "+g0+".bitmask: row 159, group 14: got 4 bits, want 2 of 4", g0+".bitmask", 160*8-1, 0x3f)
	at("tensor "+v0+".bitmask: row 2, group 0: got 0 bits, want 2 of 4", v0+".bitmask", 16, 0x30)
	half("tensor "+g0+".scales: row 7, column 0: got NaN", g0+".scales", 7, 0x7e00)
	half("tensor "+g0+".scales: row 8, column 0: got +Inf", g0+".scales", 8, 0x7c00)
	half("tensor "+g0+".scales: row 9, column 0: got -Inf", g0+".scales", 9, 0xfc00)
	half("tensor "+g0+".scales: row 0, column 0: got NaN", g0+".scales", 0, 0xfc01)
	half("tensor "+v0+".scales: row 9, column 0: got -", v0+".scales", 9, 0x8400)
	half("tensor "+v0+".scales: row 0, column 0: got -0", v0+".scales", 0, 0x8000)
	half("tensor "+g0+".A_scales: row 159, column 0: got -", g0+".A_scales", 159, 0xbc00)
	half("tensor "+q0+".B_scales: row 0, column 0: got -Inf", q0+".B_scales", 0, 0xfc00)
	half("tensor model.embed_tokens.scales: row 1, column 1: got NaN", "model.embed_tokens.scales", 3, 0xffff)
	half("tensor "+u1+".scales: row 159, column 1: got +Inf", u1+".scales", 319, 0x7c00)
	return cases
}

func TestHostileCodes(t *testing.T) {
	base := openFolder(t, golden+"tiny-llama")
	dir := filepath.Join(t.TempDir(), "armor")
	writeCoded(t, dir, base, codedParts(t, base), 8, 4)
	sound := readFolder(t, base, dir)
	ck, err := sound.open("model")
	if err == nil {
		err = load(ck, sound.shapes)
	}
	if err != nil {
		t.Fatalf("the sound folder: %v", err)
	}
	refuse(t, sound, codedHostile())
}

// Every byte of int4 codes is read or refused as the nibbles say.
func TestEveryCodeByte(t *testing.T) {
	all := make([]byte, 256)
	for b := range all {
		all[b] = byte(b)
	}
	for _, offset := range []int8{0, 8} {
		codes := make([]int8, 512)
		fourbit.Unpack(bytesOf(codes), all, int(offset))
		for i, c := range codes {
			if c < -8 || c > 7 {
				t.Errorf("byte %02x, offset %d: %d", i/2, offset, c)
			}
		}
		if got := nibbles(codes, offset); !bytes.Equal(got, all) {
			t.Errorf("offset %d: the codes pack to %x", offset, got)
		}
	}
}

func TestBadCodes(t *testing.T) {
	base := openFolder(t, golden+"tiny-llama")
	part := func(name string) *Parts {
		all := codedParts(t, base)
		return all[slices.IndexFunc(all, func(p *Parts) bool { return p.Name == name })]
	}
	for words, damage := range map[string]func(*Parts){
		"values: got codes of 5 bits, want 8 or 4":           func(p *Parts) { p.Core.Bits = 5 },
		"values: got 2047 codes and 64 scales, want 2048":    func(p *Parts) { p.Core.Codes = p.Core.Codes[1:] },
		"values: code 9: got 8, want -8 to 7":                func(p *Parts) { p.Core.Codes[9] = 8 },
		"values: scale 3: got NaN, want a finite":            func(p *Parts) { p.Core.Scales[3] = 0x7e00 },
		"values: scale 3: got -Inf, want a finite":           func(p *Parts) { p.Core.Scales[3] = 0xfc00 },
		"B: scale 3: got -1, want a finite number from 0 on": func(p *Parts) { p.CodesB.Scales[3] = 0xbc00 },
		"values: got floats and codes":                       func(p *Parts) { p.Values = make([]float32, 2048) },
		"A: code 0: got -128, want -127":                     func(p *Parts) { p.CodesA.Codes[0] = -128 },
		"B: got 2048 codes and 63 scales":                    func(p *Parts) { p.CodesB.Scales = p.CodesB.Scales[1:] },
		"wrappers: want A and B alike":                       func(p *Parts) { p.CodesB = nil },
		"wrappers: want A and B alike, int8":                 func(p *Parts) { p.CodesB.Bits = 4 },
		"wrappers: want A and B alike, int8 if they":         func(p *Parts) { p.CodesA.Bits = 4 },
		"got B without A":                                    func(p *Parts) { p.CodesA = nil },
		"codes of B: got 2048 elements, want 0":              func(p *Parts) { p.CodesA, p.A, p.B = nil, make([]float32, 2048), make([]float32, 2048) },
		"block_size: got [48, 32], want divisors of [64, 64": func(p *Parts) { p.BlockOut = 48 },
	} {
		w, err := NewWriter(filepath.Join(t.TempDir(), "armor"), base, 0, Info{})
		if err != nil {
			t.Fatal(err)
		}
		p := part(q0)
		damage(p)
		_, err = w.Module(p)
		wantLine(t, words, err, words)
		w.Abort()
	}
	w, err := NewWriter(filepath.Join(t.TempDir(), "armor"), base, 0, Info{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	p := part(d1)
	p.Core, p.Values = randomCodes(rand.New(rand.NewPCG(1, 1)), 4, len(p.Values), 32), nil
	_, err = w.Module(p)
	wantLine(t, "160 inputs", err, fmt.Sprintf("group_size: got 64, want a divisor of %d inputs", p.In))
	m := randomMatrix(base, embedding, 8)
	wantLine(t, "group", w.Dense(embedding, kernels.Quant{Bits: 8, Group: 64}, m), "in groups of 32")
	wantLine(t, "bits", w.Dense(embedding, kernels.Quant{Bits: 4, Group: 32}, m), "in groups of 32")
	m.Codes.Codes[700] = -128
	wantLine(t, "code", w.Dense(embedding, kernels.Quant{Bits: 8, Group: 32}, m), "code 700: got -128")
	m.rows--
	wantLine(t, "shape", w.Dense(embedding, kernels.Quant{Bits: 8, Group: 32}, m), "shape: got [512 64], want [511 64]")
}
