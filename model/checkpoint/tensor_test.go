package checkpoint

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

// open gives the one tensor of a file.
func openOne(t *testing.T, e entry) *Tensor {
	t.Helper()
	c, err := Open("model", single(build(e)).open)
	if err != nil {
		t.Fatal(err)
	}
	tensor, ok := c.Tensor(e.name)
	if !ok {
		t.Fatal("no tensor")
	}
	return tensor
}

func TestDecodeEveryHalf(t *testing.T) {
	src := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*i:], uint16(i))
	}
	dst := make([]float32, 1<<16)
	decode(dst, BF16, src)
	for i, v := range dst {
		if got, want := math.Float32bits(v), uint32(i)<<16; got != want {
			t.Fatalf("bf16 %04x is %08x, want %08x", i, got, want)
		}
	}
	decode(dst, F16, src)
	for i, v := range dst {
		sign, exponent, fraction := 1-2*float64(i>>15), i>>10&31, float64(i&1023)
		want := sign * math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 0:
			want = sign * math.Ldexp(fraction, -24)
		case exponent == 31 && fraction == 0:
			want = math.Inf(int(sign))
		case exponent == 31:
			if v == v {
				t.Fatalf("f16 %04x is %g, want NaN", i, v)
			}
			continue
		}
		if float64(v) != want || math.Signbit(float64(v)) != (i>>15 == 1) {
			t.Fatalf("f16 %04x is %g, want %g", i, v, want)
		}
	}
}

// Every length, so that the tails of the unrolled loops count too, between
// elements that must stay.
func TestDecodeLengths(t *testing.T) {
	for _, d := range []DType{F32, F16, BF16} {
		for n := range 40 {
			src := make([]byte, n*int(d.Size()))
			for i := range n {
				switch d { // i+1 in each type
				case F32:
					binary.LittleEndian.PutUint32(src[4*i:], math.Float32bits(float32(i+1)))
				case BF16:
					binary.LittleEndian.PutUint16(src[2*i:], uint16(math.Float32bits(float32(i+1))>>16))
				case F16:
					frac, exp := math.Frexp(float64(i + 1))
					binary.LittleEndian.PutUint16(src[2*i:], uint16(exp+14)<<10|uint16((2*frac-1)*1024))
				}
			}
			dst := make([]float32, n+2)
			dst[0], dst[n+1] = -1, -1
			decode(dst[1:n+1], d, src)
			for i, v := range dst[1 : n+1] {
				if v != float32(i+1) {
					t.Fatalf("%v, %d elements: element %d is %g", d, n, i, v)
				}
			}
			if dst[0] != -1 || dst[n+1] != -1 {
				t.Fatalf("%v, %d elements: writes outside", d, n)
			}
		}
	}
}

// bf16Rows holds the row number in every element, in rows of 37.
func bf16Rows(rows int) entry {
	const cols = 37
	data := make([]byte, 0, rows*cols*2)
	for r := range rows {
		for range cols {
			data = binary.LittleEndian.AppendUint16(data, uint16(math.Float32bits(float32(r%256))>>16))
		}
	}
	return entry{"w", "BF16", []int{rows, cols}, data}
}

func TestReadRows(t *testing.T) {
	const rows, cols = 4000, 37 // several chunks, none on a row's border
	w := openOne(t, bf16Rows(rows))
	if w.Rows() != rows || w.Cols() != cols || w.Bytes() != rows*cols*2 {
		t.Fatalf("%d x %d in %d bytes", w.Rows(), w.Cols(), w.Bytes())
	}
	var wg sync.WaitGroup
	for _, c := range []struct{ row, n int }{{0, rows}, {0, 0}, {rows, 0}, {3999, 1}, {7, 1800}, {1234, 2}, {0, 886}} {
		wg.Go(func() {
			dst := make([]float32, c.n*cols+1)
			dst[c.n*cols] = -1
			if err := w.ReadRows(dst, c.row, c.n); err != nil {
				t.Error(err)
			}
			for i := range c.n * cols {
				if want := float32((c.row + i/cols) % 256); dst[i] != want {
					t.Errorf("rows from %d: element %d is %g, want %g", c.row, i, dst[i], want)
					return
				}
			}
			if dst[c.n*cols] != -1 {
				t.Error("writes behind the rows")
			}
		})
	}
	wg.Wait()
	dst := make([]float32, rows*cols)
	for _, c := range []struct{ row, n int }{{-1, 1}, {0, -1}, {0, rows + 1}, {rows, 1}, {math.MaxInt, 1}, {1, math.MaxInt}} {
		wantError(t, w.ReadRows(dst, c.row, c.n), "model/model.safetensors: tensor w: rows: got")
	}
	wantError(t, w.ReadRows(dst[:3*cols-1], 0, 3), "destination: got 110 elements, want 3 rows of 37")
}

