//go:build amd64 && !noasm

#include "textflag.h"
#include "vec_amd64.h"

// n in CX becomes the elements in whole vectors of size in BX and the rest in
// CX; AX, the index, becomes 0.
#define SPLIT(size) \
	MOVQ CX, BX    \
	ANDQ $-size, BX \
	SUBQ BX, CX    \
	XORQ AX, AX

// MASK sets mask to the first CX lanes.
#define MASK(mask) \
	LEAQ    vecMask<>+128(SB), R13 \
	SHLQ    $2, CX      \
	SUBQ    CX, R13     \
	VMOVDQU (R13), mask

// func SumSquaresAVX2(x []float32) float32
TEXT ·SumSquaresAVX2(SB), NOSPLIT, $0-28
	MOVQ   x_base+0(FP), SI
	MOVQ   x_len+8(FP), CX
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	SPLIT(32)
	CMPQ   AX, BX
	JGE    rest

loop:
	VMOVUPS     0(SI)(AX*4), Y0
	VMOVUPS     32(SI)(AX*4), Y1
	VMOVUPS     64(SI)(AX*4), Y2
	VMOVUPS     96(SI)(AX*4), Y3
	VFMADD231PS Y0, Y0, Y4
	VFMADD231PS Y1, Y1, Y5
	VFMADD231PS Y2, Y2, Y6
	VFMADD231PS Y3, Y3, Y7
	ADDQ        $32, AX
	CMPQ        AX, BX
	JLT         loop

rest:
	TESTQ       CX, CX
	JZ          total
	MASK(Y8)
	VMOVDQU     32(R13), Y9
	VMOVDQU     64(R13), Y10
	VMOVDQU     96(R13), Y11
	VMASKMOVPS  0(SI)(AX*4), Y8, Y0
	VMASKMOVPS  32(SI)(AX*4), Y9, Y1
	VMASKMOVPS  64(SI)(AX*4), Y10, Y2
	VMASKMOVPS  96(SI)(AX*4), Y11, Y3
	VFMADD231PS Y0, Y0, Y4
	VFMADD231PS Y1, Y1, Y5
	VFMADD231PS Y2, Y2, Y6
	VFMADD231PS Y3, Y3, Y7

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
	VMOVSS       X4, ret+24(FP)
	VZEROUPPER
	RET

// func ScaleMulAVX2(dst, x, w []float32, s float32)
TEXT ·ScaleMulAVX2(SB), NOSPLIT, $0-76
	MOVQ         dst_base+0(FP), DI
	MOVQ         dst_len+8(FP), CX
	MOVQ         x_base+24(FP), SI
	MOVQ         w_base+48(FP), DX
	VBROADCASTSS s+72(FP), Y15
	SPLIT(8)
	CMPQ         AX, BX
	JGE          rest

loop:
	VMULPS  (SI)(AX*4), Y15, Y0
	VMULPS  (DX)(AX*4), Y0, Y0
	VMOVUPS Y0, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ      CX, CX
	JZ         done
	MASK(Y8)
	VMASKMOVPS (SI)(AX*4), Y8, Y0
	VMASKMOVPS (DX)(AX*4), Y8, Y1
	VMULPS     Y0, Y15, Y0
	VMULPS     Y1, Y0, Y0
	VMASKMOVPS Y0, Y8, (DI)(AX*4)

done:
	VZEROUPPER
	RET

