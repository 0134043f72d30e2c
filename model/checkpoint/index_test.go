package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	shardA = "model-00001-of-00002.safetensors"
	shardB = "model-00002-of-00002.safetensors"
)

// sharded is a folder of two shards with a.weight and b.weight, [2] in F32.
func sharded() files {
	return files{
		"config.json": []byte("{}"),
		shardA:        build(entry{"a.weight", "F32", []int{2}, []byte{0, 0, 128, 63, 0, 0, 0, 64}}),
		shardB:        build(entry{"b.weight", "F32", []int{2}, []byte{0, 0, 64, 64, 0, 0, 128, 64}}),
		"model.safetensors.index.json": []byte(`{"metadata":{"total_size":16},"weight_map":{
			"a.weight":"` + shardA + `","b.weight":"` + shardB + `"}}`),
	}
}

func TestSharded(t *testing.T) {
	c, err := OpenFolder(sharded().write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, want := c.Names(), []string{"a.weight", "b.weight"}; !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	for name, want := range map[string][]float32{"a.weight": {1, 2}, "b.weight": {3, 4}} {
		tensor, err := c.Need(name, 2)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 2)
		if err := tensor.ReadRows(got, 0, 1); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestBadIndex(t *testing.T) {
	const index = "model.safetensors.index.json"
	text := func(s string) func(files) { return func(m files) { m[index] = []byte(s) } }
	shard := func(name string) func(files) {
		return text(`{"weight_map":{"a.weight":"` + shardA + `","b.weight":` + name + `}}`)
	}
	var ghosts, members strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&ghosts, `,"g.%d":"g-%d.safetensors"`, i, i)
	}
	for i := range 1<<20 + 1 {
		fmt.Fprintf(&members, `,"%d":0`, i)
	}
	for _, c := range []struct {
		name   string
		change func(files)
		words  string
	}{
		{"not JSON", text("{nope"), index + ": invalid JSON"},
		{"empty", text(""), "unexpected end"},
		{"no weight_map", text(`{"metadata":{}}`), "weight_map: missing"},
		{"map is an array", text(`{"weight_map":[]}`), "weight_map: got an array"},
		{"map is empty", text(`{"weight_map":{}}`), "weight_map: empty"},
		{"number", shard("5"), "b.weight: got 5, want a string"},
		{"empty name", shard(`""`), "plain file name"},
		{"dot", shard(`"."`), "plain file name"},
		{"dot dot", shard(`".."`), "plain file name"},
		{"NUL", shard(`"a\u0000.x"`), "plain file name"},
		{"line end", shard(`"a\nb"`), "plain file name"},
		{"long", shard(`"` + strings.Repeat("a", 256) + `"`), "plain file name"},
		{"traversal", shard(`"../outside.safetensors"`), `shard "../outside.safetensors": want a plain file name`},
		{"absolute", shard(`"/etc/passwd"`), "plain file name"},
		{"backslash", shard(`"..\\outside.safetensors"`), "plain file name"},
		{"folder", shard(`"sub/` + shardB + `"`), "plain file name"},
		{"absent shard", shard(`"ghost.safetensors"`), "ghost.safetensors: file does not exist"},
		{"wrong shard", shard(`"` + shardA + `"`), "tensor b.weight: missing in its shard " + shardA},
		{"ghost tensor", text(`{"weight_map":{"a.weight":"` + shardA + `","b.weight":"` + shardB + `","c":"` + shardA + `"}}`),
			"tensor c: missing in its shard " + shardA},
		{"not listed", text(`{"weight_map":{"a.weight":"` + shardA + `","c":"` + shardB + `"}}`),
			shardB + ": tensor b.weight: not listed in the index"},
		{"swapped", func(m files) { m[shardA], m[shardB] = m[shardB], m[shardA] },
			shardA + ": tensor b.weight: found here, but the index says shard " + shardB},
		{"in both shards", func(m files) {
			m[shardB] = build(entry{"b.weight", "U8", []int{1}, []byte{0}}, entry{"a.weight", "U8", []int{1}, []byte{0}})
		}, shardB + ": tensor a.weight: duplicate, it is also in " + shardA},
		{"listed twice", text(`{"weight_map":{"a.weight":"` + shardA + `","a.weight":"` + shardB + `"}}`), "duplicate key a.weight"},
		{"second shard cut", func(m files) { m[shardB] = m[shardB][:len(m[shardB])-4] }, shardB + ": tensor b.weight: data_offsets"},
		{"200,000 shards", text(`{"weight_map":{"a.weight":"` + shardA + `"` + ghosts.String() + `}}`), "too many shards"},
		{"a million members", text(`{"weight_map":{"a.weight":"` + shardA + `"` + members.String() + `}}`), "too many members"},
		{"nested", text(`{"metadata":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `,"weight_map":{}}`), "nested deeper"},
		{"over the limit", func(m files) { m[index] = make([]byte, 64<<20+1) }, index + ": too large"},
		{"no index", func(m files) { delete(m, index) }, "no weights: model.safetensors and " + index + " are missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := sharded()
			c.change(m)
			_, err := Open("model", m.open)
			wantError(t, err, c.words)
		})
	}
}

// total_size is not believed, and a single file goes before an index.
func TestIndexLeniency(t *testing.T) {
	for _, size := range []string{"1", "1e30", `"many"`} {
		m := sharded()
		m["model.safetensors.index.json"] = []byte(strings.Replace(string(m["model.safetensors.index.json"]), "16", size, 1))
		if _, err := Open("model", m.open); err != nil {
			t.Error(err)
		}
	}
	m := sharded()
	m["model.safetensors"] = build(entry{"only", "U8", []int{1}, []byte{0}})
	c, err := Open("model", m.open)
	if err != nil || !slices.Equal(c.Names(), []string{"only"}) {
		t.Errorf("%v, %v", c, err)
	}
}

// FuzzIndex: any index gives one line of error or exactly the tensors it lists.
func FuzzIndex(f *testing.F) {
	f.Add(string(sharded()["model.safetensors.index.json"]))
	f.Add(`{"weight_map":{"a.weight":"` + shardA + `"}}`)
	f.Add(`{"weight_map":{"a.weight":"../` + shardA + `","\u0062.weight":"` + shardB + `"}}`)
	f.Fuzz(func(t *testing.T, index string) {
		m := sharded()
		m["model.safetensors.index.json"] = []byte(index)
		c, err := Open("model", func(name string) (Source, error) {
			if plainName(name) != nil {
				t.Fatalf("opens %q", name)
			}
			return m.open(name)
		})
		if err != nil {
			wantError(t, err, "model/")
			return
		}
		shardOf, err := parseIndex([]byte(index))
		if err != nil || !slices.Equal(c.Names(), slices.Sorted(maps.Keys(shardOf))) {
			t.Fatalf("%v of %v, %v", c.Names(), shardOf, err)
		}
	})
}
