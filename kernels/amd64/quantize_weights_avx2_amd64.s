//go:build amd64 && !noasm

#include "textflag.h"

// Packing takes lanes in turn.
DATA weightOrder<>+0(SB)/8, $0x0000000400000000
DATA weightOrder<>+8(SB)/8, $0x0000000500000001
DATA weightOrder<>+16(SB)/8, $0x0000000600000002
DATA weightOrder<>+24(SB)/8, $0x0000000700000003
GLOBL weightOrder<>(SB), RODATA|NOPTR, $32

// CODES leaves eight codes in the dwords of y.
#define CODES(at, y) \
	VMOVUPS   at(SI), y   \
	VDIVPS    Y0, y, y    \
	VMINPS    Y15, y, y   \
	VMAXPS    Y14, y, y   \
	VCVTPS2DQ y, y

// func QuantizeWeightsAVX2(codes *int8, scales *uint16, x *float32, groups, group int, limit float32) (done int)
TEXT ·QuantizeWeightsAVX2(SB), NOSPLIT, $0-56
	MOVQ         codes+0(FP), DI
	MOVQ         scales+8(FP), BX
	MOVQ         x+16(FP), SI
	MOVQ         groups+24(FP), R8
	MOVQ         group+32(FP), R9
	VBROADCASTSS limit+40(FP), Y15
	VPCMPEQD     Y13, Y13, Y13
	VPSLLD       $31, Y13, Y14
	VPSRLD       $1, Y13, Y13    // all bits but the sign
	VXORPS       Y14, Y15, Y14   // −limit
	VMOVDQU      weightOrder<>(SB), Y12

group:
	SUBQ  $1, R8
	JLT   done
	VPXOR X0, X0, X0
	MOVQ  SI, R10
	MOVQ  R9, CX

largest:
	VPAND   (R10), Y13, Y1
	VPAND   32(R10), Y13, Y2
	VPAND   64(R10), Y13, Y3
	VPAND   96(R10), Y13, Y4
	VPMAXUD Y2, Y1, Y1
	VPMAXUD Y4, Y3, Y3
	VPMAXUD Y1, Y0, Y0
	VPMAXUD Y3, Y0, Y0
	ADDQ    $128, R10
	SUBQ    $32, CX
	JNZ     largest

	VEXTRACTI128 $1, Y0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VPMAXUD      X1, X0, X0
	VDIVSS       X15, X0, X0
	VCVTPS2PH    $0, X0, X0
	VMOVD        X0, AX
	MOVWLZX      AX, AX
	CMPL         AX, $0x7c00 // infinity, then NaNs
	JAE          done
	MOVW         AX, (BX)
	ADDQ         $2, BX
	MOVQ         R9, CX
	TESTL        AX, AX
	JZ           zeros
	VCVTPH2PS    X0, X0
	VBROADCASTSS X0, Y0

codes:
	CODES(0, Y1)
	CODES(32, Y2)
	CODES(64, Y3)
	CODES(96, Y4)
	VPACKSSDW Y2, Y1, Y1
	VPACKSSDW Y4, Y3, Y3
	VPACKSSWB Y3, Y1, Y1
	VPERMD    Y1, Y12, Y1
	VMOVDQU   Y1, (DI)
	ADDQ      $128, SI
	ADDQ      $32, DI
	SUBQ      $32, CX
	JNZ       codes
	JMP       group

zeros:
	VPXOR Y1, Y1, Y1

zero:
	VMOVDQU Y1, (DI)
	ADDQ    $128, SI
	ADDQ    $32, DI
	SUBQ    $32, CX
	JNZ     zero
	JMP     group

done: // R8 is one fewer than are left
	MOVQ groups+24(FP), AX
	INCQ R8
	SUBQ R8, AX
	MOVQ AX, done+48(FP)
	VZEROUPPER
	RET
