// Package kernels computes. A Backend makes weights, buffers and KV pages; a
// Pass issues the few coarse operations a decoder is made of. Fusion is
// explicit in an operation's arguments, so one decoder serves every backend.
package kernels

import "fmt"

// DType is how numbers are stored.
type DType uint8

const (
	F32 DType = iota
	BF16
	Int8 // keys and values only: codes, and an f32 scale for each head's vector
)

func (d DType) String() string {
	switch d {
	case F32:
		return "f32"
	case BF16:
		return "bf16"
	case Int8:
		return "int8"
	}
	return fmt.Sprintf("DType(%d)", uint8(d))
}

// Size is the bytes of one element.
func (d DType) Size() int {
	switch d {
	case BF16:
		return 2
	case Int8:
		return 1
	}
	return 4
}

// Quant says that numbers are kept as integers: each is scale·code, with a scale
// in f16 for every Group consecutive ones of a row. The zero Quant is none.
type Quant struct {
	Bits  int // 8 or 4, two's complement
	Group int
}

// Matrix is where a backend reads a weight from: rows as f32. It may be called
// from several goroutines at once.
type Matrix interface {
	Rows() int
	Cols() int
	ReadRows(dst []float32, row, n int) error
	// Release says that these rows are not needed again.
	Release(row, n int)
}

// Coded is a Matrix that is already quantized.
type Coded interface {
	Matrix
	// Fits says whether codes of that kind hold the values exactly.
	Fits(Quant) bool
	// ReadCodes reads n rows: codes [n, cols] and scales, f16, [n, cols/Group].
	ReadCodes(codes []int8, scales []uint16, row, n int) error
}

// Sparse is where a backend reads a 2:4 matrix from: of every four consecutive
// inputs of a row two are kept. It may be called from several goroutines at once.
type Sparse interface {
	Rows() int
	Cols() int // of the dense matrix, a multiple of 4
	// ReadCore reads n rows: the kept values [n, cols/2], and for each group of
	// four which are kept [n, cols/4], a mask of package sparse24.
	ReadCore(values []float32, masks []uint8, row, n int) error
	// Release says that these rows are not needed again.
	Release(row, n int)
}

// CodedSparse is a Sparse whose kept values are codes.
type CodedSparse interface {
	Sparse
	// Fits says whether codes of that kind hold the values exactly.
	Fits(Quant) bool
	// ReadCoded reads n rows: codes [n, cols/2], scales, f16, [n, cols/Group], and
	// the bits of package sparse24 [n, cols/8].
	ReadCoded(codes []int8, scales []uint16, bits []uint8, row, n int) error
}

// Part is one linear layer of a group: y = W·x + bias, or A·(Core·(B·x)) + bias,
// where A and B are block-diagonal with blocks of a multiple of 4. Parts of a
// group whose B is the same by == share it: B·x is computed once.
type Part struct {
	Name string
	W    Matrix    // [d_out, d_in], or nil
	Core Sparse    // [d_out, d_in], or nil
	A    Matrix    // A's blocks below each other, [d_out, block]; nil is identity
	B    Matrix    // B's blocks below each other, [d_in, block]; nil is identity
	Bias []float32 // [d_out] or nil
	Type DType     // how W, or Core, A and B are kept, unless a Quant says otherwise
	// Quant is of W, in groups of 32 or, where activations may be rounded, of 64, or
	// of Core, of 64 and there only; what is Coded and fits is kept exactly, else
	// rounded. Wrappers is of A and B.
	Quant, Wrappers Quant
}

// Group is one or more linear layers that read the same x and run as one
// operation. Their outputs lie side by side: [T, d_out of all].
type Group interface {
	Name() string
	In() int
	Out() int
	Bytes() int64
}

// Buf is a row-major f32 matrix that belongs to a backend. SetRows changes its
// height within the rows it was made with.
type Buf interface {
	Rows() int
	Cols() int
	SetRows(n int)
}

// RMSNorm is x/rms(x)·Weight. A nil Weight means no norm.
type RMSNorm struct {
	Weight Buf // [1, dim]
	Eps    float32
}

