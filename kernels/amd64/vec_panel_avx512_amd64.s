//go:build amd64 && !noasm

#include "textflag.h"

// Rows that are missing read the row before, and a mask makes them 0.

// func transpose4AVX512(dst unsafe.Pointer, step int, src unsafe.Pointer, ld, rows, n int)
TEXT ·transpose4AVX512(SB), NOSPLIT, $0-48
	MOVQ    dst+0(FP), DI
	MOVQ    step+8(FP), R8
	MOVQ    src+16(FP), SI
	MOVQ    ld+24(FP), DX
	MOVQ    rows+32(FP), CX
	MOVL    $1, AX
	SHLL    CX, AX
	DECL    AX
	IMULL   $0x1111, AX
	KMOVW   AX, K1
	LEAQ    (SI)(DX*1), R10
	CMPQ    CX, $2
	CMOVQLT SI, R10
	LEAQ    (R10)(DX*1), R11
	CMPQ    CX, $3
	CMOVQLT R10, R11
	LEAQ    (R11)(DX*1), R12
	CMPQ    CX, $4
	CMOVQLT R11, R12
	MOVQ    n+40(FP), CX
	LEAQ    (R8)(R8*2), R9
	XORQ    AX, AX
	SUBQ    $16, CX
	JLT     done

loop:
	VMOVUPS       (SI)(AX*4), Z0
	VMOVUPS       (R10)(AX*4), Z1
	VMOVUPS       (R11)(AX*4), Z2
	VMOVUPS       (R12)(AX*4), Z3
	VUNPCKLPS     Z1, Z0, Z4
	VUNPCKHPS     Z1, Z0, Z5
	VUNPCKLPS     Z3, Z2, Z6
	VUNPCKHPS     Z3, Z2, Z7
	VSHUFPS.Z     $0x44, Z6, Z4, K1, Z0
	VSHUFPS.Z     $0xee, Z6, Z4, K1, Z1
	VSHUFPS.Z     $0x44, Z7, Z5, K1, Z2
	VSHUFPS.Z     $0xee, Z7, Z5, K1, Z3
	LEAQ          (DI)(R8*4), BX
	VMOVUPS       X0, (DI)
	VMOVUPS       X1, (DI)(R8*1)
	VMOVUPS       X2, (DI)(R8*2)
	VMOVUPS       X3, (DI)(R9*1)
	LEAQ          (BX)(R8*4), R13
	VEXTRACTF128  $1, Y0, (BX)
	VEXTRACTF128  $1, Y1, (BX)(R8*1)
	VEXTRACTF128  $1, Y2, (BX)(R8*2)
	VEXTRACTF128  $1, Y3, (BX)(R9*1)
	LEAQ          (R13)(R8*4), BX
	VEXTRACTF32X4 $2, Z0, (R13)
	VEXTRACTF32X4 $2, Z1, (R13)(R8*1)
	VEXTRACTF32X4 $2, Z2, (R13)(R8*2)
	VEXTRACTF32X4 $2, Z3, (R13)(R9*1)
	LEAQ          (BX)(R8*4), DI
	VEXTRACTF32X4 $3, Z0, (BX)
	VEXTRACTF32X4 $3, Z1, (BX)(R8*1)
	VEXTRACTF32X4 $3, Z2, (BX)(R8*2)
	VEXTRACTF32X4 $3, Z3, (BX)(R9*1)
	ADDQ          $16, AX
	SUBQ          $16, CX
	JGE           loop

done:
	VZEROUPPER
	RET
