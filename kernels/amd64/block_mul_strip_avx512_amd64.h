// A strip: 32 columns of b, copied to the stack where its rows are 128 bytes
// apart, and all rows of a in tiles of 12 and 8. The stack has, from 0(SP): the
// strip, the rows of a and of c that are next, how many are left, and the next
// and the last line of ahead.
//
// In a loop BX is the strip's row, CX counts p, and elements of a are taken in
// two ways: one instruction less with the broadcast in each product, one load
// less with it before them. Two of three rows have the first, which loads and
// instructions then limit alike.

// PACK copies the strip and sets Z30 to the sign of the product.
#define PACK \
	MOVQ         b+40(FP), SI     \
	MOVQ         ldb+48(FP), DX   \
	MOVQ         inner+64(FP), CX \
	LEAQ         128(SP), DI      \
	ANDQ         $-64, DI         \
	MOVQ         DI, 0(SP)        \
pack: \
	VMOVUPS      (SI), Z0         \
	VMOVUPS      64(SI), Z1       \
	VMOVAPS      Z0, (DI)         \
	VMOVAPS      Z1, 64(DI)       \
	ADDQ         DX, SI           \
	ADDQ         $128, DI         \
	DECQ         CX               \
	JNZ          pack             \
	MOVL         $0x3f800000, CX  \
	CMPQ         op+16(FP), $2    \
	JNE          plus             \
	MOVL         $0xbf800000, CX  \
plus: \
	VPBROADCASTD CX, Z30          \
	MOVQ         a+24(FP), AX     \
	MOVQ         AX, 8(SP)        \
	MOVQ         c+0(FP), AX      \
	MOVQ         AX, 16(SP)       \
	MOVQ         rows+56(FP), AX  \
	MOVQ         AX, 24(SP)       \
	MOVQ         ahead+72(FP), AX \
	MOVQ         AX, 32(SP)       \
	ADDQ         bytes+80(FP), AX \
	MOVQ         AX, 40(SP)

// AHEAD brings the next 24 lines of what is read later into L2.
#define AHEAD \
	MOVQ       32(SP), AX \
	CMPQ       AX, 40(SP) \
	JGE        27(PC)     \
	PREFETCHT1 0(AX) \
	PREFETCHT1 64(AX) \
	PREFETCHT1 128(AX) \
	PREFETCHT1 192(AX) \
	PREFETCHT1 256(AX) \
	PREFETCHT1 320(AX) \
	PREFETCHT1 384(AX) \
	PREFETCHT1 448(AX) \
	PREFETCHT1 512(AX) \
	PREFETCHT1 576(AX) \
	PREFETCHT1 640(AX) \
	PREFETCHT1 704(AX) \
	PREFETCHT1 768(AX) \
	PREFETCHT1 832(AX) \
	PREFETCHT1 896(AX) \
	PREFETCHT1 960(AX) \
	PREFETCHT1 1024(AX) \
	PREFETCHT1 1088(AX) \
	PREFETCHT1 1152(AX) \
	PREFETCHT1 1216(AX) \
	PREFETCHT1 1280(AX) \
	PREFETCHT1 1344(AX) \
	PREFETCHT1 1408(AX) \
	PREFETCHT1 1472(AX) \
	ADDQ       $1536, AX \
	MOVQ       AX, 32(SP)

#define ZERO4(a, b, c, d) \
	VPXORQ a, a, a \
	VPXORQ b, b, b \
	VPXORQ c, c, c \
	VPXORQ d, d, d

#define ZERO16 \
	ZERO4(Z0, Z1, Z2, Z3)     \
	ZERO4(Z4, Z5, Z6, Z7)     \
	ZERO4(Z8, Z9, Z10, Z11)   \
	ZERO4(Z12, Z13, Z14, Z15)

#define ZERO24 \
	ZERO16                    \
	ZERO4(Z16, Z17, Z18, Z19) \
	ZERO4(Z20, Z21, Z22, Z23)

#define FMA(element, lo, hi) \
	VFMADD231PS.BCST element, Z24, lo \
	VFMADD231PS.BCST element, Z25, hi

#define FMA1(element, s, lo, hi) \
	VBROADCASTSS element, s  \
	VFMADD231PS  Z24, s, lo  \
	VFMADD231PS  Z25, s, hi

