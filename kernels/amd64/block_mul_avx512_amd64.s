//go:build amd64 && !noasm

#include "textflag.h"

// Registers: R8, R9, R10, R11 are the elements of a of rows 0, 2, 4, 6 at the
// present p; DX and R13 are a's strides in i and in p, BX and R14 the row of b
// and its stride, CX counts p. Strides are bytes.

#define ARGS \
	MOVQ a+24(FP), R8    \
	MOVQ ars+32(FP), DX  \
	MOVQ acs+40(FP), R13 \
	MOVQ b+48(FP), BX    \
	MOVQ ldb+56(FP), R14 \
	MOVQ inner+64(FP), CX

// K1 becomes the columns that there are.
#define COLUMNS \
	MOVQ  cols+72(FP), CX \
	MOVL  $1, AX          \
	SHLL  CX, AX          \
	DECL  AX              \
	KMOVW AX, K1

#define ZERO(z) \
	VPXORQ z, z, z

#define ZERO8(a, b, c, d, e, f, g, h) \
	ZERO(a) \
	ZERO(b) \
	ZERO(c) \
	ZERO(d) \
	ZERO(e) \
	ZERO(f) \
	ZERO(g) \
	ZERO(h)

// FMA2 adds a's element times 32 columns of b.
#define FMA2(element, s, lo, hi) \
	VBROADCASTSS element, s    \
	VFMADD231PS  Z24, s, lo    \
	VFMADD231PS  Z25, s, hi

#define FMA1(element, s, acc) \
	VBROADCASTSS element, s    \
	VFMADD231PS  Z24, s, acc

// STORE: DI is the row of c, SI its stride, Z30 the sign of the product, K2 the
// columns that c adds, K1 those that there are.
#define SIGN \
	MOVQ         c+0(FP), DI    \
	MOVQ         ldc+8(FP), SI  \
	MOVQ         op+16(FP), AX  \
	MOVL         $0x3f800000, CX \
	VMOVD        CX, X30        \
	VBROADCASTSS X30, Z30       \
	MOVL         $0xffff, R15   \
	KMOVW        R15, K2        \
	CMPQ         AX, $1         \
	JEQ          store          \
	JGT          minus          \
	KXORW        K2, K2, K2     \
	JMP          store

#define MINUS \
	MOVL         $0xbf800000, CX \
	VMOVD        CX, X30        \
	VBROADCASTSS X30, Z30

#define STORE2(lo, hi) \
	VMOVUPS.Z   (DI), K2, Z24   \
	VMOVUPS.Z   64(DI), K2, Z25 \
	VFMADD213PS Z24, Z30, lo    \
	VFMADD213PS Z25, Z30, hi    \
	VMOVUPS     lo, (DI)        \
	VMOVUPS     hi, 64(DI)      \
	ADDQ        SI, DI

#define STORE1(acc) \
	VMOVUPS.Z   (DI), K2, Z24 \
	VFMADD213PS Z24, Z30, acc \
	VMOVUPS     acc, K1, (DI) \
	ADDQ        SI, DI

