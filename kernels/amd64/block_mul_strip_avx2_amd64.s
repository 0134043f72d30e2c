//go:build amd64 && !noasm

#include "textflag.h"

// A strip: 16 columns of b, copied to the stack where its rows are 64 bytes
// apart, and all rows of a in tiles of 6 and 4. The stack has, from 0(SP): the
// strip, the rows of a and of c that are next, how many are left, the sign of the
// product, and the next and the last line of ahead. In a loop BX is the strip's row, CX counts p.

#define PACK \
	MOVQ    b+40(FP), SI     \
	MOVQ    ldb+48(FP), DX   \
	MOVQ    inner+64(FP), CX \
	LEAQ    128(SP), DI      \
	ANDQ    $-64, DI         \
	MOVQ    DI, 0(SP)        \
pack: \
	VMOVUPS (SI), Y0         \
	VMOVUPS 32(SI), Y1       \
	VMOVAPS Y0, (DI)         \
	VMOVAPS Y1, 32(DI)       \
	ADDQ    DX, SI           \
	ADDQ    $64, DI          \
	DECQ    CX               \
	JNZ     pack             \
	MOVL    $0x3f800000, CX  \
	CMPQ    op+16(FP), $2    \
	JNE     plus             \
	MOVL    $0xbf800000, CX  \
plus: \
	MOVL    CX, 32(SP)       \
	MOVQ    a+24(FP), AX     \
	MOVQ    AX, 8(SP)        \
	MOVQ    c+0(FP), AX      \
	MOVQ    AX, 16(SP)       \
	MOVQ    rows+56(FP), AX  \
	MOVQ    AX, 24(SP)       \
	MOVQ    ahead+72(FP), AX \
	MOVQ    AX, 40(SP)       \
	ADDQ    bytes+80(FP), AX \
	MOVQ    AX, 48(SP)

// AHEAD brings the next 8 lines of what is read later into L2.
#define AHEAD \
	MOVQ       40(SP), AX \
	CMPQ       AX, 48(SP) \
	JGE        11(PC)     \
	PREFETCHT1 0(AX) \
	PREFETCHT1 64(AX) \
	PREFETCHT1 128(AX) \
	PREFETCHT1 192(AX) \
	PREFETCHT1 256(AX) \
	PREFETCHT1 320(AX) \
	PREFETCHT1 384(AX) \
	PREFETCHT1 448(AX) \
	ADDQ       $512, AX \
	MOVQ       AX, 40(SP)

#define ZERO4(a, b, c, d) \
	VXORPS a, a, a \
	VXORPS b, b, b \
	VXORPS c, c, c \
	VXORPS d, d, d

#define FMA(element, s, lo, hi) \
	VBROADCASTSS element, s \
	VFMADD231PS  Y12, s, lo \
	VFMADD231PS  Y13, s, hi

// ROWS4 and ROWS6 take column p from here of rows of a.
#define ROWS4(p) \
	VMOVAPS 64*p(BX), Y12       \
	VMOVAPS 64*p+32(BX), Y13    \
	FMA(4*p(R8), Y14, Y0, Y1)   \
	FMA(4*p(R9), Y15, Y2, Y3)   \
	FMA(4*p(R10), Y14, Y4, Y5)  \
	FMA(4*p(R11), Y15, Y6, Y7)

#define ROWS6(p) \
	ROWS4(p)                    \
	FMA(4*p(R12), Y14, Y8, Y9)  \
	FMA(4*p(R13), Y15, Y10, Y11)

#define NEXT4(n) \
	ADDQ $4*n, R8  \
	ADDQ $4*n, R9  \
	ADDQ $4*n, R10 \
	ADDQ $4*n, R11 \
	ADDQ $64*n, BX

#define NEXT6(n) \
	ADDQ $4*n, R12 \
	ADDQ $4*n, R13 \
	NEXT4(n)

// COLUMNS4 and COLUMNS6 take rows of the column of a at R8, and go to the next.
#define FOUR(p) \
	VMOVAPS 64*p(BX), Y12       \
	VMOVAPS 64*p+32(BX), Y13    \
	FMA(0(R8), Y14, Y0, Y1)     \
	FMA(4(R8), Y15, Y2, Y3)     \
	FMA(8(R8), Y14, Y4, Y5)     \
	FMA(12(R8), Y15, Y6, Y7)

#define COLUMNS4(p) \
	FOUR(p)                     \
	ADDQ R13, R8

#define COLUMNS6(p) \
	FOUR(p)                     \
	FMA(16(R8), Y14, Y8, Y9)    \
	FMA(20(R8), Y15, Y10, Y11)  \
	ADDQ R13, R8

// RESULT is c's row at DI, its stride SI, with flags of op: zero for Set.
#define RESULT \
	VBROADCASTSS 32(SP), Y15     \
	MOVQ         16(SP), DI      \
	MOVQ         ldc+8(FP), SI   \
	CMPQ         op+16(FP), $0

#define SET(lo, hi) \
	VMOVUPS lo, (DI)   \
	VMOVUPS hi, 32(DI) \
	ADDQ    SI, DI

#define SET4 \
	SET(Y0, Y1) \
	SET(Y2, Y3) \
	SET(Y4, Y5) \
	SET(Y6, Y7)

#define SET6 \
	SET4        \
	SET(Y8, Y9) \
	SET(Y10, Y11)

