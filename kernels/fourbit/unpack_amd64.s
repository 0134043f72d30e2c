//go:build amd64 && !noasm

#include "textflag.h"

// CONSTANTS sets the bytes of Y15 to 15 and those of Y13 to 8.
#define CONSTANTS \
	MOVL         $0x080f, AX   \
	VMOVD        AX, X13       \
	VPBROADCASTB X13, Y15      \
	VPSRLD       $8, X13, X13  \
	VPBROADCASTB X13, Y13

// func unpackAVX2(codes, src *byte, n int, flip byte)
TEXT ·unpackAVX2(SB), NOSPLIT, $0-25
	MOVQ         codes+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         n+16(FP), CX
	VPBROADCASTB flip+24(FP), Y14
	CONSTANTS

loop:
	VPMOVZXBW (SI), Y0
	VPSLLW    $4, Y0, Y1
	VPOR      Y1, Y0, Y0
	VPAND     Y15, Y0, Y0
	VPXOR     Y14, Y0, Y0
	VPSUBB    Y13, Y0, Y0
	VMOVDQU   Y0, (DI)
	ADDQ      $16, SI
	ADDQ      $32, DI
	SUBQ      $32, CX
	JNZ       loop
	VZEROUPPER
	RET

// func unpackBlocksAVX2(codes *byte, scales *uint16, src *byte, n int)
TEXT ·unpackBlocksAVX2(SB), NOSPLIT, $0-32
	MOVQ codes+0(FP), DI
	MOVQ scales+8(FP), BX
	MOVQ src+16(FP), SI
	MOVQ n+24(FP), CX
	CONSTANTS

block:
	MOVWLZX 0(SI), AX
	VMOVDQU 2(SI), X0
	MOVW    AX, (BX)
	VPSRLW  $4, X0, X1
	VPAND   X15, X0, X0
	VPAND   X15, X1, X1
	VPSUBB  X13, X0, X0
	VPSUBB  X13, X1, X1
	VMOVDQU X0, (DI)
	VMOVDQU X1, 16(DI)
	ADDQ    $18, SI
	ADDQ    $2, BX
	ADDQ    $32, DI
	DECQ    CX
	JNZ     block
	VZEROUPPER
	RET

// func foldAVX2(dst *uint32, step int, codes *byte, n int)
TEXT ·foldAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ step+8(FP), R8
	MOVQ codes+16(FP), SI
	MOVQ n+24(FP), CX
	CONSTANTS

words:
	VPAND        (SI), Y15, Y0
	VPSRLQ       $28, Y0, Y1
	VPOR         Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VSHUFPS      $0x88, X1, X0, X0
	VMOVDQU      X0, (DI)
	ADDQ         $32, SI
	ADDQ         R8, DI
	DECQ         CX
	JNZ          words
	VZEROUPPER
	RET
