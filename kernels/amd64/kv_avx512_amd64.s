//go:build amd64 && !noasm

#include "textflag.h"

// n in CX becomes whole vectors in BX and the rest in CX, AX becomes 0.
#define SPLIT \
	MOVQ CX, BX   \
	ANDQ $-16, BX \
	SUBQ BX, CX   \
	XORQ AX, AX

// MASK sets K1 to CX ones.
#define MASK \
	MOVL  $1, DX \
	SHLL  CX, DX \
	DECL  DX     \
	KMOVW DX, K1

// The quadwords of a pack of two vectors in the order of their lanes.
DATA unpackOrder<>+0x00(SB)/8, $0
DATA unpackOrder<>+0x08(SB)/8, $2
DATA unpackOrder<>+0x10(SB)/8, $4
DATA unpackOrder<>+0x18(SB)/8, $6
DATA unpackOrder<>+0x20(SB)/8, $1
DATA unpackOrder<>+0x28(SB)/8, $3
DATA unpackOrder<>+0x30(SB)/8, $5
DATA unpackOrder<>+0x38(SB)/8, $7
GLOBL unpackOrder<>(SB), RODATA|NOPTR, $64

// func CodesToBF16AVX512(dst []uint16, src []int8)
TEXT ·CodesToBF16AVX512(SB), NOSPLIT, $0-48
	MOVQ      dst_base+0(FP), DI
	MOVQ      dst_len+8(FP), CX
	MOVQ      src_base+24(FP), SI
	VMOVDQU64 unpackOrder<>(SB), Z15
	XORQ      AX, AX
	MOVQ      CX, BX
	ANDQ      $-32, BX
	JMP       wideTest

wide:
	VPMOVSXBD 0(SI)(AX*1), Z0
	VPMOVSXBD 16(SI)(AX*1), Z1
	VCVTDQ2PS Z0, Z0
	VCVTDQ2PS Z1, Z1
	VPSRLD    $16, Z0, Z0
	VPSRLD    $16, Z1, Z1
	VPACKUSDW Z1, Z0, Z0
	VPERMQ    Z0, Z15, Z0
	VMOVDQU64 Z0, (DI)(AX*2)
	ADDQ      $32, AX

wideTest:
	CMPQ AX, BX
	JLT  wide
	SUBQ BX, CX
	MOVQ BX, R8

	// At most two vectors of 16, the last of them under a mask.
rest:
	TESTQ       CX, CX
	JZ          done
	MOVQ        CX, R9
	CMPQ        CX, $16
	JLE         part
	MOVL        $16, R9

part:
	MOVQ        CX, R10
	MOVQ        R9, CX
	MASK
	VPMOVSXBD.Z (SI)(R8*1), K1, Z0
	VCVTDQ2PS   Z0, Z0
	VPSRLD      $16, Z0, Z0
	VPMOVDW     Z0, K1, (DI)(R8*2)
	ADDQ        R9, R8
	MOVQ        R10, CX
	SUBQ        R9, CX
	JMP         rest

done:
	VZEROUPPER
	RET

// func Int8CodesAVX512(codes []int8, x []float32, scale float32)
TEXT ·Int8CodesAVX512(SB), NOSPLIT, $0-52
	MOVQ         codes_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	MOVQ         x_len+32(FP), CX
	VBROADCASTSS scale+48(FP), Z15
	SPLIT
	JMP          test

loop:
	VMOVUPS   (SI)(AX*4), Z0
	VDIVPS    Z15, Z0, Z0
	VCVTPS2DQ Z0, Z0
	VPMOVDB   Z0, (DI)(AX*1)
	ADDQ      $16, AX

test:
	CMPQ      AX, BX
	JLT       loop
	TESTQ     CX, CX
	JZ        done
	MASK
	VMOVUPS.Z (SI)(AX*4), K1, Z0
	VDIVPS    Z15, Z0, Z0
	VCVTPS2DQ Z0, Z0
	VPMOVDB   Z0, K1, (DI)(AX*1)

done:
	VZEROUPPER
	RET

// func KeyScoresAVX512(y, scales *[16]float32, q, c []float32)
TEXT ·KeyScoresAVX512(SB), NOSPLIT, $0-64
	MOVQ   q_base+16(FP), SI
	MOVQ   q_len+24(FP), CX
	MOVQ   c_base+40(FP), R8
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	MOVQ   CX, BX
	ANDQ   $-32, BX
	SUBQ   BX, CX
	XORQ   AX, AX
	JMP    test

loop:
	VMOVUPS     0(SI)(AX*4), Z0
	VMOVUPS     64(SI)(AX*4), Z1
	VFMADD231PS 0(R8)(AX*4), Z0, Z4
	VFMADD231PS 64(R8)(AX*4), Z1, Z5
	ADDQ        $32, AX

test:
	CMPQ        AX, BX
	JLT         loop
	TESTQ       CX, CX
	JZ          total
	MOVL        $1, DX
	SHLQ        CX, DX
	DECQ        DX
	KMOVW       DX, K1
	SHRQ        $16, DX
	KMOVW       DX, K2
	VMOVUPS.Z   0(SI)(AX*4), K1, Z0
	VMOVUPS.Z   64(SI)(AX*4), K2, Z1
	VMOVUPS.Z   0(R8)(AX*4), K1, Z2
	VMOVUPS.Z   64(R8)(AX*4), K2, Z3
	VFMADD231PS Z2, Z0, Z4
	VFMADD231PS Z3, Z1, Z5

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
	VBROADCASTSS  X4, Z4
	MOVQ          y+0(FP), DI
	MOVQ          scales+8(FP), DX
	VMOVUPS       (DI), Z0
	VMULPS        (DX), Z0, Z0
	VADDPS        Z4, Z0, Z0
	VMOVUPS       Z0, (DI)
	VZEROUPPER
	RET
