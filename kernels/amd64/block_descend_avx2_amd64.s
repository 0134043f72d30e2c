//go:build amd64 && !noasm

#include "go_asm.h"
#include "textflag.h"
#include "block_descend_amd64.h"

// For each mask {p, q}: its number four times; from 96 on, ones at p; from 192
// on, ones at q.
DATA pairSelect<>+0x00(SB)/8, $0x0000000000000000
DATA pairSelect<>+0x08(SB)/8, $0x0000000000000000
DATA pairSelect<>+0x10(SB)/8, $0x0000000100000001
DATA pairSelect<>+0x18(SB)/8, $0x0000000100000001
DATA pairSelect<>+0x20(SB)/8, $0x0000000200000002
DATA pairSelect<>+0x28(SB)/8, $0x0000000200000002
DATA pairSelect<>+0x30(SB)/8, $0x0000000300000003
DATA pairSelect<>+0x38(SB)/8, $0x0000000300000003
DATA pairSelect<>+0x40(SB)/8, $0x0000000400000004
DATA pairSelect<>+0x48(SB)/8, $0x0000000400000004
DATA pairSelect<>+0x50(SB)/8, $0x0000000500000005
DATA pairSelect<>+0x58(SB)/8, $0x0000000500000005
DATA pairSelect<>+0x60(SB)/8, $0x00000000ffffffff
DATA pairSelect<>+0x68(SB)/8, $0x0000000000000000
DATA pairSelect<>+0x70(SB)/8, $0x00000000ffffffff
DATA pairSelect<>+0x78(SB)/8, $0x0000000000000000
DATA pairSelect<>+0x80(SB)/8, $0x00000000ffffffff
DATA pairSelect<>+0x88(SB)/8, $0x0000000000000000
DATA pairSelect<>+0x90(SB)/8, $0xffffffff00000000
DATA pairSelect<>+0x98(SB)/8, $0x0000000000000000
DATA pairSelect<>+0xa0(SB)/8, $0xffffffff00000000
DATA pairSelect<>+0xa8(SB)/8, $0x0000000000000000
DATA pairSelect<>+0xb0(SB)/8, $0x0000000000000000
DATA pairSelect<>+0xb8(SB)/8, $0x00000000ffffffff
DATA pairSelect<>+0xc0(SB)/8, $0xffffffff00000000
DATA pairSelect<>+0xc8(SB)/8, $0x0000000000000000
DATA pairSelect<>+0xd0(SB)/8, $0x0000000000000000
DATA pairSelect<>+0xd8(SB)/8, $0x00000000ffffffff
DATA pairSelect<>+0xe0(SB)/8, $0x0000000000000000
DATA pairSelect<>+0xe8(SB)/8, $0xffffffff00000000
DATA pairSelect<>+0xf0(SB)/8, $0x0000000000000000
DATA pairSelect<>+0xf8(SB)/8, $0x00000000ffffffff
DATA pairSelect<>+0x100(SB)/8, $0x0000000000000000
DATA pairSelect<>+0x108(SB)/8, $0xffffffff00000000
DATA pairSelect<>+0x110(SB)/8, $0x0000000000000000
DATA pairSelect<>+0x118(SB)/8, $0xffffffff00000000
GLOBL pairSelect<>(SB), RODATA|NOPTR, $288

// func descendStartAVX2(r *DescendRow, cols int)
TEXT ·descendStartAVX2(SB), NOSPLIT, $0-16
	MOVQ         r+0(FP), AX
	MOVQ         DescendRow_S(AX), SI
	MOVQ         DescendRow_G(AX), DX
	MOVQ         DescendRow_Diag(AX), R8
	MOVQ         DescendRow_Block(AX), DI
	MOVQ         DescendRow_GA(AX), R9
	MOVQ         DescendRow_Before(AX), R10
	VBROADCASTSS DescendRow_Scale(AX), Y9
	MOVQ         cols+8(FP), CX
	SHLQ         $2, CX
	LEAQ         (R8)(CX*1), R11
	LEAQ         (R8)(CX*2), R12
	LEAQ         (R11)(CX*2), R13
	IMUL3Q       $const_descendStride, R10, BX
	NEGQ         BX
	LEAQ         PART_D(DI)(BX*1), BX // d of the first row before
	LEAQ         (R9)(R10*4), R10     // the end of ga
	VXORPS       Y8, Y8, Y8
	XORQ         AX, AX

