//go:build amd64 && !noasm

#include "textflag.h"

DATA adamMinusTwoAVX512<>+0(SB)/4, $0xc0000000 // -2
GLOBL adamMinusTwoAVX512<>(SB), RODATA|NOPTR, $4
DATA adamFirstAVX512<>+0(SB)/4, $0x3dcccccd // 0.1 = 1 - beta1
GLOBL adamFirstAVX512<>(SB), RODATA|NOPTR, $4
DATA adamSecondAVX512<>+0(SB)/4, $0x3a83126f // 0.001 = 1 - beta2
GLOBL adamSecondAVX512<>(SB), RODATA|NOPTR, $4
DATA adamEpsilonAVX512<>+0(SB)/4, $0x322bcc77 // 1e-8
GLOBL adamEpsilonAVX512<>(SB), RODATA|NOPTR, $4

// func AdamAVX512(x, down, first, second *float32, n int, rate, scale float32)
TEXT ·AdamAVX512(SB), NOSPLIT, $0-48
	MOVQ x+0(FP), DI
	MOVQ down+8(FP), SI
	MOVQ first+16(FP), R8
	MOVQ second+24(FP), R9
	MOVQ n+32(FP), CX
	VBROADCASTSS rate+40(FP), Z8
	VBROADCASTSS scale+44(FP), Z9
	VBROADCASTSS adamMinusTwoAVX512<>(SB), Z10
	VBROADCASTSS adamFirstAVX512<>(SB), Z11
	VBROADCASTSS adamSecondAVX512<>(SB), Z12
	VBROADCASTSS adamEpsilonAVX512<>(SB), Z13

loop:
	VMULPS  (SI), Z10, Z0 // g
	VMOVUPS (R8), Z1
	VSUBPS  Z1, Z0, Z2
	VMULPS  Z11, Z2, Z2
	VADDPS  Z2, Z1, Z1
	VMOVUPS Z1, (R8)
	VMULPS  Z0, Z0, Z3
	VMOVUPS (R9), Z4
	VSUBPS  Z4, Z3, Z5
	VMULPS  Z12, Z5, Z5
	VADDPS  Z5, Z4, Z4
	VMOVUPS Z4, (R9)
	VMULPS  Z9, Z4, Z6
	VSQRTPS Z6, Z6
	VADDPS  Z13, Z6, Z6
	VMULPS  Z8, Z1, Z7
	VDIVPS  Z6, Z7, Z7
	VMOVUPS (DI), Z0
	VSUBPS  Z7, Z0, Z0
	VMOVUPS Z0, (DI)
	ADDQ    $64, DI
	ADDQ    $64, SI
	ADDQ    $64, R8
	ADDQ    $64, R9
	SUBQ    $16, CX
	JNZ     loop
	VZEROUPPER
	RET
