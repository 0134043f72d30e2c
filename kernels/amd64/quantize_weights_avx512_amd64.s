//go:build amd64 && !noasm

#include "textflag.h"

// func QuantizeWeightsAVX512(codes *int8, scales *uint16, x *float32, groups, group int, limit float32) (done int)
TEXT ·QuantizeWeightsAVX512(SB), NOSPLIT, $0-56
	MOVQ         codes+0(FP), DI
	MOVQ         scales+8(FP), BX
	MOVQ         x+16(FP), SI
	MOVQ         groups+24(FP), R8
	MOVQ         group+32(FP), R9
	VBROADCASTSS limit+40(FP), Z31
	MOVL         $0x80000000, AX
	VPBROADCASTD AX, Z29
	VPXORD       Z29, Z31, Z30   // −limit
	VPTERNLOGD   $0x55, Z29, Z29, Z29 // all bits but the sign

group:
	SUBQ   $1, R8
	JLT    done
	VPXORD X0, X0, X0
	MOVQ   SI, R10
	MOVQ   R9, CX

largest:
	VPANDD  (R10), Z29, Z1
	VPANDD  64(R10), Z29, Z2
	VPMAXUD Z2, Z1, Z1
	VPMAXUD Z1, Z0, Z0
	ADDQ    $128, R10
	SUBQ    $32, CX
	JNZ     largest

	VEXTRACTI64X4 $1, Z0, Y1
	VPMAXUD       Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPMAXUD       X1, X0, X0
	VPSHUFD       $0x4e, X0, X1
	VPMAXUD       X1, X0, X0
	VPSHUFD       $0xb1, X0, X1
	VPMAXUD       X1, X0, X0
	VDIVSS        X31, X0, X0
	VCVTPS2PH     $0, X0, X0
	VMOVD         X0, AX
	MOVWLZX       AX, AX
	CMPL          AX, $0x7c00 // infinity, then NaNs
	JAE           done
	MOVW          AX, (BX)
	ADDQ          $2, BX
	MOVQ          R9, CX
	TESTL         AX, AX
	JZ            zeros
	VCVTPH2PS     X0, X0
	VBROADCASTSS  X0, Z0

codes:
	VMOVUPS   (SI), Z1
	VMOVUPS   64(SI), Z2
	VDIVPS    Z0, Z1, Z1
	VDIVPS    Z0, Z2, Z2
	VMINPS    Z31, Z1, Z1
	VMINPS    Z31, Z2, Z2
	VMAXPS    Z30, Z1, Z1
	VMAXPS    Z30, Z2, Z2
	VCVTPS2DQ Z1, Z1
	VCVTPS2DQ Z2, Z2
	VPMOVDB   Z1, (DI)
	VPMOVDB   Z2, 16(DI)
	ADDQ      $128, SI
	ADDQ      $32, DI
	SUBQ      $32, CX
	JNZ       codes
	JMP       group

zeros:
	VPXORD X1, X1, X1

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
