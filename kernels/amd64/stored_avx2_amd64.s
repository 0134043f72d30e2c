//go:build amd64 && !noasm

#include "textflag.h"

// func ScaleCodesAVX2(dst *float32, codes *byte, offset int32, scales, less *float32, n, each int)
TEXT ·ScaleCodesAVX2(SB), NOSPLIT, $0-56
	MOVQ         dst+0(FP), DI
	MOVQ         codes+8(FP), SI
	MOVL         offset+16(FP), AX
	VMOVD        AX, X13
	VPBROADCASTD X13, Y13
	MOVQ         scales+24(FP), R8
	MOVQ         less+32(FP), R9
	MOVQ         n+40(FP), CX
	MOVQ         each+48(FP), R10

group:
	VBROADCASTSS (R8), Y14
	VBROADCASTSS (R9), Y15
	MOVQ         R10, DX

sixteen:
	VPMOVSXBD (SI), Y0
	VPMOVSXBD 8(SI), Y1
	VPSUBD    Y13, Y0, Y0
	VPSUBD    Y13, Y1, Y1
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

// func BitFieldsAVX2(codes, src *byte, fields unsafe.Pointer, n int, mask byte, up, add int)
TEXT ·BitFieldsAVX2(SB), NOSPLIT, $0-56
	MOVQ         codes+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         fields+16(FP), R8
	MOVQ         n+24(FP), CX
	VPBROADCASTB mask+32(FP), Y15
	VMOVQ        up+40(FP), X14
	MOVQ         add+48(FP), AX
	NEGQ         AX
	VMOVQ        AX, X13
	VPBROADCASTQ X13, Y13 // all of the codes, or nothing

field:
	MOVBLZX (R8), AX
	MOVBLZX 1(R8), DX
	VMOVD   DX, X1
	VMOVDQU (SI)(AX*1), Y0
	VPSRLW  X1, Y0, Y0
	VPAND   Y15, Y0, Y0
	VPSLLW  X14, Y0, Y0
	VPAND   (DI), Y13, Y2
	VPOR    Y2, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ    $2, R8
	ADDQ    $32, DI
	DECQ    CX
	JNZ     field
	VZEROUPPER
	RET

// func FromF16AVX2(dst *float32, src *uint16, n int)
TEXT ·FromF16AVX2(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX

eight:
	VCVTPH2PS (SI), Y0
	VMOVUPS   Y0, (DI)
	ADDQ      $16, SI
	ADDQ      $32, DI
	SUBQ      $8, CX
	JNZ       eight
	VZEROUPPER
	RET
