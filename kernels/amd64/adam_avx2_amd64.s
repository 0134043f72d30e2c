//go:build amd64 && !noasm

#include "textflag.h"

DATA adamMinusTwoAVX2<>+0(SB)/4, $0xc0000000 // -2
GLOBL adamMinusTwoAVX2<>(SB), RODATA|NOPTR, $4
DATA adamFirstAVX2<>+0(SB)/4, $0x3dcccccd // 0.1 = 1 - beta1
GLOBL adamFirstAVX2<>(SB), RODATA|NOPTR, $4
DATA adamSecondAVX2<>+0(SB)/4, $0x3a83126f // 0.001 = 1 - beta2
GLOBL adamSecondAVX2<>(SB), RODATA|NOPTR, $4
DATA adamEpsilonAVX2<>+0(SB)/4, $0x322bcc77 // 1e-8
GLOBL adamEpsilonAVX2<>(SB), RODATA|NOPTR, $4

// func AdamAVX2(x, down, first, second *float32, n int, rate, scale float32)
TEXT ·AdamAVX2(SB), NOSPLIT, $0-48
	MOVQ x+0(FP), DI
	MOVQ down+8(FP), SI
	MOVQ first+16(FP), R8
	MOVQ second+24(FP), R9
	MOVQ n+32(FP), CX
	VBROADCASTSS rate+40(FP), Y8
	VBROADCASTSS scale+44(FP), Y9
	VBROADCASTSS adamMinusTwoAVX2<>(SB), Y10
	VBROADCASTSS adamFirstAVX2<>(SB), Y11
	VBROADCASTSS adamSecondAVX2<>(SB), Y12
	VBROADCASTSS adamEpsilonAVX2<>(SB), Y13

loop:
	VMULPS  (SI), Y10, Y0 // g
	VMOVUPS (R8), Y1
	VSUBPS  Y1, Y0, Y2
	VMULPS  Y11, Y2, Y2
	VADDPS  Y2, Y1, Y1
	VMOVUPS Y1, (R8)
	VMULPS  Y0, Y0, Y3
	VMOVUPS (R9), Y4
	VSUBPS  Y4, Y3, Y5
	VMULPS  Y12, Y5, Y5
	VADDPS  Y5, Y4, Y4
	VMOVUPS Y4, (R9)
	VMULPS  Y9, Y4, Y6
	VSQRTPS Y6, Y6
	VADDPS  Y13, Y6, Y6
	VMULPS  Y8, Y1, Y7
	VDIVPS  Y6, Y7, Y7
	VMOVUPS (DI), Y0
	VSUBPS  Y7, Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ    $32, DI
	ADDQ    $32, SI
	ADDQ    $32, R8
	ADDQ    $32, R9
	SUBQ    $8, CX
	JNZ     loop
	VZEROUPPER
	RET
