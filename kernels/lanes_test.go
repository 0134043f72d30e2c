package kernels

import "testing"

// TestLanesPlan: tiles hold all rows in order, in the vectors that kernels take,
// and those before the last are whole for the dense kernels of A, which may
// write beyond the rows only at the end.
func TestLanesPlan(t *testing.T) {
	backends(t, func(t *testing.T, c *CPU) {
		for _, types := range []denseTypes{f32f32, bf16f32, bf16bf16} {
			if types == bf16bf16 && c.isa < AVX512BF16 {
				continue
			}
			for rows := 1; rows < 300; rows++ {
				p, next := c.lanesPlan(types, rows), 0
				for i := range p.tiles() {
					first, n, mr := p.tile(i)
					if first != next || n < 1 || n > mr {
						t.Fatalf("%d rows, tile %d: got rows %d to %d of %d, want from %d", rows, i, first, first+n-1, mr, next)
					}
					next += n
					known := false
					for _, v := range lanesVectors(types) {
						known = known || mr == v*lanesTokens
					}
					if !known {
						t.Fatalf("%d rows, tile %d: no kernel for %d tokens", rows, i, mr)
					}
					a := c.planTiles(0, n)
					if _, used, size := a.tile(a.tiles() - 1); used != size && i < p.tiles()-1 {
						t.Fatalf("%d rows, tile %d of %d: its last tile for A has %d of %d", rows, i, mr, used, size)
					}
				}
				if next != rows {
					t.Fatalf("got %d rows, want %d", next, rows)
				}
			}
		}
	})
}

// TestLanesRows: kernels with tokens in the lanes run where they were faster.
func TestLanesRows(t *testing.T) {
	for _, tt := range []struct {
		isa   ISA
		types denseTypes
		rows  int
		want  bool
	}{
		{AVX2, f32f32, 15, false},
		{AVX2, f32f32, 16, true},
		{AVX2, bf16f32, 23, false},
		{AVX2, bf16f32, 24, true},
		{AVX512, bf16f32, 24, false},
		{AVX512, bf16f32, 32, true},
		{AVX512, f32f32, 35, false},
		{AMX, f32f32, 512, true},
		{AVX512BF16, bf16bf16, 16, true},
		{AVX512BF16, bf16bf16, 17, false},
		{AMX, bf16amx, 512, false},
		{AMX, int8int8, 512, false},
		{AVX2, int8f32, 512, false},
	} {
		c := &CPU{isa: tt.isa}
		if got := c.lanes(tt.types, tt.rows); got != tt.want {
			t.Errorf("%v, %v, %d rows: got %v, want %v", tt.isa, tt.types, tt.rows, got, tt.want)
		}
	}
}
