package armorfmt

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"armor/kernels"
	"armor/kernels/sparse24"
)

// packedFolder has a module m [out, in] with blocks of 128 and a head, in memory.
func packedFolder(b *testing.B, out, in int, core, wrappers, head string) *folder {
	b.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	f := &folder{config: map[string]any{"model_type": "armor_llama"}, tensors: map[string]*tensor{}}
	f.armor = map[string]any{"format_version": 1, "base_model_type": "llama", "pattern": "2:4", "normalizer": "folded",
		"core_dtype": core, "wrapper_dtype": wrappers, "block_size": []int{128, 128}, "modules": []any{"m"}}
	f.config["armor"] = f.armor
	put := func(name, dtype string, data []byte, shape ...int) {
		f.tensors[name] = &tensor{dtype, shape, data}
		f.order = append(f.order, name)
	}
	values := func(name, scales, dtype string, group int, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		if dtype == BF16 {
			data := make([]byte, 2*n)
			for i := range data {
				data[i] = byte(r.Uint32())
				if i%2 == 1 {
					data[i] = 0x3c
				}
			}
			put(name, "BF16", data, shape...)
			return
		}
		c := randomCodes(r, Bits(dtype), n, group)
		last, kind, data := len(shape)-1, "I8", c.codeBytes()
		if dtype == Int4 {
			shape[last] /= 2
			kind = "U8"
			if name == "model.embed_tokens.q" {
				data = nibbles(c.Codes, 8)
			}
		}
		put(name, kind, data, shape...)
		if group == shape[last] { // of A and B, one for each row
			put(scales, "F16", halfBytes(c.Scales), n/group)
		} else {
			put(scales, "F16", halfBytes(c.Scales), shape[0], n/group/shape[0])
		}
	}
	put("m.shape", "I64", []byte{byte(out), byte(out >> 8), 0, 0, 0, 0, 0, 0, byte(in), byte(in >> 8), 0, 0, 0, 0, 0, 0}, 2, 1)
	values("m.compressed", "m.scales", core, 32, out, in/2)
	masks, bits := make([]uint8, out*in/4), make([]uint8, out*in/8)
	for i := range masks {
		masks[i] = uint8(r.IntN(sparse24.Masks))
	}
	sparse24.ToBits(bits, masks)
	put("m.bitmask", "U8", bits, out, in/8)
	values("m.A", "m.A_scales", wrappers, 128, out/128, 128, 128)
	values("m.B", "m.B_scales", wrappers, 128, in/128, 128, 128)
	if core != BF16 {
		f.armor["group_size"] = GroupSize
	}
	if head != BF16 {
		f.armor["head_dtype"], f.armor["head_group_size"] = head, HeadGroupSize
		values("model.embed_tokens.q", "model.embed_tokens.scales", head, HeadGroupSize, out, in)
	}
	return f
}

// BenchmarkPack has a backend of one thread pack what a folder in memory holds, over
// what it has: bytes of the file a second.
func BenchmarkPack(b *testing.B) {
	const out, in = 1024, 2048
	for _, d := range []string{BF16, Int8, Int4} {
		wrappers := Int8
		if d == BF16 {
			wrappers = BF16
		}
		f := packedFolder(b, out, in, d, wrappers, d)
		ck, err := f.open("model")
		if err != nil {
			b.Fatal(err)
		}
		c, err := ReadConfig(ck)
		if err != nil {
			b.Fatal(err)
		}
		m, err := Open(ck, c, "m", out, in)
		if err != nil {
			b.Fatal(err)
		}
		eight := m.Layout.Int8Wrappers()
		parts := map[string]kernels.Part{
			"core":         {Name: "m", Core: m.Core, Type: kernels.BF16, Quant: m.Layout.Quant()},
			"core to int8": {Name: "m", Core: m.Core, Type: kernels.BF16, Quant: kernels.Quant{Bits: 8, Group: GroupSize}},
			"wrapper":      {Name: "m", W: m.A, Type: kernels.BF16, Quant: m.Layout.WrapperQuant()},
			"to int8":      {Name: "m", W: m.A, Type: kernels.BF16, Quant: eight},
		}
		sizes := map[string]int64{"core": m.Bytes().Packed() - m.Bytes().Wrappers, "wrapper": m.A.(interface{ Bytes() int64 }).Bytes()}
		sizes["core"] -= shapeBytes
		if d != BF16 {
			sizes["core"] -= int64(2 * (out + in)) // of A's and B's scales
			delete(parts, "to int8")
			q, err := OpenQuantized(ck, c, embedding, out, in)
			if err != nil {
				b.Fatal(err)
			}
			parts["head"] = kernels.Part{Name: "head", W: q, Type: kernels.BF16, Quant: q.Quant()}
			sizes["head"] = q.m.bytes()
		}
		sizes["core to int8"], sizes["to int8"] = sizes["core"], sizes["wrapper"]
		for _, name := range []string{"core", "core to int8", "wrapper", "to int8", "head"} {
			part, ok := parts[name]
			if !ok {
				continue
			}
			for isa := kernels.AVX2; isa <= kernels.BestISA(); isa++ {
				b.Run(fmt.Sprintf("%s/%s/%v", d, name, isa), func(b *testing.B) {
					cpu, err := kernels.NewCPU(kernels.Options{ISA: isa, Compute: kernels.BF16, Threads: 1})
					if err != nil {
						b.Fatal(err)
					}
					defer cpu.Close()
					g, err := cpu.NewGroup(part)
					if err != nil {
						b.Fatal(err)
					}
					b.SetBytes(sizes[name])
					for b.Loop() {
						if err := cpu.Repack(g, part); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
