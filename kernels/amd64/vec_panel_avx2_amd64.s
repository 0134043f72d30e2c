//go:build amd64 && !noasm

#include "textflag.h"
#include "vec_amd64.h"

// Rows that are missing read the row before, and a mask makes them 0.

// func transpose4AVX2(dst unsafe.Pointer, step int, src unsafe.Pointer, ld, rows, n int)
TEXT ·transpose4AVX2(SB), NOSPLIT, $0-48
	MOVQ           dst+0(FP), DI
	MOVQ           step+8(FP), R8
	MOVQ           src+16(FP), SI
	MOVQ           ld+24(FP), DX
	MOVQ           rows+32(FP), BX
	MOVQ           n+40(FP), CX
	LEAQ           vecMask<>+128(SB), R13
	MOVQ           BX, AX
	SHLQ           $2, AX
	SUBQ           AX, R13
	VBROADCASTF128 (R13), Y15
	LEAQ           (SI)(DX*1), R10
	CMPQ           BX, $2
	CMOVQLT        SI, R10
	LEAQ           (R10)(DX*1), R11
	CMPQ           BX, $3
	CMOVQLT        R10, R11
	LEAQ           (R11)(DX*1), R12
	CMPQ           BX, $4
	CMOVQLT        R11, R12
	LEAQ           (R8)(R8*2), R9
	XORQ           AX, AX
	SUBQ           $8, CX
	JLT            four

eight:
	VMOVUPS      (SI)(AX*4), Y0
	VMOVUPS      (R10)(AX*4), Y1
	VMOVUPS      (R11)(AX*4), Y2
	VMOVUPS      (R12)(AX*4), Y3
	VUNPCKLPS    Y1, Y0, Y4
	VUNPCKHPS    Y1, Y0, Y5
	VUNPCKLPS    Y3, Y2, Y6
	VUNPCKHPS    Y3, Y2, Y7
	VUNPCKLPD    Y6, Y4, Y0
	VUNPCKHPD    Y6, Y4, Y1
	VUNPCKLPD    Y7, Y5, Y2
	VUNPCKHPD    Y7, Y5, Y3
	VANDPS       Y15, Y0, Y0
	VANDPS       Y15, Y1, Y1
	VANDPS       Y15, Y2, Y2
	VANDPS       Y15, Y3, Y3
	LEAQ         (DI)(R8*4), BX
	VMOVUPS      X0, (DI)
	VMOVUPS      X1, (DI)(R8*1)
	VMOVUPS      X2, (DI)(R8*2)
	VMOVUPS      X3, (DI)(R9*1)
	VEXTRACTF128 $1, Y0, (BX)
	VEXTRACTF128 $1, Y1, (BX)(R8*1)
	VEXTRACTF128 $1, Y2, (BX)(R8*2)
	VEXTRACTF128 $1, Y3, (BX)(R9*1)
	LEAQ         (BX)(R8*4), DI
	ADDQ         $8, AX
	SUBQ         $8, CX
	JGE          eight

four:
	ADDQ      $4, CX
	JLT       done
	VMOVUPS   (SI)(AX*4), X0
	VMOVUPS   (R10)(AX*4), X1
	VMOVUPS   (R11)(AX*4), X2
	VMOVUPS   (R12)(AX*4), X3
	VUNPCKLPS X1, X0, X4
	VUNPCKHPS X1, X0, X5
	VUNPCKLPS X3, X2, X6
	VUNPCKHPS X3, X2, X7
	VUNPCKLPD X6, X4, X0
	VUNPCKHPD X6, X4, X1
	VUNPCKLPD X7, X5, X2
	VUNPCKHPD X7, X5, X3
	VANDPS    X15, X0, X0
	VANDPS    X15, X1, X1
	VANDPS    X15, X2, X2
	VANDPS    X15, X3, X3
	VMOVUPS   X0, (DI)
	VMOVUPS   X1, (DI)(R8*1)
	VMOVUPS   X2, (DI)(R8*2)
	VMOVUPS   X3, (DI)(R9*1)

done:
	VZEROUPPER
	RET

// func transpose2AVX2(dst unsafe.Pointer, step int, src unsafe.Pointer, ld, rows, n int)
TEXT ·transpose2AVX2(SB), NOSPLIT, $0-48
	MOVQ         dst+0(FP), DI
	MOVQ         step+8(FP), R8
	MOVQ         src+16(FP), SI
	MOVQ         ld+24(FP), DX
	MOVQ         rows+32(FP), BX
	MOVQ         n+40(FP), CX
	LEAQ         vecMask<>+128(SB), R13
	MOVQ         BX, AX
	SHLQ         $2, AX
	SUBQ         AX, R13
	VBROADCASTSD (R13), Y15
	LEAQ         (SI)(DX*1), R10
	CMPQ         BX, $2
	CMOVQLT      SI, R10
	LEAQ         (R8)(R8*2), R9
	XORQ         AX, AX
	SUBQ         $8, CX
	JLT          four

eight:
	VMOVUPS      (SI)(AX*4), Y0
	VMOVUPS      (R10)(AX*4), Y1
	VUNPCKLPS    Y1, Y0, Y2
	VUNPCKHPS    Y1, Y0, Y3
	VANDPS       Y15, Y2, Y2
	VANDPS       Y15, Y3, Y3
	VEXTRACTF128 $1, Y2, X4
	VEXTRACTF128 $1, Y3, X5
	LEAQ         (DI)(R8*4), BX
	VMOVLPS      X2, (DI)
	VMOVHPS      X2, (DI)(R8*1)
	VMOVLPS      X3, (DI)(R8*2)
	VMOVHPS      X3, (DI)(R9*1)
	VMOVLPS      X4, (BX)
	VMOVHPS      X4, (BX)(R8*1)
	VMOVLPS      X5, (BX)(R8*2)
	VMOVHPS      X5, (BX)(R9*1)
	LEAQ         (BX)(R8*4), DI
	ADDQ         $8, AX
	SUBQ         $8, CX
	JGE          eight

four:
	ADDQ      $4, CX
	JLT       done
	VMOVUPS   (SI)(AX*4), X0
	VMOVUPS   (R10)(AX*4), X1
	VUNPCKLPS X1, X0, X2
	VUNPCKHPS X1, X0, X3
	VANDPS    X15, X2, X2
	VANDPS    X15, X3, X3
	VMOVLPS   X2, (DI)
	VMOVHPS   X2, (DI)(R8*1)
	VMOVLPS   X3, (DI)(R8*2)
	VMOVHPS   X3, (DI)(R9*1)

done:
	VZEROUPPER
	RET
