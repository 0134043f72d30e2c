//go:build amd64 && !noasm

#include "textflag.h"
#include "vec_amd64.h"

// Registers: R8, R9 are the elements of a of rows 0 and 2 at the present p; DX
// and R13 are a's strides in i and in p, BX and R14 the row of b and its stride,
// CX counts p. Strides are bytes.

#define ARGS \
	MOVQ a+24(FP), R8    \
	MOVQ ars+32(FP), DX  \
	MOVQ acs+40(FP), R13 \
	MOVQ b+48(FP), BX    \
	MOVQ ldb+56(FP), R14 \
	MOVQ inner+64(FP), CX

// Y11 becomes a mask of the columns that there are.
#define COLUMNS \
	MOVQ    cols+72(FP), CX        \
	LEAQ    vecMask<>+128(SB), R11 \
	SHLQ    $2, CX                 \
	SUBQ    CX, R11                \
	VMOVDQU (R11), Y11

#define ZERO4(a, b, c, d) \
	VXORPS a, a, a \
	VXORPS b, b, b \
	VXORPS c, c, c \
	VXORPS d, d, d

// FMA2 adds a's element times 16 columns of b.
#define FMA2(element, s, lo, hi) \
	VBROADCASTSS element, s \
	VFMADD231PS  Y12, s, lo \
	VFMADD231PS  Y13, s, hi

#define FMA1(element, s, acc) \
	VBROADCASTSS element, s  \
	VFMADD231PS  Y12, s, acc

// DI is the row of c, SI its stride, Y15 the sign of the product, Y14 a mask of
// the columns that c adds.
#define SIGN \
	MOVQ         c+0(FP), DI    \
	MOVQ         ldc+8(FP), SI  \
	MOVQ         op+16(FP), AX  \
	MOVL         $0x3f800000, CX \
	VMOVD        CX, X15        \
	VBROADCASTSS X15, Y15       \
	VPCMPEQD     Y14, Y14, Y14  \
	CMPQ         AX, $1         \
	JEQ          store          \
	JGT          minus          \
	VPXOR        Y14, Y14, Y14  \
	JMP          store

#define MINUS \
	MOVL         $0xbf800000, CX \
	VMOVD        CX, X15        \
	VBROADCASTSS X15, Y15

#define STORE2(lo, hi) \
	VMASKMOVPS  (DI), Y14, Y12   \
	VMASKMOVPS  32(DI), Y14, Y13 \
	VFMADD213PS Y12, Y15, lo     \
	VFMADD213PS Y13, Y15, hi     \
	VMOVUPS     lo, (DI)         \
	VMOVUPS     hi, 32(DI)       \
	ADDQ        SI, DI

#define STORE1(acc) \
	VMASKMOVPS  (DI), Y14, Y12  \
	VFMADD213PS Y12, Y15, acc   \
	VMASKMOVPS  acc, Y11, (DI)  \
	ADDQ        SI, DI

// func mulR4C16AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)
TEXT ·mulR4C16AVX2(SB), NOSPLIT, $0-72
	ARGS
	LEAQ (R8)(DX*2), R9
	ZERO4(Y0, Y1, Y2, Y3)
	ZERO4(Y4, Y5, Y6, Y7)
	TESTQ CX, CX
	JLE   done

loop:
	VMOVUPS (BX), Y12
	VMOVUPS 32(BX), Y13
	FMA2((R8), Y14, Y0, Y1)
	FMA2((R8)(DX*1), Y15, Y2, Y3)
	FMA2((R9), Y14, Y4, Y5)
	FMA2((R9)(DX*1), Y15, Y6, Y7)
	ADDQ    R14, BX
	ADDQ    R13, R8
	ADDQ    R13, R9
	DECQ    CX
	JNZ     loop

done:
	SIGN

minus:
	MINUS

store:
	STORE2(Y0, Y1)
	STORE2(Y2, Y3)
	STORE2(Y4, Y5)
	STORE2(Y6, Y7)
	VZEROUPPER
	RET

// func mulR4C8AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)
TEXT ·mulR4C8AVX2(SB), NOSPLIT, $0-80
	COLUMNS
	ARGS
	LEAQ (R8)(DX*2), R9
	ZERO4(Y0, Y1, Y2, Y3)
	TESTQ CX, CX
	JLE   done

loop:
	VMASKMOVPS (BX), Y11, Y12
	FMA1((R8), Y14, Y0)
	FMA1((R8)(DX*1), Y15, Y1)
	FMA1((R9), Y14, Y2)
	FMA1((R9)(DX*1), Y15, Y3)
	ADDQ       R14, BX
	ADDQ       R13, R8
	ADDQ       R13, R9
	DECQ       CX
	JNZ        loop

done:
	SIGN

minus:
	MINUS

store:
	VPAND Y11, Y14, Y14
	STORE1(Y0)
	STORE1(Y1)
	STORE1(Y2)
	STORE1(Y3)
	VZEROUPPER
	RET

// func mulR1C8AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)
TEXT ·mulR1C8AVX2(SB), NOSPLIT, $0-80
	COLUMNS
	ARGS
	VXORPS Y0, Y0, Y0
	TESTQ  CX, CX
	JLE    done

loop:
	VMASKMOVPS (BX), Y11, Y12
	FMA1((R8), Y14, Y0)
	ADDQ       R14, BX
	ADDQ       R13, R8
	DECQ       CX
	JNZ        loop

done:
	SIGN

minus:
	MINUS

store:
	VPAND Y11, Y14, Y14
	STORE1(Y0)
	VZEROUPPER
	RET

// func mulR1C32AVX2(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)
TEXT ·mulR1C32AVX2(SB), NOSPLIT, $0-72
	ARGS
	ZERO4(Y0, Y1, Y2, Y3)
	TESTQ CX, CX
	JLE   done

loop:
	VBROADCASTSS (R8), Y14
	VFMADD231PS  (BX), Y14, Y0
	VFMADD231PS  32(BX), Y14, Y1
	VFMADD231PS  64(BX), Y14, Y2
	VFMADD231PS  96(BX), Y14, Y3
	ADDQ         R14, BX
	ADDQ         R13, R8
	DECQ         CX
	JNZ          loop

done:
	SIGN

minus:
	MINUS

store:
	MOVQ $64, SI
	STORE2(Y0, Y1)
	STORE2(Y2, Y3)
	VZEROUPPER
	RET
