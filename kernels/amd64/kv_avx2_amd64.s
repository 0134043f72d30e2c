//go:build amd64 && !noasm

#include "textflag.h"
#include "vec_amd64.h"

// Signs of the second of each pair, of two, of four.
DATA hadamardSigns<>+0x00(SB)/8, $0x8000000000000000
DATA hadamardSigns<>+0x08(SB)/8, $0x8000000000000000
DATA hadamardSigns<>+0x10(SB)/8, $0x8000000000000000
DATA hadamardSigns<>+0x18(SB)/8, $0x8000000000000000
DATA hadamardSigns<>+0x20(SB)/8, $0
DATA hadamardSigns<>+0x28(SB)/8, $0x8000000080000000
DATA hadamardSigns<>+0x30(SB)/8, $0
DATA hadamardSigns<>+0x38(SB)/8, $0x8000000080000000
DATA hadamardSigns<>+0x40(SB)/8, $0
DATA hadamardSigns<>+0x48(SB)/8, $0
DATA hadamardSigns<>+0x50(SB)/8, $0x8000000080000000
DATA hadamardSigns<>+0x58(SB)/8, $0x8000000080000000
GLOBL hadamardSigns<>(SB), RODATA|NOPTR, $96

// func CodesToBF16AVX2(dst []uint16, src []int8)
TEXT ·CodesToBF16AVX2(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ src_base+24(FP), SI
	MOVQ CX, BX
	ANDQ $-16, BX
	XORQ AX, AX
	JMP  test

loop:
	VPMOVSXBD 0(SI)(AX*1), Y0
	VPMOVSXBD 8(SI)(AX*1), Y1
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VPSRLD    $16, Y0, Y0
	VPSRLD    $16, Y1, Y1
	VPACKUSDW Y1, Y0, Y0
	VPERMQ    $0xd8, Y0, Y0
	VMOVDQU   Y0, (DI)(AX*2)
	ADDQ      $16, AX

test:
	CMPQ AX, BX
	JLT  loop
	JMP  restTest

rest:
	MOVBLSX   (SI)(AX*1), DX
	VMOVD     DX, X0
	VCVTDQ2PS X0, X0
	VPEXTRW   $1, X0, (DI)(AX*2)
	INCQ      AX

restTest:
	CMPQ AX, CX
	JLT  rest
	VZEROUPPER
	RET

// func MaxAbsAVX2(x []float32) float32
TEXT ·MaxAbsAVX2(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	MOVL         $0x7fffffff, DX
	VMOVD        DX, X15
	VPBROADCASTD X15, Y15
	VPXOR        Y4, Y4, Y4
	VPXOR        Y5, Y5, Y5
	MOVQ         CX, BX
	ANDQ         $-16, BX
	SUBQ         BX, CX
	XORQ         AX, AX
	JMP          test

	// As integers magnitudes have the order that they have as floats.
loop:
	VPAND   0(SI)(AX*4), Y15, Y0
	VPAND   32(SI)(AX*4), Y15, Y1
	VPMAXSD Y0, Y4, Y4
	VPMAXSD Y1, Y5, Y5
	ADDQ    $16, AX

test:
	CMPQ       AX, BX
	JLT        loop
	TESTQ      CX, CX
	JZ         total
	LEAQ       vecMask<>+128(SB), R13
	SHLQ       $2, CX
	SUBQ       CX, R13
	VMOVDQU    0(R13), Y8
	VMOVDQU    32(R13), Y9
	VMASKMOVPS 0(SI)(AX*4), Y8, Y0
	VMASKMOVPS 32(SI)(AX*4), Y9, Y1
	VPAND      Y15, Y0, Y0
	VPAND      Y15, Y1, Y1
	VPMAXSD    Y0, Y4, Y4
	VPMAXSD    Y1, Y5, Y5

total:
	VPMAXSD      Y5, Y4, Y4
	VEXTRACTI128 $1, Y4, X5
	VPMAXSD      X5, X4, X4
	VPSHUFD      $0x4e, X4, X5
	VPMAXSD      X5, X4, X4
	VPSHUFD      $0xb1, X4, X5
	VPMAXSD      X5, X4, X4
	VMOVSS       X4, ret+24(FP)
	VZEROUPPER
	RET

// func Int8CodesAVX2(codes []int8, x []float32, scale float32)
TEXT ·Int8CodesAVX2(SB), NOSPLIT, $0-52
	MOVQ         codes_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	MOVQ         x_len+32(FP), CX
	VBROADCASTSS scale+48(FP), Y15
	MOVQ         CX, BX
	ANDQ         $-8, BX
	XORQ         AX, AX
	JMP          test

loop:
	VMOVUPS      (SI)(AX*4), Y0
	VDIVPS       Y15, Y0, Y0
	VCVTPS2DQ    Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPACKSSDW    X1, X0, X0
	VPACKSSWB    X0, X0, X0
	VMOVQ        X0, (DI)(AX*1)
	ADDQ         $8, AX

test:
	CMPQ AX, BX
	JLT  loop
	JMP  restTest

rest:
	VMOVSS    (SI)(AX*4), X0
	VDIVSS    X15, X0, X0
	VCVTSS2SI X0, DX
	MOVB      DX, (DI)(AX*1)
	INCQ      AX

restTest:
	CMPQ AX, CX
	JLT  rest
	VZEROUPPER
	RET

// func KeyScoresAVX2(y, scales *[16]float32, q, c []float32)
TEXT ·KeyScoresAVX2(SB), NOSPLIT, $0-64
	MOVQ   q_base+16(FP), SI
	MOVQ   q_len+24(FP), CX
	MOVQ   c_base+40(FP), R8
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	MOVQ   CX, BX
	ANDQ   $-32, BX
	SUBQ   BX, CX
	XORQ   AX, AX
	JMP    test

loop:
	VMOVUPS     0(SI)(AX*4), Y0
	VMOVUPS     32(SI)(AX*4), Y1
	VMOVUPS     64(SI)(AX*4), Y2
	VMOVUPS     96(SI)(AX*4), Y3
	VFMADD231PS 0(R8)(AX*4), Y0, Y4
	VFMADD231PS 32(R8)(AX*4), Y1, Y5
	VFMADD231PS 64(R8)(AX*4), Y2, Y6
	VFMADD231PS 96(R8)(AX*4), Y3, Y7
	ADDQ        $32, AX

test:
	CMPQ        AX, BX
	JLT         loop
	TESTQ       CX, CX
	JZ          total
	LEAQ        vecMask<>+128(SB), R13
	SHLQ        $2, CX
	SUBQ        CX, R13
	VMOVDQU     0(R13), Y8
	VMOVDQU     32(R13), Y9
	VMOVDQU     64(R13), Y10
	VMOVDQU     96(R13), Y11
	VMASKMOVPS  0(SI)(AX*4), Y8, Y0
	VMASKMOVPS  32(SI)(AX*4), Y9, Y1
	VMASKMOVPS  64(SI)(AX*4), Y10, Y2
	VMASKMOVPS  96(SI)(AX*4), Y11, Y3
	VMASKMOVPS  0(R8)(AX*4), Y8, Y12
	VMASKMOVPS  32(R8)(AX*4), Y9, Y13
	VMASKMOVPS  64(R8)(AX*4), Y10, Y14
	VMASKMOVPS  96(R8)(AX*4), Y11, Y15
	VFMADD231PS Y12, Y0, Y4
	VFMADD231PS Y13, Y1, Y5
	VFMADD231PS Y14, Y2, Y6
	VFMADD231PS Y15, Y3, Y7

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
	VBROADCASTSS X4, Y4
	MOVQ         y+0(FP), DI
	MOVQ         scales+8(FP), DX
	VMOVUPS      0(DI), Y0
	VMOVUPS      32(DI), Y1
	VMULPS       0(DX), Y0, Y0
	VMULPS       32(DX), Y1, Y1
	VADDPS       Y4, Y0, Y0
	VADDPS       Y4, Y1, Y1
	VMOVUPS      Y0, 0(DI)
	VMOVUPS      Y1, 32(DI)
	VZEROUPPER
	RET

// func HadamardAVX2(x []float32, block int)
TEXT ·HadamardAVX2(SB), NOSPLIT, $0-32
	MOVQ    x_base+0(FP), DI
	MOVQ    x_len+8(FP), CX
	MOVQ    block+24(FP), R9
	LEAQ    (DI)(CX*4), R10
	VMOVUPS hadamardSigns<>+0(SB), Y13
	VMOVUPS hadamardSigns<>+32(SB), Y14
	VMOVUPS hadamardSigns<>+64(SB), Y15
	MOVQ    DI, SI
	JMP     eightTest

// Halves of 1, 2 and 4: the other one plus this one, minus it in the second.
eight:
	VMOVUPS    (SI), Y0
	VPERMILPS  $0xb1, Y0, Y1
	VXORPS     Y13, Y0, Y0
	VADDPS     Y0, Y1, Y0
	VPERMILPS  $0x4e, Y0, Y1
	VXORPS     Y14, Y0, Y0
	VADDPS     Y0, Y1, Y0
	VPERM2F128 $1, Y0, Y0, Y1
	VXORPS     Y15, Y0, Y0
	VADDPS     Y0, Y1, Y0
	VMOVUPS    Y0, (SI)
	ADDQ       $32, SI

eightTest:
	CMPQ SI, R10
	JLT  eight

	// R8 is the half and R9 the block, both in bytes.
	MOVQ $32, R8
	SHLQ $2, R9

half:
	CMPQ R8, R9
	JGE  done
	MOVQ DI, SI

pair:
	CMPQ SI, R10
	JGE  next
	LEAQ (SI)(R8*1), R11
	LEAQ (SI)(R8*2), R12
	MOVQ R11, BX

butterfly:
	VMOVUPS (SI), Y0
	VMOVUPS (R11), Y1
	VADDPS  Y1, Y0, Y2
	VSUBPS  Y1, Y0, Y3
	VMOVUPS Y2, (SI)
	VMOVUPS Y3, (R11)
	ADDQ    $32, SI
	ADDQ    $32, R11
	CMPQ    SI, BX
	JLT     butterfly
	MOVQ    R12, SI
	JMP     pair

next:
	SHLQ $1, R8
	JMP  half

done:
	VZEROUPPER
	RET