// func mulR8C32AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)
TEXT ·mulR8C32AVX512(SB), NOSPLIT, $0-72
	ARGS
	LEAQ (R8)(DX*2), R9
	LEAQ (R9)(DX*2), R10
	LEAQ (R10)(DX*2), R11
	ZERO8(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	ZERO8(Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15)
	TESTQ CX, CX
	JLE   done

loop:
	VMOVUPS (BX), Z24
	VMOVUPS 64(BX), Z25
	FMA2((R8), Z26, Z0, Z1)
	FMA2((R8)(DX*1), Z27, Z2, Z3)
	FMA2((R9), Z28, Z4, Z5)
	FMA2((R9)(DX*1), Z29, Z6, Z7)
	FMA2((R10), Z26, Z8, Z9)
	FMA2((R10)(DX*1), Z27, Z10, Z11)
	FMA2((R11), Z28, Z12, Z13)
	FMA2((R11)(DX*1), Z29, Z14, Z15)
	ADDQ    R14, BX
	ADDQ    R13, R8
	ADDQ    R13, R9
	ADDQ    R13, R10
	ADDQ    R13, R11
	DECQ    CX
	JNZ     loop

done:
	SIGN

minus:
	MINUS

store:
	STORE2(Z0, Z1)
	STORE2(Z2, Z3)
	STORE2(Z4, Z5)
	STORE2(Z6, Z7)
	STORE2(Z8, Z9)
	STORE2(Z10, Z11)
	STORE2(Z12, Z13)
	STORE2(Z14, Z15)
	VZEROUPPER
	RET

// func mulR4C32AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)
TEXT ·mulR4C32AVX512(SB), NOSPLIT, $0-72
	ARGS
	LEAQ (R8)(DX*2), R9
	ZERO8(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TESTQ CX, CX
	JLE   done

loop:
	VMOVUPS (BX), Z24
	VMOVUPS 64(BX), Z25
	FMA2((R8), Z26, Z0, Z1)
	FMA2((R8)(DX*1), Z27, Z2, Z3)
	FMA2((R9), Z28, Z4, Z5)
	FMA2((R9)(DX*1), Z29, Z6, Z7)
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
	STORE2(Z0, Z1)
	STORE2(Z2, Z3)
	STORE2(Z4, Z5)
	STORE2(Z6, Z7)
	VZEROUPPER
	RET

// func mulR8C16AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)
TEXT ·mulR8C16AVX512(SB), NOSPLIT, $0-80
	COLUMNS
	ARGS
	LEAQ (R8)(DX*2), R9
	LEAQ (R9)(DX*2), R10
	LEAQ (R10)(DX*2), R11
	ZERO8(Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7)
	TESTQ CX, CX
	JLE   done

loop:
	VMOVUPS.Z (BX), K1, Z24
	FMA1((R8), Z26, Z0)
	FMA1((R8)(DX*1), Z27, Z1)
	FMA1((R9), Z28, Z2)
	FMA1((R9)(DX*1), Z29, Z3)
	FMA1((R10), Z26, Z4)
	FMA1((R10)(DX*1), Z27, Z5)
	FMA1((R11), Z28, Z6)
	FMA1((R11)(DX*1), Z29, Z7)
	ADDQ      R14, BX
	ADDQ      R13, R8
	ADDQ      R13, R9
	ADDQ      R13, R10
	ADDQ      R13, R11
	DECQ      CX
	JNZ       loop

done:
	SIGN

minus:
	MINUS

store:
	KANDW K1, K2, K2
	STORE1(Z0)
	STORE1(Z1)
	STORE1(Z2)
	STORE1(Z3)
	STORE1(Z4)
	STORE1(Z5)
	STORE1(Z6)
	STORE1(Z7)
	VZEROUPPER
	RET

// func mulR1C16AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner, cols int)
TEXT ·mulR1C16AVX512(SB), NOSPLIT, $0-80
	COLUMNS
	ARGS
	ZERO(Z0)
	TESTQ CX, CX
	JLE   done

loop:
	VMOVUPS.Z (BX), K1, Z24
	FMA1((R8), Z26, Z0)
	ADDQ      R14, BX
	ADDQ      R13, R8
	DECQ      CX
	JNZ       loop

done:
	SIGN

minus:
	MINUS

store:
	KANDW K1, K2, K2
	STORE1(Z0)
	VZEROUPPER
	RET

// func mulR1C64AVX512(c *float32, ldc, op int, a *float32, ars, acs int, b *float32, ldb, inner int)
TEXT ·mulR1C64AVX512(SB), NOSPLIT, $0-72
	ARGS
	ZERO(Z0)
	ZERO(Z1)
	ZERO(Z2)
	ZERO(Z3)
	TESTQ CX, CX
	JLE   done

loop:
	VBROADCASTSS (R8), Z26
	VFMADD231PS  (BX), Z26, Z0
	VFMADD231PS  64(BX), Z26, Z1
	VFMADD231PS  128(BX), Z26, Z2
	VFMADD231PS  192(BX), Z26, Z3
	ADDQ         R14, BX
	ADDQ         R13, R8
	DECQ         CX
	JNZ          loop

done:
	SIGN

minus:
	MINUS

store:
	MOVQ $128, SI
	STORE2(Z0, Z1)
	STORE2(Z2, Z3)
	VZEROUPPER
	RET