// Fuse says what a Linear does on the way in and on the way out.
type Fuse struct {
	Norm     RMSNorm // x is normalized first
	SwiGLU   bool    // x is gate|up, [T, 2·d_in]; silu(gate)·up goes in
	Residual bool    // dst += instead of dst =
}

// Norm normalizes the input of a Linear.
func Norm(n RMSNorm) Fuse { return Fuse{Norm: n} }

// Span is one sequence's part of a Batch.
type Span struct {
	Rows  int     // rows of the batch, following those of the span before
	Pos   int     // position of the first of them; all before it are in Pages
	Pages []int32 // KV pages of the positions 0 … Pos+Rows-1, PageTokens each
}

// Batch is one forward step: T rows of any number of sequences.
type Batch struct {
	Tokens []int32 // [T]
	Seqs   []Span
	Out    []int32 // rows whose logits are wanted
	KV     KV      // where all their pages are
}

// PageTokens is the number of positions in one KV page.
const PageTokens = 16

// PagesFor is the number of pages that hold so many positions.
func PagesFor(positions int) int { return (positions + PageTokens - 1) / PageTokens }

// KVShape describes the keys and values of a model.
type KVShape struct {
	Layers, KVHeads, HeadDim int
	Type                     DType
}

// KV is a pool of pages, each holding the keys and values of PageTokens
// positions in all layers. Pages are numbered from 0.
type KV interface {
	PageBytes() int64
	// Reserve makes the pages 0 … n-1 usable; it never takes pages away.
	Reserve(n int) error
}

// Heads describes one layer's attention to RopeStore.
type Heads struct {
	Q, K RMSNorm // over each head's HeadDim (Qwen3), or no norm
	Rope Buf     // [positions, HeadDim]: cosines of the first half, then sines
}

// Backend makes what a Pass works on. Its methods may be called from one
// goroutine at a time.
type Backend interface {
	// Name says which hardware and instruction set runs.
	Name() string
	// Compute is the type that activations are rounded to before a product.
	Compute() DType
	NewGroup(parts ...Part) (Group, error)
	// Repack replaces the weights of g by those of parts, of the same shapes and
	// kinds, while no Pass runs. After an error g must be repacked or left alone.
	Repack(g Group, parts ...Part) error
	NewBuf(rows, cols int) (Buf, error)
	// Upload makes a Buf that holds data, [rows, cols].
	Upload(rows, cols int, data []float32) (Buf, error)
	// Write sets row r of b to src, [cols].
	Write(b Buf, r int, src []float32) error
	// Download copies row r of b into dst, [cols].
	Download(dst []float32, b Buf, r int) error
	NewKV(KVShape) (KV, error)
	// NewPass makes a Pass; passes of one backend do not run at once.
	NewPass() (Pass, error)
	// Close gives everything back; nothing made by the backend may be used after.
	Close() error
}

// Pass issues operations. The first error stops those that follow and is
// returned by End, which also begins the next pass.
type Pass interface {
	// Embed sets dst [T, dim] to the rows of table that tokens name.
	Embed(dst Buf, table Group, tokens []int32)
	// Linear sets dst [T, out] to g of x [T, in], with what f says.
	Linear(dst Buf, g Group, x Buf, f Fuse)
	// Input sets dst [T, in] to what a Linear with f multiplies, unrounded:
	// x normalized, or its gate's and up's product.
	Input(dst Buf, x Buf, f Fuse)
	// RopeStore rotates q and k of qkv [T, q|k|v] by position, in place, after
	// their norms, and writes k and v into the pages of b.
	RopeStore(qkv Buf, h Heads, b *Batch, layer int)
	// Attend sets dst [T, heads·head_dim] to causal attention of q over the pages.
	Attend(dst, qkv Buf, b *Batch, layer int)
	// Gather sets dst [len(rows), dim] to those rows of src.
	Gather(dst, src Buf, rows []int32)
	// End waits for all of it and returns the first error.
	End() error
}