loop:
	VMOVUPS (DX)(AX*1), Y0
	MOVQ    BX, R15
	MOVQ    R9, R14
	CMPQ    R14, R10
	JE      scaled

earlier:
	VBROADCASTSS (R14), Y1
	VFMADD231PS  (R15)(AX*1), Y1, Y0
	ADDQ         $const_descendStride, R15
	ADDQ         $4, R14
	CMPQ         R14, R10
	JNE          earlier

scaled:
	VMOVUPS      (SI)(AX*1), Y1
	VPERMILPS    $0xb1, Y1, Y2
	VPERMILPS    $0x4e, Y1, Y3
	VPERMILPS    $0x1b, Y1, Y4
	VMULPS       (R8)(AX*1), Y1, Y5
	VFMADD231PS  (R11)(AX*1), Y2, Y5
	VFMADD231PS  (R12)(AX*1), Y3, Y5
	VFMADD231PS  (R13)(AX*1), Y4, Y5
	VMULPS       Y5, Y1, Y6
	VFNMADD231PS Y9, Y0, Y5
	VMOVUPS      Y1, (DI)(AX*1)
	VMOVUPS      Y5, PART_H(DI)(AX*1)
	VMOVUPS      Y8, PART_D(DI)(AX*1)
	VMOVUPS      Y6, PART_K(DI)(AX*1)
	ADDQ         $32, AX
	CMPQ         AX, CX
	JNE          loop
	VZEROUPPER
	RET

// func descendEndAVX2(r *DescendRow, cols int)
TEXT ·descendEndAVX2(SB), NOSPLIT, $0-16
	MOVQ   r+0(FP), R8
	MOVQ   DescendRow_S(R8), SI
	MOVQ   DescendRow_Mask(R8), DX
	MOVQ   DescendRow_Block(R8), DI
	MOVQ   cols+8(FP), CX
	SHLQ   $2, CX
	VXORPS Y8, Y8, Y8
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	XORQ   AX, AX

finite: // 0, or NaN if one value is not finite
	VBLENDPS    $0x22, PART_K(DI)(AX*1), Y8, Y3
	VFMADD231PS (DI)(AX*1), Y8, Y0
	VFMADD231PS PART_D(DI)(AX*1), Y8, Y1
	VADDPS      Y3, Y2, Y2
	ADDQ        $32, AX
	CMPQ        AX, CX
	JNE         finite

	VEXTRACTF128 $1, Y2, X3
	VADDPS       X3, X2, X2
	VMOVSHDUP    X2, X2
	VMOVSS       X2, DescendRow_Gain(R8)
	VMULSS       X8, X2, X2
	VADDPS       Y1, Y0, Y0
	VADDPS       Y2, Y0, Y0
	VCMPPS       $3, Y0, Y0, Y0
	VMOVMSKPS    Y0, AX
	TESTL        AX, AX
	JNZ          undo
	XORQ         AX, AX

copy:
	VMOVUPS (DI)(AX*1), Y0
	VMOVUPS Y0, (SI)(AX*1)
	ADDQ    $32, AX
	CMPQ    AX, CX
	JNE     copy
	XORQ    AX, AX
	XORL    R9, R9

