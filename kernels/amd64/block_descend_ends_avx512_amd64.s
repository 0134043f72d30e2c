//go:build amd64 && !noasm

#include "go_asm.h"
#include "textflag.h"
#include "block_descend_amd64.h"

// The first elements of four groups, then the second.
DATA groupPlace<>+0x00(SB)/8, $0x0000000400000000
DATA groupPlace<>+0x08(SB)/8, $0x0000000c00000008
DATA groupPlace<>+0x10(SB)/8, $0x0000000500000001
DATA groupPlace<>+0x18(SB)/8, $0x0000000d00000009
DATA groupPlace<>+0x20(SB)/8, $0
DATA groupPlace<>+0x28(SB)/8, $0
DATA groupPlace<>+0x30(SB)/8, $0
DATA groupPlace<>+0x38(SB)/8, $0
GLOBL groupPlace<>(SB), RODATA|NOPTR, $64

// SCALED fills 16 columns of the scratch, at offset AX+at, from the gradient in z.
#define SCALED(at, z) \
	VMOVUPS      at(SI)(AX*1), Z1         \
	VPERMILPS    $0xb1, Z1, Z2            \
	VPERMILPS    $0x4e, Z1, Z3            \
	VPERMILPS    $0x1b, Z1, Z4            \
	VMULPS       at(R8)(AX*1), Z1, Z5     \
	VFMADD231PS  at(R11)(AX*1), Z2, Z5    \
	VFMADD231PS  at(R12)(AX*1), Z3, Z5    \
	VFMADD231PS  at(R13)(AX*1), Z4, Z5    \
	VMULPS       Z5, Z1, Z6               \
	VFNMADD231PS Z9, z, Z5                \
	VMOVUPS      Z1, at(DI)(AX*1)         \
	VMOVUPS      Z5, at+PART_H(DI)(AX*1)  \
	VMOVUPS      Z8, at+PART_D(DI)(AX*1)  \
	VMOVUPS      Z6, at+PART_K(DI)(AX*1)

// func descendStartAVX512(r *DescendRow, cols int)
TEXT ·descendStartAVX512(SB), NOSPLIT, $0-16
	MOVQ         r+0(FP), AX
	MOVQ         DescendRow_S(AX), SI
	MOVQ         DescendRow_G(AX), DX
	MOVQ         DescendRow_Diag(AX), R8
	MOVQ         DescendRow_Block(AX), DI
	MOVQ         DescendRow_GA(AX), R9
	MOVQ         DescendRow_Before(AX), R10
	VBROADCASTSS DescendRow_Scale(AX), Z9
	MOVQ         cols+8(FP), CX
	SHLQ         $2, CX
	LEAQ         (R8)(CX*1), R11
	LEAQ         (R8)(CX*2), R12
	LEAQ         (R11)(CX*2), R13
	IMUL3Q       $const_descendStride, R10, BX
	NEGQ         BX
	LEAQ         PART_D(DI)(BX*1), BX // d of the first row before
	LEAQ         (R9)(R10*4), R10     // the end of ga
	VPXORQ       Z8, Z8, Z8
	XORQ         AX, AX
	SUBQ         $256, CX
	JLT          narrow

wide: // 64 columns
	VMOVUPS (DX)(AX*1), Z10
	VMOVUPS 64(DX)(AX*1), Z11
	VMOVUPS 128(DX)(AX*1), Z12
	VMOVUPS 192(DX)(AX*1), Z13
	LEAQ    (BX)(AX*1), R15
	MOVQ    R9, R14
	CMPQ    R14, R10
	JE      scaled4

earlier4:
	VBROADCASTSS (R14), Z1
	VFMADD231PS  (R15), Z1, Z10
	VFMADD231PS  64(R15), Z1, Z11
	VFMADD231PS  128(R15), Z1, Z12
	VFMADD231PS  192(R15), Z1, Z13
	ADDQ         $const_descendStride, R15
	ADDQ         $4, R14
	CMPQ         R14, R10
	JNE          earlier4

