//go:build amd64 && !noasm

package amd64_test

import (
	"fmt"
	"testing"

	"armor/kernels/internal/kerneltest"
)

// BenchmarkVec counts the bytes read and written, of operands of one layer's
// width. Most of them are in the first-level cache.
func BenchmarkVec(b *testing.B) {
	const n = 2048
	pool := kerneltest.Normal(kerneltest.Rand(1), 3*n)
	for i := range pool[2*n:] { // factors that leave what they multiply
		pool[2*n+i] = 1
	}
	dst, x, y := make([]float32, n), pool[:n], pool[2*n:]
	half := make([]uint16, n)
	for _, op := range []struct {
		name  string
		bytes int // per element
		run   func(k vec)
	}{
		{"SumSquares", 4, func(k vec) { k.sumSquares(x) }},
		{"Max", 4, func(k vec) { k.max(x) }},
		{"ScaleMul", 12, func(k vec) { k.scaleMul(dst, x, y, 0.5) }},
		{"SwiGLU", 12, func(k vec) { k.swiGLU(dst, x, y) }},
		{"ExpSum", 8, func(k vec) { copy(dst, x); k.expSum(dst, 1, 4) }},
		{"Rope", 12, func(k vec) { k.rope(dst, y[:n/2], y[n/2:]) }},
		{"Scale", 8, func(k vec) { k.scale(y, 1) }},
		{"Add", 12, func(k vec) { k.add(dst, x) }},
		{"ToBF16", 6, func(k vec) { k.toBF16(half, x) }},
		{"FromBF16", 6, func(k vec) { k.fromBF16(dst, half) }},
		{"RoundBF16", 8, func(k vec) { k.round(dst, x) }},
	} {
		for _, isa := range append(vecISAs(b), "ref") {
			b.Run(fmt.Sprintf("%s/%s", op.name, isa), func(b *testing.B) {
				clear(dst)
				b.SetBytes(int64(op.bytes * n))
				for b.Loop() {
					op.run(vecs[isa])
				}
			})
		}
	}
}

// BenchmarkPanel counts the bytes of the source, in the second-level cache.
func BenchmarkPanel(b *testing.B) {
	const k = 2048
	src := kerneltest.Normal(kerneltest.Rand(1), 12*k)
	dst, half := make([]float32, 12*k), make([]uint16, 12*k)
	for _, isa := range append(vecISAs(b), "ref") {
		v := vecs[isa]
		for _, mr := range []int{1, 4, 6, 12} {
			for _, op := range []struct {
				name string
				run  func()
			}{
				{"F32", func() { v.panelF32(dst, src, k, mr, k, mr) }},
				{"F32Round", func() { v.panelF32Round(dst, src, k, mr, k, mr) }},
				{"BF16", func() { v.panelBF16(half, src, k, mr, k, mr) }},
			} {
				b.Run(fmt.Sprintf("%s/%s/mr=%d", op.name, isa, mr), func(b *testing.B) {
					b.SetBytes(int64(4 * mr * k))
					for b.Loop() {
						op.run()
					}
				})
			}
		}
	}
}
