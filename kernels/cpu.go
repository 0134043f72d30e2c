package kernels

import (
	"fmt"
	goruntime "runtime"
)

// Options chooses how a CPU backend runs.
type Options struct {
	ISA     ISA
	Compute DType // F32, or BF16: activations are rounded before a product
	Threads int   // 0: one for each processor
}

// CPU is the Backend of this machine's processor.
type CPU struct {
	isa     ISA
	compute DType
	pool    *pool
	memory  arena
	// Kernels of integers want AVX512_VNNI and VBMI of AVX-512: without them,
	// they and all in a group with them are AVX2's.
	narrow *CPU
}

// forIntegers is the CPU that runs a group with integers.
func (c *CPU) forIntegers() *CPU {
	if c.narrow != nil {
		return c.narrow
	}
	return c
}

// MaxThreads bounds Options.Threads.
const MaxThreads = 1024

// NewCPU makes a backend and starts its workers.
func NewCPU(o Options) (*CPU, error) {
	if o.ISA < Ref || o.ISA > BestISA() {
		return nil, fmt.Errorf("instruction set %v is not available, the best is %v", int(o.ISA), BestISA())
	}
	if o.Threads < 0 || o.Threads > MaxThreads {
		return nil, fmt.Errorf("threads: got %d, want 1 to %d", o.Threads, MaxThreads)
	}
	if o.Threads == 0 {
		o.Threads = goruntime.GOMAXPROCS(0)
	}
	c := &CPU{isa: o.ISA, compute: o.Compute, pool: newPool(o.Threads)}
	if o.ISA >= AVX512 && !hasVNNI() {
		c.narrow = &CPU{isa: AVX2, compute: o.Compute, pool: c.pool}
	}
	return c, nil
}

// Name implements Backend.
func (c *CPU) Name() string {
	return fmt.Sprintf("cpu %v, %v, %d threads", c.isa, c.compute, c.pool.workers)
}

// Compute implements Backend.
func (c *CPU) Compute() DType { return c.compute }

// Bytes is the memory held for weights and buffers.
func (c *CPU) Bytes() int64 { return c.memory.used }

// Close implements Backend.
func (c *CPU) Close() error {
	c.pool.close()
	return c.memory.close()
}

// buf is a Buf of the CPU. Kernels write whole tiles: columns are padded to a
// tile, and padRows rows lie behind the last.
type buf struct {
	data        []float32 // [limit+padRows, ld]
	rows, limit int
	cols, ld    int
}

const padRows = 12 // the largest token tile that is stored whole

func (b *buf) Rows() int { return b.rows }
func (b *buf) Cols() int { return b.cols }

func (b *buf) SetRows(n int) {
	if n < 0 || n > b.limit {
		panic(fmt.Sprintf("kernels: %d rows in a buffer of %d", n, b.limit))
	}
	b.rows = n
}

func (b *buf) row(r int) []float32 { return b.data[r*b.ld:][:b.cols] }

// NewBuf implements Backend.
func (c *CPU) NewBuf(rows, cols int) (Buf, error) { return c.newBuf(rows, cols) }

func (c *CPU) newBuf(rows, cols int) (*buf, error) {
	ld := roundUp(cols, tileRows)
	mem, err := c.memory.alloc((rows + padRows) * ld * 4)
	if err != nil {
		return nil, err
	}
	return &buf{data: asF32(mem), rows: rows, limit: rows, cols: cols, ld: ld}, nil
}

// Upload implements Backend.
func (c *CPU) Upload(rows, cols int, data []float32) (Buf, error) {
	b, err := c.newBuf(rows, cols)
	if err != nil {
		return nil, err
	}
	for r := range rows {
		copy(b.row(r), data[r*cols:(r+1)*cols])
	}
	return b, nil
}

// Write implements Backend.
func (c *CPU) Write(b Buf, r int, src []float32) error {
	copy(b.(*buf).row(r), src)
	return nil
}

// Download implements Backend.
func (c *CPU) Download(dst []float32, b Buf, r int) error {
	copy(dst, b.(*buf).row(r))
	return nil
}