scaled4:
	SCALED(0, Z10)
	SCALED(64, Z11)
	SCALED(128, Z12)
	SCALED(192, Z13)
	ADDQ $256, AX
	CMPQ AX, CX
	JLE  wide

narrow:
	ADDQ $256, CX
	CMPQ AX, CX
	JGE  done

loop: // 16 columns
	VMOVUPS (DX)(AX*1), Z10
	LEAQ    (BX)(AX*1), R15
	MOVQ    R9, R14
	CMPQ    R14, R10
	JE      scaled

earlier:
	VBROADCASTSS (R14), Z1
	VFMADD231PS  (R15), Z1, Z10
	ADDQ         $const_descendStride, R15
	ADDQ         $4, R14
	CMPQ         R14, R10
	JNE          earlier

scaled:
	SCALED(0, Z10)
	ADDQ $64, AX
	CMPQ AX, CX
	JLT  loop

done:
	VZEROUPPER
	RET

// func descendEndAVX512(r *DescendRow, cols int)
TEXT ·descendEndAVX512(SB), NOSPLIT, $0-16
	MOVQ   r+0(FP), R8
	MOVQ   DescendRow_S(R8), SI
	MOVQ   DescendRow_Mask(R8), DX
	MOVQ   DescendRow_Block(R8), DI
	MOVQ   cols+8(FP), CX
	SHLQ   $2, CX
	MOVL   $0x2222, AX
	KMOVW  AX, K2
	VPXORQ Z8, Z8, Z8
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	XORQ   AX, AX

finite: // 0, or NaN if one value is not finite
	VMOVUPS.Z   PART_K(DI)(AX*1), K2, Z3
	VFMADD231PS (DI)(AX*1), Z8, Z0
	VFMADD231PS PART_D(DI)(AX*1), Z8, Z1
	VADDPS      Z3, Z2, Z2
	ADDQ        $64, AX
	CMPQ        AX, CX
	JNE         finite

	VEXTRACTF64X4 $1, Z2, Y3
	VADDPS        Y3, Y2, Y2
	VEXTRACTF128  $1, Y2, X3
	VADDPS        X3, X2, X2
	VMOVSHDUP     X2, X2
	VMOVSS        X2, DescendRow_Gain(R8)
	VMULSS        X8, X2, X2
	VADDPS        Z1, Z0, Z0
	VADDPS        Z2, Z0, Z0
	VCMPPS        $3, Z0, Z0, K1
	KORTESTW      K1, K1
	JNZ           undo
	XORQ          AX, AX

copy:
	VMOVUPS (DI)(AX*1), Z0
	VMOVUPS Z0, (SI)(AX*1)
	ADDQ    $64, AX
	CMPQ    AX, CX
	JNE     copy
	XORQ    AX, AX
	XORL    R9, R9
	VMOVDQU32 groupPlace<>(SB), Z3

masks: // of four groups
	VPERMD      PART_K(DI)(AX*1), Z3, Z0 // 16·mask of each, then what it gained
	VPMOVZXBD   (DX), X1
	VPSRLD      $4, X0, X2
	VEXTRACTI128 $1, Y0, X0
	VPCMPGTD    X8, X0, K1
	VPCMPD      $4, X1, X2, K1, K2       // changed
	VPBLENDMD   X2, X1, K1, X1
	VPMOVDB     X1, (DX)
	KMOVW       K2, R10
	POPCNTL     R10, R10
	ADDL        R10, R9
	ADDQ        $4, DX
	ADDQ        $64, AX
	CMPQ        AX, CX
	JNE         masks
	MOVL        R9, DescendRow_Changed(R8)
	VZEROUPPER
	RET

undo:
	XORQ AX, AX

clear:
	VMOVUPS Z8, PART_D(DI)(AX*1)
	ADDQ    $64, AX
	CMPQ    AX, CX
	JNE     clear
	MOVL    $0, DescendRow_Gain(R8)
	MOVL    $0, DescendRow_Changed(R8)
	VZEROUPPER
	RET
