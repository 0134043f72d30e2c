//go:build amd64 && !noasm

#include "textflag.h"

// n in CX becomes the elements in whole vectors of size in BX and the rest in
// CX; AX, the index, becomes 0.
#define SPLIT(size) \
	MOVQ CX, BX    \
	ANDQ $-size, BX \
	SUBQ BX, CX    \
	XORQ AX, AX

// MASK sets DX to CX ones, and K1 to the low 16 of them.
#define MASK \
	MOVL  $1, DX \
	SHLQ  CX, DX \
	DECQ  DX     \
	KMOVW DX, K1

// func SumSquaresAVX512(x []float32) float32
TEXT ·SumSquaresAVX512(SB), NOSPLIT, $0-28
	MOVQ   x_base+0(FP), SI
	MOVQ   x_len+8(FP), CX
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	SPLIT(32)
	CMPQ   AX, BX
	JGE    rest

loop:
	VMOVUPS     0(SI)(AX*4), Z0
	VMOVUPS     64(SI)(AX*4), Z1
	VFMADD231PS Z0, Z0, Z4
	VFMADD231PS Z1, Z1, Z5
	ADDQ        $32, AX
	CMPQ        AX, BX
	JLT         loop

rest:
	TESTQ       CX, CX
	JZ          total
	MASK
	SHRQ        $16, DX
	KMOVW       DX, K2
	VMOVUPS.Z   0(SI)(AX*4), K1, Z0
	VMOVUPS.Z   64(SI)(AX*4), K2, Z1
	VFMADD231PS Z0, Z0, Z4
	VFMADD231PS Z1, Z1, Z5

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
	VMOVSS        X4, ret+24(FP)
	VZEROUPPER
	RET

// func ScaleMulAVX512(dst, x, w []float32, s float32)
TEXT ·ScaleMulAVX512(SB), NOSPLIT, $0-76
	MOVQ         dst_base+0(FP), DI
	MOVQ         dst_len+8(FP), CX
	MOVQ         x_base+24(FP), SI
	MOVQ         w_base+48(FP), R8
	VBROADCASTSS s+72(FP), Z15
	SPLIT(16)
	CMPQ         AX, BX
	JGE          rest

loop:
	VMULPS  (SI)(AX*4), Z15, Z0
	VMULPS  (R8)(AX*4), Z0, Z0
	VMOVUPS Z0, (DI)(AX*4)
	ADDQ    $16, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ     CX, CX
	JZ        done
	MASK
	VMOVUPS.Z (SI)(AX*4), K1, Z0
	VMOVUPS.Z (R8)(AX*4), K1, Z1
	VMULPS    Z0, Z15, Z0
	VMULPS    Z1, Z0, Z0
	VMOVUPS   Z0, K1, (DI)(AX*4)

done:
	VZEROUPPER
	RET

// func MaxAVX512(x []float32) float32
TEXT ·MaxAVX512(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS (SI), Z4
	VMOVAPS      Z4, Z5
	SPLIT(32)
	CMPQ         AX, BX
	JGE          rest

loop:
	VMAXPS 0(SI)(AX*4), Z4, Z4
	VMAXPS 64(SI)(AX*4), Z5, Z5
	ADDQ   $32, AX
	CMPQ   AX, BX
	JLT    loop

rest:
	TESTQ  CX, CX
	JZ     total
	MASK
	SHRQ   $16, DX
	KMOVW  DX, K2
	VMAXPS 0(SI)(AX*4), Z4, K1, Z4
	VMAXPS 64(SI)(AX*4), Z5, K2, Z5

total:
	VMAXPS        Z5, Z4, Z4
	VEXTRACTF64X4 $1, Z4, Y5
	VMAXPS        Y5, Y4, Y4
	VEXTRACTF128  $1, Y4, X5
	VMAXPS        X5, X4, X4
	VMOVHLPS      X4, X4, X5
	VMAXPS        X5, X4, X4
	VMOVSHDUP     X4, X5
	VMAXSS        X5, X4, X4
	VMOVSS        X4, ret+24(FP)
	VZEROUPPER
	RET

// a in Z0, b in Z1, cos in Z2, sin in Z3 become a·cos-b·sin in Z4 and
// b·cos+a·sin in Z1. Not fused, as in package ref.
#define ROTATE \
	VMULPS Z2, Z0, Z4 \
	VMULPS Z3, Z1, Z5 \
	VSUBPS Z5, Z4, Z4 \
	VMULPS Z2, Z1, Z1 \
	VMULPS Z3, Z0, Z0 \
	VADDPS Z0, Z1, Z1

// func RopeAVX512(x, cos, sin []float32)
TEXT ·RopeAVX512(SB), NOSPLIT, $0-72
	MOVQ x_base+0(FP), SI
	MOVQ cos_base+24(FP), R8
	MOVQ cos_len+32(FP), CX
	MOVQ sin_base+48(FP), R9
	LEAQ (SI)(CX*4), DI
	SPLIT(16)
	CMPQ AX, BX
	JGE  rest

loop:
	VMOVUPS (SI)(AX*4), Z0
	VMOVUPS (DI)(AX*4), Z1
	VMOVUPS (R8)(AX*4), Z2
	VMOVUPS (R9)(AX*4), Z3
	ROTATE
	VMOVUPS Z4, (SI)(AX*4)
	VMOVUPS Z1, (DI)(AX*4)
	ADDQ    $16, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ     CX, CX
	JZ        done
	MASK
	VMOVUPS.Z (SI)(AX*4), K1, Z0
	VMOVUPS.Z (DI)(AX*4), K1, Z1
	VMOVUPS.Z (R8)(AX*4), K1, Z2
	VMOVUPS.Z (R9)(AX*4), K1, Z3
	ROTATE
	VMOVUPS   Z4, K1, (SI)(AX*4)
	VMOVUPS   Z1, K1, (DI)(AX*4)

done:
	VZEROUPPER
	RET

// func ScaleAVX512(x []float32, s float32)
TEXT ·ScaleAVX512(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), DI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS s+24(FP), Z15
	SPLIT(16)
	CMPQ         AX, BX
	JGE          rest

loop:
	VMULPS  (DI)(AX*4), Z15, Z0
	VMOVUPS Z0, (DI)(AX*4)
	ADDQ    $16, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ     CX, CX
	JZ        done
	MASK
	VMOVUPS.Z (DI)(AX*4), K1, Z0
	VMULPS    Z0, Z15, Z0
	VMOVUPS   Z0, K1, (DI)(AX*4)

done:
	VZEROUPPER
	RET

// func AddAVX512(dst, x []float32)
TEXT ·AddAVX512(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ x_base+24(FP), SI
	SPLIT(16)
	CMPQ AX, BX
	JGE  rest

loop:
	VMOVUPS (DI)(AX*4), Z0
	VADDPS  (SI)(AX*4), Z0, Z0
	VMOVUPS Z0, (DI)(AX*4)
	ADDQ    $16, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ     CX, CX
	JZ        done
	MASK
	VMOVUPS.Z (DI)(AX*4), K1, Z0
	VMOVUPS.Z (SI)(AX*4), K1, Z1
	VADDPS    Z1, Z0, Z0
	VMOVUPS   Z0, K1, (DI)(AX*4)

done:
	VZEROUPPER
	RET