#define ADD(lo, hi) \
	VFMADD213PS (DI), Y15, lo   \
	VFMADD213PS 32(DI), Y15, hi \
	SET(lo, hi)

#define ADD4 \
	ADD(Y0, Y1) \
	ADD(Y2, Y3) \
	ADD(Y4, Y5) \
	ADD(Y6, Y7)

#define ADD6 \
	ADD4        \
	ADD(Y8, Y9) \
	ADD(Y10, Y11)

// func mulStripRowsAVX2(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)
TEXT ·mulStripRowsAVX2(SB), 0, $12416-96
	PACK

tile:
	MOVQ 24(SP), AX
	CMPQ AX, $4
	JLT  done
	MOVQ 8(SP), R8
	MOVQ stride+32(FP), DI
	LEAQ (R8)(DI*1), R9
	LEAQ (R8)(DI*2), R10
	LEAQ (R9)(DI*2), R11
	LEAQ (R10)(DI*2), R12
	LEAQ (R11)(DI*2), R13
	MOVQ 0(SP), BX
	MOVQ inner+64(FP), CX
	ZERO4(Y0, Y1, Y2, Y3)
	ZERO4(Y4, Y5, Y6, Y7)
	CMPQ AX, $6
	JLT  four
	CMPQ AX, $8 // better as 4 and 4
	JEQ  four
	SUBQ $6, AX
	MOVQ AX, 24(SP)
	ADDQ R13, DI
	MOVQ DI, 8(SP)
	ZERO4(Y8, Y9, Y10, Y11)
	SUBQ $4, CX
	JLT  few6

loop6:
	ROWS6(0)
	ROWS6(1)
	ROWS6(2)
	ROWS6(3)
	NEXT6(4)
	SUBQ $4, CX
	JGE  loop6

few6:
	ADDQ $4, CX
	JEQ  result6

one6:
	ROWS6(0)
	NEXT6(1)
	DECQ CX
	JNZ  one6

result6:
	AHEAD
	RESULT
	JNE add6
	SET6
	MOVQ DI, 16(SP)
	JMP  tile

add6:
	ADD6
	MOVQ DI, 16(SP)
	JMP  tile

four:
	SUBQ $4, AX
	MOVQ AX, 24(SP)
	MOVQ R12, 8(SP)
	SUBQ $4, CX
	JLT  few4

loop4:
	ROWS4(0)
	ROWS4(1)
	ROWS4(2)
	ROWS4(3)
	NEXT4(4)
	SUBQ $4, CX
	JGE  loop4

few4:
	ADDQ $4, CX
	JEQ  result4

one4:
	ROWS4(0)
	NEXT4(1)
	DECQ CX
	JNZ  one4

result4:
	AHEAD
	RESULT
	JNE add4
	SET4
	MOVQ DI, 16(SP)
	JMP  tile

add4:
	ADD4
	MOVQ DI, 16(SP)
	JMP  tile

done:
	MOVQ AX, left+88(FP)
	VZEROUPPER
	RET

// func mulStripColumnsAVX2(c *float32, ldc, op int, a *float32, stride int, b *float32, ldb, rows, inner int, ahead *float32, bytes int) (left int)
TEXT ·mulStripColumnsAVX2(SB), 0, $12416-96
	PACK
	MOVQ stride+32(FP), R13

tile:
	MOVQ 24(SP), AX
	CMPQ AX, $4
	JLT  done
	MOVQ 8(SP), R8
	MOVQ 0(SP), BX
	MOVQ inner+64(FP), CX
	ZERO4(Y0, Y1, Y2, Y3)
	ZERO4(Y4, Y5, Y6, Y7)
	CMPQ AX, $6
	JLT  four
	CMPQ AX, $8
	JEQ  four
	SUBQ $6, AX
	MOVQ AX, 24(SP)
	ADDQ $24, 8(SP)
	ZERO4(Y8, Y9, Y10, Y11)
	SUBQ $4, CX
	JLT  few6

loop6:
	COLUMNS6(0)
	COLUMNS6(1)
	COLUMNS6(2)
	COLUMNS6(3)
	ADDQ $256, BX
	SUBQ $4, CX
	JGE  loop6

few6:
	ADDQ $4, CX
	JEQ  result6

one6:
	COLUMNS6(0)
	ADDQ $64, BX
	DECQ CX
	JNZ  one6

result6:
	AHEAD
	RESULT
	JNE add6
	SET6
	MOVQ DI, 16(SP)
	JMP  tile

add6:
	ADD6
	MOVQ DI, 16(SP)
	JMP  tile

four:
	SUBQ $4, AX
	MOVQ AX, 24(SP)
	ADDQ $16, 8(SP)
	SUBQ $4, CX
	JLT  few4

loop4:
	COLUMNS4(0)
	COLUMNS4(1)
	COLUMNS4(2)
	COLUMNS4(3)
	ADDQ $256, BX
	SUBQ $4, CX
	JGE  loop4

few4:
	ADDQ $4, CX
	JEQ  result4

one4:
	COLUMNS4(0)
	ADDQ $64, BX
	DECQ CX
	JNZ  one4

result4:
	AHEAD
	RESULT
	JNE add4
	SET4
	MOVQ DI, 16(SP)
	JMP  tile

add4:
	ADD4
	MOVQ DI, 16(SP)
	JMP  tile

done:
	MOVQ AX, left+88(FP)
	VZEROUPPER
	RET
