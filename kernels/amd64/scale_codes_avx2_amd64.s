//go:build amd64 && !noasm

#include "textflag.h"

// func ScaleCodesAVX2(dst *float32, codes *byte, scales, less *float32, n, each int)
TEXT ·ScaleCodesAVX2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ codes+8(FP), SI
	MOVQ scales+16(FP), R8
	MOVQ less+24(FP), R9
	MOVQ n+32(FP), CX
	MOVQ each+40(FP), R10

group:
	VBROADCASTSS (R8), Y14
	VBROADCASTSS (R9), Y15
	MOVQ         R10, DX

sixteen:
	VPMOVSXBD (SI), Y0
	VPMOVSXBD 8(SI), Y1
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VMULPS    Y14, Y0, Y0
	VMULPS    Y14, Y1, Y1
	VSUBPS    Y15, Y0, Y0
	VSUBPS    Y15, Y1, Y1
	VMOVUPS   Y0, (DI)
	VMOVUPS   Y1, 32(DI)
	ADDQ      $16, SI
	ADDQ      $64, DI
	SUBQ      $16, DX
	JNZ       sixteen
	ADDQ      $4, R8
	ADDQ      $4, R9
	DECQ      CX
	JNZ       group
	VZEROUPPER
	RET