masks:
	MOVBLZX (DX), R10
	MOVL    PART_K(DI)(AX*1), R11 // 16·mask
	SHRL    $4, R11
	CMPL    PART_K+4(DI)(AX*1), $0
	CMOVLEQ R10, R11              // nothing gained
	XORL    R13, R13
	CMPL    R10, R11
	SETNE   R13
	ADDL    R13, R9
	MOVB    R11, (DX)
	INCQ    DX
	ADDQ    $16, AX
	CMPQ    AX, CX
	JNE     masks
	MOVL    R9, DescendRow_Changed(R8)
	VZEROUPPER
	RET

undo:
	XORQ AX, AX

clear:
	VMOVUPS Y8, PART_D(DI)(AX*1)
	ADDQ    $32, AX
	CMPQ    AX, CX
	JNE     clear
	MOVL    $0, DescendRow_Gain(R8)
	MOVL    $0, DescendRow_Changed(R8)
	VZEROUPPER
	RET

// GROUP, ROWS, CARRY, START and NEXT are as in block_descend_avx512_amd64.h, with
// pairSelect in R10 and the next group's columns of SI in R14.
#define GROUP(block, r, ry, a, b, c, d) \
	VMOVUPS      pairP<>(SB), Y1            \
	VMOVUPS      pairQ<>(SB), Y2            \
	VPERMPS      ry, Y1, Y1                 \
	VPERMPS      ry, Y2, Y2                 \
	VMULPS       (DX), Y1, Y3               \
	VMULPS       64(DX), Y2, Y4             \
	VFMADD231PS  32(DX), Y2, Y3             \
	VFMADD231PS  32(DX), Y1, Y4             \
	VMULPS       Y4, Y2, Y5                 \
	VFMADD231PS  Y3, Y1, Y5                 \
	VMOVUPS      (block)(AX*1), X1          \
	VADDPS       X1, X1, X2                 \
	VFMSUB213PS  PART_K(block)(AX*1), r, X2 \
	VPERMILPS    $0x4e, X2, X6              \
	VADDPS       X6, X2, X2                 \
	VPERMILPS    $0xb1, X2, X6              \
	VADDPS       X6, X2, X2                 \
	VPERMQ       $0x4e, Y5, Y1              \
	VPMAXSD      Y1, Y5, Y6                 \
	VPSHUFD      $0x4e, Y6, Y1              \
	VPMAXSD      Y1, Y6, Y6                 \
	VPSHUFD      $0xb1, Y6, Y1              \
	VPMAXSD      Y1, Y6, Y6                 \
	VPCMPEQD     Y5, Y6, Y1                 \
	VMOVMSKPS    Y1, CX                     \
	BSFL         CX, CX                     \
	SHLL         $4, CX                     \
	VMOVUPS      (R10)(CX*1), X5            \
	VPERMPS      Y3, Y5, Y3                 \
	VPERMPS      Y4, Y5, Y4                 \
	VANDPS       96(R10)(CX*1), X3, X3      \
	VANDPS       192(R10)(CX*1), X4, X4     \
	VORPS        X4, X3, X3                 \
	VCMPPS       $1, X6, X2, X1             \
	VSUBPS       X2, X6, X2                 \
	VANDPS       X1, X2, X2                 \
	VMOVUPS      (block)(AX*1), X4          \
	VSUBPS       X4, X3, X5                 \
	VANDPS       X1, X5, X5                 \
	VBLENDVPS    X1, X3, X4, X3             \
	VMOVUPS      X3, (block)(AX*1)          \
	VMOVUPS      X2, PART_K(block)(AX*1)    \
	MOVL         CX, PART_K(block)(AX*1)    \
	VMOVUPS      X5, PART_H(block)(AX*1)    \
	VMOVUPS      PART_H(block)(R15*1), r    \
	VSUBPS       PART_D(block)(R15*1), r, r \
	VPERMILPS    $0xaa, X5, X2              \
	VPERMILPS    $0x00, X5, X1              \
	VPERMILPS    $0xff, X5, X3              \
	VPERMILPS    $0x55, X5, X4              \
	VMULPS       (R14)(R8*2), X2, X2        \
	VFNMADD231PS (R14), X1, r               \
	VFMADD231PS  (R14)(R9*1), X3, X2        \
	VFNMADD231PS (R14)(R8*1), X4, r         \
	VSUBPS       X2, r, r                   \
	VBROADCASTSS PART_H+0(block)(AX*1), a   \
	VBROADCASTSS PART_H+4(block)(AX*1), b   \
	VBROADCASTSS PART_H+8(block)(AX*1), c   \
	VBROADCASTSS PART_H+12(block)(AX*1), d