// func MaxAVX2(x []float32) float32
TEXT ·MaxAVX2(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS (SI), Y4
	VMOVAPS      Y4, Y5
	VMOVAPS      Y4, Y6
	VMOVAPS      Y4, Y7
	SPLIT(32)
	CMPQ         AX, BX
	JGE          rest

loop:
	VMAXPS 0(SI)(AX*4), Y4, Y4
	VMAXPS 32(SI)(AX*4), Y5, Y5
	VMAXPS 64(SI)(AX*4), Y6, Y6
	VMAXPS 96(SI)(AX*4), Y7, Y7
	ADDQ   $32, AX
	CMPQ   AX, BX
	JLT    loop

rest:
	TESTQ      CX, CX
	JZ         total
	MASK(Y8)
	VMOVDQU    32(R13), Y9
	VMOVDQU    64(R13), Y10
	VMOVDQU    96(R13), Y11
	VMASKMOVPS 0(SI)(AX*4), Y8, Y0
	VMASKMOVPS 32(SI)(AX*4), Y9, Y1
	VMASKMOVPS 64(SI)(AX*4), Y10, Y2
	VMASKMOVPS 96(SI)(AX*4), Y11, Y3
	VBLENDVPS  Y8, Y0, Y4, Y0
	VBLENDVPS  Y9, Y1, Y5, Y1
	VBLENDVPS  Y10, Y2, Y6, Y2
	VBLENDVPS  Y11, Y3, Y7, Y3
	VMAXPS     Y0, Y4, Y4
	VMAXPS     Y1, Y5, Y5
	VMAXPS     Y2, Y6, Y6
	VMAXPS     Y3, Y7, Y7

total:
	VMAXPS       Y6, Y4, Y4
	VMAXPS       Y7, Y5, Y5
	VMAXPS       Y5, Y4, Y4
	VEXTRACTF128 $1, Y4, X5
	VMAXPS       X5, X4, X4
	VMOVHLPS     X4, X4, X5
	VMAXPS       X5, X4, X4
	VMOVSHDUP    X4, X5
	VMAXSS       X5, X4, X4
	VMOVSS       X4, ret+24(FP)
	VZEROUPPER
	RET

// a in Y0, b in Y1, cos in Y2, sin in Y3 become a·cos-b·sin in Y4 and
// b·cos+a·sin in Y1. Not fused, as in package ref.
#define ROTATE \
	VMULPS Y2, Y0, Y4 \
	VMULPS Y3, Y1, Y5 \
	VSUBPS Y5, Y4, Y4 \
	VMULPS Y2, Y1, Y1 \
	VMULPS Y3, Y0, Y0 \
	VADDPS Y0, Y1, Y1

// func RopeAVX2(x, cos, sin []float32)
TEXT ·RopeAVX2(SB), NOSPLIT, $0-72
	MOVQ x_base+0(FP), SI
	MOVQ cos_base+24(FP), R8
	MOVQ cos_len+32(FP), CX
	MOVQ sin_base+48(FP), R9
	LEAQ (SI)(CX*4), DI
	SPLIT(8)
	CMPQ AX, BX
	JGE  rest

loop:
	VMOVUPS (SI)(AX*4), Y0
	VMOVUPS (DI)(AX*4), Y1
	VMOVUPS (R8)(AX*4), Y2
	VMOVUPS (R9)(AX*4), Y3
	ROTATE
	VMOVUPS Y4, (SI)(AX*4)
	VMOVUPS Y1, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ      CX, CX
	JZ         done
	MASK(Y8)
	VMASKMOVPS (SI)(AX*4), Y8, Y0
	VMASKMOVPS (DI)(AX*4), Y8, Y1
	VMASKMOVPS (R8)(AX*4), Y8, Y2
	VMASKMOVPS (R9)(AX*4), Y8, Y3
	ROTATE
	VMASKMOVPS Y4, Y8, (SI)(AX*4)
	VMASKMOVPS Y1, Y8, (DI)(AX*4)

done:
	VZEROUPPER
	RET

// func ScaleAVX2(x []float32, s float32)
TEXT ·ScaleAVX2(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), DI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS s+24(FP), Y15
	SPLIT(8)
	CMPQ         AX, BX
	JGE          rest

loop:
	VMULPS  (DI)(AX*4), Y15, Y0
	VMOVUPS Y0, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ      CX, CX
	JZ         done
	MASK(Y8)
	VMASKMOVPS (DI)(AX*4), Y8, Y0
	VMULPS     Y0, Y15, Y0
	VMASKMOVPS Y0, Y8, (DI)(AX*4)

done:
	VZEROUPPER
	RET

// func AddAVX2(dst, x []float32)
TEXT ·AddAVX2(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ x_base+24(FP), SI
	SPLIT(8)
	CMPQ AX, BX
	JGE  rest

loop:
	VMOVUPS (DI)(AX*4), Y0
	VADDPS  (SI)(AX*4), Y0, Y0
	VMOVUPS Y0, (DI)(AX*4)
	ADDQ    $8, AX
	CMPQ    AX, BX
	JLT     loop

rest:
	TESTQ      CX, CX
	JZ         done
	MASK(Y8)
	VMASKMOVPS (DI)(AX*4), Y8, Y0
	VMASKMOVPS (SI)(AX*4), Y8, Y1
	VADDPS     Y1, Y0, Y0
	VMASKMOVPS Y0, Y8, (DI)(AX*4)

done:
	VZEROUPPER
	RET
