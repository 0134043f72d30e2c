//go:build amd64 && !noasm

#include "textflag.h"
#include "vec_exp_amd64.h"

#define EXP_CONSTANTS \
	VBROADCASTSS EXP_LO, Z16    \
	VBROADCASTSS EXP_HI, Z17    \
	VBROADCASTSS EXP_LOG2E, Z18 \
	VBROADCASTSS EXP_MAGIC, Z19 \
	VBROADCASTSS EXP_LN2HI, Z20 \
	VBROADCASTSS EXP_LN2LO, Z21 \
	VBROADCASTSS EXP_ONE, Z22   \
	VBROADCASTSS EXP_C2, Z23    \
	VBROADCASTSS EXP_C3, Z24    \
	VBROADCASTSS EXP_C4, Z25    \
	VBROADCASTSS EXP_C5, Z26    \
	VBROADCASTSS EXP_C6, Z27

// EXP sets Z3 to exp(Z0), using Z1 and Z2: step for step the arithmetic of AVX2,
// so that both give the same bits.
#define EXP \
	VMAXPS       Z0, Z16, Z0  \
	VMINPS       Z0, Z17, Z0  \
	VMOVAPS      Z19, Z1      \
	VFMADD231PS  Z18, Z0, Z1  \
	VSUBPS       Z19, Z1, Z2  \
	VFNMADD231PS Z20, Z2, Z0  \
	VFNMADD231PS Z21, Z2, Z0  \
	VMOVAPS      Z27, Z3      \
	VFMADD213PS  Z26, Z0, Z3  \
	VFMADD213PS  Z25, Z0, Z3  \
	VFMADD213PS  Z24, Z0, Z3  \
	VFMADD213PS  Z23, Z0, Z3  \
	VFMADD213PS  Z22, Z0, Z3  \
	VFMADD213PS  Z22, Z0, Z3  \
	VPSLLD       $23, Z1, Z1  \
	VPADDD       Z22, Z1, Z1  \
	VMULPS       Z1, Z3, Z3

// One vector of x at offset: scaled, its exponentials stored and summed.
#define EXP_SUM(offset, sum) \
	VMOVUPS offset(DI)(AX*4), Z0 \
	VSUBPS  Z15, Z0, Z0  \
	VMULPS  Z14, Z0, Z0  \
	EXP                  \
	VMOVUPS Z3, offset(DI)(AX*4) \
	VADDPS  Z3, sum, sum

// The same for the lanes of a mask.
#define EXP_SUM_REST(offset, sum, mask) \
	VMOVUPS.Z offset(DI)(AX*4), mask, Z0 \
	VSUBPS    Z15, Z0, Z0 \
	VMULPS    Z14, Z0, Z0 \
	EXP                   \
	VMOVUPS   Z3, mask, offset(DI)(AX*4) \
	VADDPS    Z3, sum, mask, sum

// func ExpSumAVX512(x []float32, scale, max float32) float32
TEXT ·ExpSumAVX512(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), DI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS scale+24(FP), Z14
	VBROADCASTSS max+28(FP), Z15
	EXP_CONSTANTS
	VPXORD       Z4, Z4, Z4
	VPXORD       Z5, Z5, Z5
	MOVQ         CX, BX
	ANDQ         $-32, BX
	XORQ         AX, AX
	CMPQ         AX, BX
	JGE          rest

loop:
	EXP_SUM(0, Z4)
	EXP_SUM(64, Z5)
	ADDQ $32, AX
	CMPQ AX, BX
	JLT  loop

rest:
	SUBQ  BX, CX
	JZ    total
	MOVL  $1, DX
	SHLQ  CX, DX
	DECQ  DX
	KMOVW DX, K1
	SHRQ  $16, DX
	KMOVW DX, K2
	EXP_SUM_REST(0, Z4, K1)
	EXP_SUM_REST(64, Z5, K2)

total:
	VADDPS        Z5, Z4, Z4
	VEXTRACTF64X4 $1, Z4, Y5
	VADDPS        Y5, Y4, Y4
	VEXTRACTF128  $1, Y4, X5
	VADDPS        X5, X4, X4
	VMOVHLPS      X4, X4, X5
	VADDPS        X5, X4, X4
	VMOVSHDUP     X4, X5
	VADDSS        X5, X4, X4
	VMOVSS        X4, ret+32(FP)
	VZEROUPPER
	RET

// SWIGLU sets Z3 to gate/(1+exp(-gate)) of the gate in Z0. The gate is kept from
// -Inf, which over the Inf below it would be NaN.
#define SWIGLU \
	VMAXPS Z0, Z14, Z4 \
	VXORPS Z15, Z0, Z0 \
	EXP                \
	VADDPS Z22, Z3, Z3 \
	VDIVPS Z3, Z4, Z3

// func SwiGLUAVX512(dst, gate, up []float32)
TEXT ·SwiGLUAVX512(SB), NOSPLIT, $0-72
	MOVQ         dst_base+0(FP), DI
	MOVQ         dst_len+8(FP), CX
	MOVQ         gate_base+24(FP), SI
	MOVQ         up_base+48(FP), R8
	EXP_CONSTANTS
	VBROADCASTSS EXP_NEG_HI, Z14
	VBROADCASTSS EXP_SIGN, Z15
	MOVQ         CX, BX
	ANDQ         $-16, BX
	XORQ         AX, AX
	CMPQ         AX, BX
	JGE          rest

loop:
	VMOVUPS (SI)(AX*4), Z0
	SWIGLU
	VMULPS  (R8)(AX*4), Z3, Z3
	VMOVUPS Z3, (DI)(AX*4)
	ADDQ    $16, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	SUBQ      BX, CX
	JZ        done
	MOVL      $1, DX
	SHLL      CX, DX
	DECL      DX
	KMOVW     DX, K1
	VMOVUPS.Z (SI)(AX*4), K1, Z0
	VMOVUPS.Z (R8)(AX*4), K1, Z5
	SWIGLU
	VMULPS    Z5, Z3, Z3
	VMOVUPS   Z3, K1, (DI)(AX*4)

done:
	VZEROUPPER
	RET