#define ROWS \
	VMOVUPS (R10), Y1       \
	VMOVUPS (R10)(R8*1), Y2 \
	VMOVUPS (R10)(R8*2), Y3 \
	VMOVUPS (R10)(R9*1), Y4 \
	ADDQ    $32, R10

#define CARRY(block, a, b, c, d) \
	VMOVUPS     PART_D(block)(CX*1), Y5 \
	VFMADD231PS Y1, a, Y5               \
	VFMADD231PS Y2, b, Y5               \
	VFMADD231PS Y3, c, Y5               \
	VFMADD231PS Y4, d, Y5               \
	VMOVUPS     Y5, PART_D(block)(CX*1)

#define START \
	MOVQ DescendRow_GB(AX), SI  \
	MOVQ DescendRow_Inv(AX), DX \
	LEAQ (R8)(R8*2), R9         \
	SHLQ $2, BX                 \
	XORQ AX, AX

#define NEXT \
	XORL    CX, CX                \
	LEAQ    16(AX), R15           \
	CMPQ    R15, BX               \
	CMOVQEQ CX, R15               \
	LEAQ    (SI)(R15*1), R14      \
	LEAQ    pairSelect<>(SB), R10

// func descendRow1AVX2(r *DescendRow, ld, cols int)
TEXT ·descendRow1AVX2(SB), NOSPLIT, $0-24
	MOVQ    r+0(FP), AX
	MOVQ    ld+8(FP), R8
	MOVQ    cols+16(FP), BX
	MOVQ    DescendRow_Block(AX), DI
	VMOVUPS PART_H(DI), X0
	START

group:
	NEXT
	GROUP(DI, X0, Y0, Y7, Y8, Y9, Y10)
	MOVQ SI, R10
	XORL CX, CX

carry:
	ROWS
	CARRY(DI, Y7, Y8, Y9, Y10)
	ADDQ $32, CX
	CMPQ CX, BX
	JNE  carry

	LEAQ (SI)(R8*4), SI
	ADDQ $96, DX
	ADDQ $16, AX
	CMPQ AX, BX
	JNE  group
	VZEROUPPER
	RET

// func descendRow2AVX2(r, q *DescendRow, ld, cols int)
TEXT ·descendRow2AVX2(SB), NOSPLIT, $0-32
	MOVQ    q+8(FP), AX
	MOVQ    DescendRow_Block(AX), R11
	MOVQ    r+0(FP), AX
	MOVQ    ld+16(FP), R8
	MOVQ    cols+24(FP), BX
	MOVQ    DescendRow_Block(AX), DI
	VMOVUPS PART_H(DI), X0
	VMOVUPS PART_H(R11), X15
	START

group:
	NEXT
	GROUP(DI, X0, Y0, Y7, Y8, Y9, Y10)
	GROUP(R11, X15, Y15, Y11, Y12, Y13, Y14)
	MOVQ SI, R10
	XORL CX, CX

carry:
	ROWS
	CARRY(DI, Y7, Y8, Y9, Y10)
	CARRY(R11, Y11, Y12, Y13, Y14)
	ADDQ $32, CX
	CMPQ CX, BX
	JNE  carry

	LEAQ (SI)(R8*4), SI
	ADDQ $96, DX
	ADDQ $16, AX
	CMPQ AX, BX
	JNE  group
	VZEROUPPER
	RET