func TestShapes(t *testing.T) {
	for _, c := range []struct {
		shape      []int
		rows, cols int
	}{{[]int{}, 1, 1}, {[]int{5}, 1, 5}, {[]int{2, 3}, 2, 3}, {[]int{2, 3, 4}, 6, 4}, {[]int{0, 9}, 0, 9}, {[]int{9, 0}, 9, 0}} {
		n := 1
		for _, d := range c.shape {
			n *= d
		}
		w := openOne(t, entry{"w", "F16", c.shape, make([]byte, 2*n)})
		if w.Rows() != c.rows || w.Cols() != c.cols {
			t.Errorf("%v is %d x %d, want %d x %d", c.shape, w.Rows(), w.Cols(), c.rows, c.cols)
		}
		if err := w.ReadRows(make([]float32, n), 0, c.rows); err != nil {
			t.Error(err)
		}
	}
}

func TestDTypes(t *testing.T) {
	for _, d := range []DType{F32, F16, BF16, F64, I8, U8, I16, U16, I32, U32, I64, U64, Bool} {
		w := openOne(t, entry{"w", d.String(), []int{3}, make([]byte, 3*d.Size())})
		if w.DType != d {
			t.Errorf("%v is read as %v", d, w.DType)
		}
		err := w.ReadRows(make([]float32, 3), 0, 1)
		if d.Float() != (err == nil) {
			t.Errorf("%v: %v", d, err)
		}
		if err != nil {
			wantError(t, err, "dtype: got "+d.String()+", want F32, F16 or BF16")
		}
	}
}

func TestNeed(t *testing.T) {
	c, err := Open("model", single(build(
		entry{"a", "F32", []int{2, 3}, make([]byte, 24)},
		entry{"b", "I16", []int{2}, make([]byte, 4)},
		entry{"c", "F16", []int{1}, make([]byte, 2)},
		entry{"d", "F16", []int{1}, make([]byte, 2)})).open)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Need("a", 2, 3); err != nil {
		t.Error(err)
	}
	_, err = c.Need("x", 1)
	wantError(t, err, "model: tensor x: missing")
	for _, shape := range [][]int{{3, 2}, {6}, {2, 3, 1}, nil} {
		_, err = c.Need("a", shape...)
		wantError(t, err, "model/model.safetensors: tensor a: shape: got [2 3], want [")
	}
	_, err = c.Need("b", 2)
	wantError(t, err, "tensor b: dtype: got I16, want F32, F16 or BF16")
	if _, ok := c.Tensor("c"); !ok {
		t.Error("no c")
	}
	if got := strings.Join(c.Unused(), " "); got != "d" {
		t.Errorf("unused: %s, want d", got)
	}
	if got := strings.Join(c.Names(), " "); got != "a b c d" {
		t.Errorf("names: %s", got)
	}
}

// faulty fails, or ends early, from some byte on.
type faulty struct {
	Source
	from int64
	err  error
}

func (f *faulty) ReadAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > f.from {
		return int(max(f.from-off, 0)), f.err
	}
	return f.Source.ReadAt(p, off)
}

func TestReadFaults(t *testing.T) {
	errDisk := errors.New("disk on fire")
	data := build(bf16Rows(100))
	for from := int64(0); from < int64(len(data)); from += 97 {
		for _, failure := range []error{errDisk, nil} {
			c, err := Open("model", func(name string) (Source, error) {
				if name == "config.json" {
					return FromBytes([]byte("{}")), nil
				}
				return &faulty{FromBytes(data), from, failure}, nil
			})
			if err == nil {
				w, _ := c.Need("w", 100, 37)
				err = w.ReadRows(make([]float32, 3700), 0, 100)
			}
			wantError(t, err, "disk on fire|unexpected end")
			if !strings.HasPrefix(err.Error(), "model/model.safetensors: ") || failure != nil && !errors.Is(err, failure) {
				t.Fatalf("got %v", err)
			}
		}
	}
}

// released notes what it is told to release.
type released struct {
	Source
	ranges [][2]int64
}

func (r *released) Release(off, n int64) { r.ranges = append(r.ranges, [2]int64{off, n}) }

func TestReleaseRows(t *testing.T) {
	src := &released{Source: FromBytes(build(bf16Rows(100)))}
	c, err := Open("model", func(name string) (Source, error) {
		if name == "config.json" {
			return FromBytes([]byte("{}")), nil
		}
		return src, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Need("w", 100, 37)
	if err != nil {
		t.Fatal(err)
	}
	w.Release(10, 5)
	header := src.Size() - w.Bytes()
	want := [][2]int64{{prefix, header - prefix}, {header + 10*74, 5 * 74}}
	if !slices.Equal(src.ranges, want) {
		t.Errorf("released %v, want the header and 5 rows, %v", src.ranges, want)
	}
}

func BenchmarkReadRows(b *testing.B) {
	const rows, cols = 512, 2048
	for _, d := range []DType{BF16, F16, F32} {
		b.Run(d.String(), func(b *testing.B) {
			size := rows * cols * int(d.Size())
			c, err := Open("model", single(build(entry{"w", d.String(), []int{rows, cols}, make([]byte, size)})).open)
			if err != nil {
				b.Fatal(err)
			}
			w, _ := c.Tensor("w")
			dst := make([]float32, rows*cols)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := w.ReadRows(dst, 0, rows); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