// ROWS8 and ROWS12 take column p from here of rows of a.
#define ROWS8(p) \
	VMOVAPS 128*p(BX), Z24           \
	VMOVAPS 128*p+64(BX), Z25        \
	FMA(4*p(R8), Z0, Z1)             \
	FMA1(4*p(R9), Z26, Z2, Z3)       \
	FMA(4*p(R10), Z4, Z5)            \
	FMA(4*p(R11), Z6, Z7)            \
	FMA1(4*p(R12), Z27, Z8, Z9)      \
	FMA(4*p(R13), Z10, Z11)          \
	FMA(4*p(R14), Z12, Z13)          \
	FMA1(4*p(R15), Z28, Z14, Z15)

#define ROWS12(p) \
	ROWS8(p)                         \
	FMA(4*p(AX), Z16, Z17)           \
	FMA(4*p(DX), Z18, Z19)           \
	FMA1(4*p(SI), Z29, Z20, Z21)     \
	FMA(4*p(DI), Z22, Z23)

#define NEXT8(n) \
	ADDQ $4*n, R8  \
	ADDQ $4*n, R9  \
	ADDQ $4*n, R10 \
	ADDQ $4*n, R11 \
	ADDQ $4*n, R12 \
	ADDQ $4*n, R13 \
	ADDQ $4*n, R14 \
	ADDQ $4*n, R15 \
	ADDQ $128*n, BX

#define NEXT12(n) \
	ADDQ $4*n, AX  \
	ADDQ $4*n, DX  \
	ADDQ $4*n, SI  \
	ADDQ $4*n, DI  \
	NEXT8(n)

// COLUMNS8 and COLUMNS12 take rows of the column of a at R8, and go to the next.
#define EIGHT(p) \
	VMOVAPS 128*p(BX), Z24           \
	VMOVAPS 128*p+64(BX), Z25        \
	FMA(0(R8), Z0, Z1)               \
	FMA1(4(R8), Z26, Z2, Z3)         \
	FMA(8(R8), Z4, Z5)               \
	FMA(12(R8), Z6, Z7)              \
	FMA1(16(R8), Z27, Z8, Z9)        \
	FMA(20(R8), Z10, Z11)            \
	FMA(24(R8), Z12, Z13)            \
	FMA1(28(R8), Z28, Z14, Z15)

#define COLUMNS8(p) \
	EIGHT(p)                         \
	ADDQ R13, R8

#define COLUMNS12(p) \
	EIGHT(p)                         \
	FMA(32(R8), Z16, Z17)            \
	FMA(36(R8), Z18, Z19)            \
	FMA1(40(R8), Z29, Z20, Z21)      \
	FMA(44(R8), Z22, Z23)            \
	ADDQ R13, R8

// RESULT is c's row at DI, its stride SI, with flags of op: zero for Set.
#define RESULT \
	MOVQ 16(SP), DI     \
	MOVQ ldc+8(FP), SI  \
	CMPQ op+16(FP), $0

#define SET(lo, hi) \
	VMOVUPS lo, (DI)   \
	VMOVUPS hi, 64(DI) \
	ADDQ    SI, DI

#define SET8 \
	SET(Z0, Z1)   \
	SET(Z2, Z3)   \
	SET(Z4, Z5)   \
	SET(Z6, Z7)   \
	SET(Z8, Z9)   \
	SET(Z10, Z11) \
	SET(Z12, Z13) \
	SET(Z14, Z15)

#define SET12 \
	SET8          \
	SET(Z16, Z17) \
	SET(Z18, Z19) \
	SET(Z20, Z21) \
	SET(Z22, Z23)

#define ADD(lo, hi) \
	VFMADD213PS (DI), Z30, lo   \
	VFMADD213PS 64(DI), Z30, hi \
	SET(lo, hi)

#define ADD8 \
	ADD(Z0, Z1)   \
	ADD(Z2, Z3)   \
	ADD(Z4, Z5)   \
	ADD(Z6, Z7)   \
	ADD(Z8, Z9)   \
	ADD(Z10, Z11) \
	ADD(Z12, Z13) \
	ADD(Z14, Z15)

#define ADD12 \
	ADD8          \
	ADD(Z16, Z17) \
	ADD(Z18, Z19) \
	ADD(Z20, Z21) \
	ADD(Z22, Z23)
