//go:build amd64 && !noasm

#include "textflag.h"

DATA adamConstants<>+0(SB)/4, $0xc0000000 // -2
DATA adamConstants<>+4(SB)/4, $0x3dcccccd // 0.1 = 1 - beta1
DATA adamConstants<>+8(SB)/4, $0x3a83126f // 0.001 = 1 - beta2
DATA adamConstants<>+12(SB)/4, $0x322bcc77 // 1e-8
GLOBL adamConstants<>(SB), RODATA|NOPTR, $16

// All bits where each of the six masks keeps a value.
DATA adamKept<>+0x00(SB)/8, $0xffffffffffffffff
DATA adamKept<>+0x08(SB)/8, $0x0000000000000000
DATA adamKept<>+0x10(SB)/8, $0x00000000ffffffff
DATA adamKept<>+0x18(SB)/8, $0x00000000ffffffff
DATA adamKept<>+0x20(SB)/8, $0x00000000ffffffff
DATA adamKept<>+0x28(SB)/8, $0xffffffff00000000
DATA adamKept<>+0x30(SB)/8, $0xffffffff00000000
DATA adamKept<>+0x38(SB)/8, $0x00000000ffffffff
DATA adamKept<>+0x40(SB)/8, $0xffffffff00000000
DATA adamKept<>+0x48(SB)/8, $0xffffffff00000000
DATA adamKept<>+0x50(SB)/8, $0x0000000000000000
DATA adamKept<>+0x58(SB)/8, $0xffffffffffffffff
GLOBL adamKept<>(SB), RODATA|NOPTR, $96

// func AdamKeptAVX2(x *float32, mask *uint8, down, first, second *float32, groups int, rate, scale float32)
TEXT ·AdamKeptAVX2(SB), NOSPLIT, $0-56
	MOVQ         x+0(FP), DI
	MOVQ         mask+8(FP), R10
	MOVQ         down+16(FP), SI
	MOVQ         first+24(FP), R8
	MOVQ         second+32(FP), R9
	MOVQ         groups+40(FP), CX
	LEAQ         adamKept<>(SB), DX
	VBROADCASTSS rate+48(FP), Y8
	VBROADCASTSS scale+52(FP), Y9
	VBROADCASTSS adamConstants<>+0(SB), Y10
	VBROADCASTSS adamConstants<>+4(SB), Y11
	VBROADCASTSS adamConstants<>+8(SB), Y12
	VBROADCASTSS adamConstants<>+12(SB), Y13

loop:
	MOVBLZX     (R10), AX
	MOVBLZX     1(R10), BX
	SHLL        $4, AX
	SHLL        $4, BX
	VMOVUPS     (DX)(AX*1), X14
	VINSERTF128 $1, (DX)(BX*1), Y14, Y14
	VANDPS      (SI), Y14, Y0
	VMULPS      Y0, Y10, Y0 // g
	VMOVUPS     (R8), Y1
	VSUBPS      Y1, Y0, Y2
	VMULPS      Y11, Y2, Y2
	VADDPS      Y2, Y1, Y1
	VMOVUPS     Y1, (R8)
	VMULPS      Y0, Y0, Y3
	VMOVUPS     (R9), Y4
	VSUBPS      Y4, Y3, Y5
	VMULPS      Y12, Y5, Y5
	VADDPS      Y5, Y4, Y4
	VMOVUPS     Y4, (R9)
	VMULPS      Y9, Y4, Y6
	VSQRTPS     Y6, Y6
	VADDPS      Y13, Y6, Y6
	VMULPS      Y8, Y1, Y7
	VDIVPS      Y6, Y7, Y7
	VMOVUPS     (DI), Y0
	VSUBPS      Y7, Y0, Y0
	VANDPS      Y14, Y0, Y0
	VMOVUPS     Y0, (DI)
	ADDQ        $2, R10
	ADDQ        $32, DI
	ADDQ        $32, SI
	ADDQ        $32, R8
	ADDQ        $32, R9
	SUBQ        $2, CX
	JNZ         loop
	VZEROUPPER
	RET

DATA absSums<>+0(SB)/8, $0x7fffffffffffffff
GLOBL absSums<>(SB), RODATA|NOPTR, $8

// NEXT adds 8 elements of x.
#define NEXT(at) \
	VCVTPS2PD at(SI), Y2    \
	VCVTPS2PD at+16(SI), Y3 \
	VANDPD    Y2, Y4, Y2    \
	VANDPD    Y3, Y4, Y3    \
	VADDPD    Y2, Y0, Y0    \
	VADDPD    Y3, Y1, Y1

// func AbsSumsAVX2(sums *float64, x *float32, chunks int)
TEXT ·AbsSumsAVX2(SB), NOSPLIT, $0-24
	MOVQ         sums+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         chunks+16(FP), CX
	VBROADCASTSD absSums<>(SB), Y4

loop:
	VXORPD       Y0, Y0, Y0
	VXORPD       Y1, Y1, Y1
	NEXT(0)
	NEXT(32)
	NEXT(64)
	NEXT(96)
	NEXT(128)
	NEXT(160)
	NEXT(192)
	NEXT(224)
	VADDPD       Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPD       X1, X0, X0
	VUNPCKHPD    X0, X0, X1
	VADDSD       X1, X0, X0
	VMOVSD       X0, (DI)
	ADDQ         $256, SI
	ADDQ         $8, DI
	DECQ         CX
	JNZ          loop
	VZEROUPPER
	RET
