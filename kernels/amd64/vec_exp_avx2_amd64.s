//go:build amd64 && !noasm

#include "textflag.h"
#include "vec_amd64.h"
#include "vec_exp_amd64.h"

#define EXP_CONSTANTS \
	VBROADCASTSS EXP_LO, Y8     \
	VBROADCASTSS EXP_HI, Y9     \
	VBROADCASTSS EXP_LOG2E, Y10 \
	VBROADCASTSS EXP_MAGIC, Y11 \
	VBROADCASTSS EXP_LN2HI, Y12 \
	VBROADCASTSS EXP_LN2LO, Y13

// EXP sets Y3 to exp(Y0), using Y1 and Y2. A NaN stays one, as it is the operand
// that VMAXPS and VMINPS return.
#define EXP \
	VMAXPS       Y0, Y8, Y0   \
	VMINPS       Y0, Y9, Y0   \
	VMOVAPS      Y11, Y1      \
	VFMADD231PS  Y10, Y0, Y1  \
	VSUBPS       Y11, Y1, Y2  \
	VFNMADD231PS Y12, Y2, Y0  \
	VFNMADD231PS Y13, Y2, Y0  \
	VBROADCASTSS EXP_C6, Y3   \
	VBROADCASTSS EXP_C5, Y2   \
	VFMADD213PS  Y2, Y0, Y3   \
	VBROADCASTSS EXP_C4, Y2   \
	VFMADD213PS  Y2, Y0, Y3   \
	VBROADCASTSS EXP_C3, Y2   \
	VFMADD213PS  Y2, Y0, Y3   \
	VBROADCASTSS EXP_C2, Y2   \
	VFMADD213PS  Y2, Y0, Y3   \
	VBROADCASTSS EXP_ONE, Y2  \
	VFMADD213PS  Y2, Y0, Y3   \
	VFMADD213PS  Y2, Y0, Y3   \
	VPSLLD       $23, Y1, Y1  \
	VPADDD       Y2, Y1, Y1   \
	VMULPS       Y1, Y3, Y3

// One vector of x at offset: scaled, its exponentials stored and summed.
#define EXP_SUM(offset, sum) \
	VMOVUPS offset(DI)(AX*4), Y0 \
	VSUBPS  Y15, Y0, Y0  \
	VMULPS  Y14, Y0, Y0  \
	EXP                  \
	VMOVUPS Y3, offset(DI)(AX*4) \
	VADDPS  Y3, sum, sum

// The same for the lanes of the mask at R13. Four of them do the last 31
// elements, so that each element meets its own sum.
#define EXP_SUM_REST(offset, sum) \
	VMOVDQU    offset(R13), Y2   \
	VMASKMOVPS offset(DI)(AX*4), Y2, Y0 \
	VSUBPS     Y15, Y0, Y0 \
	VMULPS     Y14, Y0, Y0 \
	EXP                    \
	VMOVDQU    offset(R13), Y2   \
	VMASKMOVPS Y3, Y2, offset(DI)(AX*4) \
	VANDPS     Y2, Y3, Y3  \
	VADDPS     Y3, sum, sum

// func ExpSumAVX2(x []float32, scale, max float32) float32
TEXT ·ExpSumAVX2(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), DI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS scale+24(FP), Y14
	VBROADCASTSS max+28(FP), Y15
	EXP_CONSTANTS
	VXORPS       Y4, Y4, Y4
	VXORPS       Y5, Y5, Y5
	VXORPS       Y6, Y6, Y6
	VXORPS       Y7, Y7, Y7
	MOVQ         CX, BX
	ANDQ         $-32, BX
	XORQ         AX, AX
	CMPQ         AX, BX
	JGE          rest

loop:
	EXP_SUM(0, Y4)
	EXP_SUM(32, Y5)
	EXP_SUM(64, Y6)
	EXP_SUM(96, Y7)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop

rest:
	SUBQ BX, CX
	JZ   total
	LEAQ vecMask<>+128(SB), R13
	SHLQ $2, CX
	SUBQ CX, R13
	EXP_SUM_REST(0, Y4)
	EXP_SUM_REST(32, Y5)
	EXP_SUM_REST(64, Y6)
	EXP_SUM_REST(96, Y7)

total:
	VADDPS       Y6, Y4, Y4
	VADDPS       Y7, Y5, Y5
	VADDPS       Y5, Y4, Y4
	VEXTRACTF128 $1, Y4, X5
	VADDPS       X5, X4, X4
	VMOVHLPS     X4, X4, X5
	VADDPS       X5, X4, X4
	VMOVSHDUP    X4, X5
	VADDSS       X5, X4, X4
	VMOVSS       X4, ret+32(FP)
	VZEROUPPER
	RET

// SWIGLU sets Y3 to gate/(1+exp(-gate)) of the gate in Y0. The gate is kept from
// -Inf, which over the Inf below it would be NaN.
#define SWIGLU \
	VMAXPS       Y0, Y14, Y4 \
	VXORPS       Y15, Y0, Y0 \
	EXP                      \
	VBROADCASTSS EXP_ONE, Y2 \
	VADDPS       Y2, Y3, Y3  \
	VDIVPS       Y3, Y4, Y3

// func SwiGLUAVX2(dst, gate, up []float32)
TEXT ·SwiGLUAVX2(SB), NOSPLIT, $0-72
	MOVQ         dst_base+0(FP), DI
	MOVQ         dst_len+8(FP), CX
	MOVQ         gate_base+24(FP), SI
	MOVQ         up_base+48(FP), DX
	EXP_CONSTANTS
	VBROADCASTSS EXP_NEG_HI, Y14
	VBROADCASTSS EXP_SIGN, Y15
	MOVQ         CX, BX
	ANDQ         $-8, BX
	XORQ         AX, AX
	CMPQ         AX, BX
	JGE          rest

loop:
	VMOVUPS (SI)(AX*4), Y0
	SWIGLU
	VMULPS  (DX)(AX*4), Y3, Y3
	VMOVUPS Y3, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	SUBQ       BX, CX
	JZ         done
	LEAQ       vecMask<>+128(SB), R13
	SHLQ       $2, CX
	SUBQ       CX, R13
	VMOVDQU    (R13), Y5
	VMASKMOVPS (SI)(AX*4), Y5, Y0
	VMASKMOVPS (DX)(AX*4), Y5, Y6
	SWIGLU
	VMULPS     Y6, Y3, Y3
	VMASKMOVPS Y3, Y5, (DI)(AX*4)

done:
	VZEROUPPER
	RET
