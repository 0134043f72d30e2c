//go:build amd64 && !noasm

#include "textflag.h"

// Packing takes four dwords of each register in turn.
DATA quads<>+0(SB)/8, $0x0000000400000000
DATA quads<>+8(SB)/8, $0x0000000c00000008
DATA quads<>+16(SB)/8, $0x0000000500000001
DATA quads<>+24(SB)/8, $0x0000000d00000009
DATA quads<>+32(SB)/8, $0x0000000600000002
DATA quads<>+40(SB)/8, $0x0000000e0000000a
DATA quads<>+48(SB)/8, $0x0000000700000003
DATA quads<>+56(SB)/8, $0x0000000f0000000b
GLOBL quads<>(SB), RODATA|NOPTR, $64

// A block is in Z0–Z3, the last two masked by K2; K1 masks its codes.

// func QuantizeRowsAVX512(dst *byte, src *float32, ld, rows, k, block, mr, flip int)
TEXT ·QuantizeRowsAVX512(SB), NOSPLIT, $0-64
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), SI
	MOVQ         ld+16(FP), DX
	SHLQ         $2, DX
	MOVQ         rows+24(FP), BX
	MOVQ         k+32(FP), R13
	MOVQ         block+40(FP), R12
	MOVQ         mr+48(FP), R8
	BSFQ         R12, CX
	SHRQ         CX, R13         // blocks
	LEAQ         (R8*4), R10     // from a scale to its sum
	LEAQ         8(R12), R11
	IMULQ        R8, R11         // a record
	MOVQ         R12, R9
	IMULQ        R8, R9
	ADDQ         DI, R9          // the first scale
	MOVQ         $-1, AX
	LEAQ         -64(R12), CX
	NEGQ         CX
	SHRQ         CX, AX
	KMOVQ        AX, K1
	SHRQ         $32, AX
	KMOVW        AX, K2
	MOVQ         flip+56(FP), AX
	XORL         R15, R15
	TESTQ        AX, AX
	CMOVQLT      R15, AX
	VPBROADCASTB AX, Z27
	VMOVDQU64    quads<>(SB), Z28
	MOVL         $0x7fffffff, AX
	VPBROADCASTD AX, Z29
	MOVL         $0x42fe0000, AX // 127
	VPBROADCASTD AX, Z30
	MOVL         $0x3c010204, AX // 1/127
	VPBROADCASTD AX, Z31
	MOVL         $0x0d800000, AX // 2⁻¹⁰⁰
	VPBROADCASTD AX, Z26
	MOVL         $0x72000000, AX // from there to infinity
	VPBROADCASTD AX, Z25
	TESTQ        R13, R13
	JZ           done

row:
	MOVQ SI, R15
	MOVQ DI, AX
	MOVQ R9, R14
	MOVQ R13, CX

block:
	TESTQ BX, BX
	JLE   zeros
	CMPQ  R12, $32
	JNE   single
	CMPQ  CX, $2
	JLT   single

	// Two blocks of 32: one in Z0, Z1 and low halves, the other in Z2, Z3 and high ones.
	VMOVUPS       (R15), Z0
	VMOVUPS       64(R15), Z1
	VMOVUPS       128(R15), Z2
	VMOVUPS       192(R15), Z3
	VPANDD        Z0, Z29, Z4
	VPANDD        Z1, Z29, Z5
	VPANDD        Z2, Z29, Z6
	VPANDD        Z3, Z29, Z7
	VPMAXUD       Z5, Z4, Z4
	VPMAXUD       Z7, Z6, Z6
	VINSERTI64X4  $1, Y6, Z4, Z5
	VSHUFI64X2    $0xee, Z6, Z4, Z4
	VPMAXUD       Z5, Z4, Z4
	VPSHUFD       $0x4e, Z4, Z5
	VPMAXUD       Z5, Z4, Z4
	VPSHUFD       $0xb1, Z4, Z5
	VPMAXUD       Z5, Z4, Z4
	VSHUFI64X2    $0xb1, Z4, Z4, Z5
	VPMAXUD       Z5, Z4, Z4
	VPSUBD        Z26, Z4, Z5
	VPCMPUD       $5, Z25, Z5, K3
	KORTESTW      K3, K3
	JNZ           single
	VEXTRACTI64X4 $1, Z4, Y5
	VPUNPCKLDQ    X5, X4, X4
	VMULPS        X31, X4, X5
	VMOVSS        X5, (R14)
	VEXTRACTPS    $1, X5, (R14)(R11*1)
	VDIVPS        X4, X30, X4
	VMOVSHDUP     X4, X5
	VBROADCASTSS  X4, Z4
	VBROADCASTSS  X5, Z5
	VMULPS        Z4, Z0, Z0
	VMULPS        Z4, Z1, Z1
	VMULPS        Z5, Z2, Z2
	VMULPS        Z5, Z3, Z3
	VCVTPS2DQ     Z0, Z0
	VCVTPS2DQ     Z1, Z1
	VCVTPS2DQ     Z2, Z2
	VCVTPS2DQ     Z3, Z3
	VPADDD        Z1, Z0, Z4
	VPADDD        Z3, Z2, Z5
	VPACKSSDW     Z1, Z0, Z0
	VPACKSSDW     Z3, Z2, Z2
	VPACKSSWB     Z2, Z0, Z0
	VPERMD        Z0, Z28, Z0
	VPXORD        Z27, Z0, Z0
	VMOVDQU       Y0, (AX)
	VEXTRACTI64X4 $1, Z0, (AX)(R11*1)
	CMPQ          flip+56(FP), $0
	JLT           pairDone
	VINSERTI64X4  $1, Y5, Z4, Z6
	VSHUFI64X2    $0xee, Z5, Z4, Z4
	VPADDD        Z6, Z4, Z4
	VPSHUFD       $0x4e, Z4, Z5
	VPADDD        Z5, Z4, Z4
	VPSHUFD       $0xb1, Z4, Z5
	VPADDD        Z5, Z4, Z4
	VSHUFI64X2    $0xb1, Z4, Z4, Z5
	VPADDD        Z5, Z4, Z4
	VMOVD         X4, (R14)(R10*1)
	VEXTRACTI64X4 $1, Z4, Y5
	LEAQ          (R14)(R11*1), R8
	VMOVD         X5, (R8)(R10*1)

pairDone:
	ADDQ          $256, R15
	LEAQ          (AX)(R11*2), AX
	LEAQ          (R14)(R11*2), R14
	SUBQ          $2, CX
	JNZ           block
	JMP           rowDone

single:
	VMOVUPS       (R15), Z0
	VMOVUPS       64(R15), Z1
	VMOVUPS.Z     128(R15), K2, Z2
	VMOVUPS.Z     192(R15), K2, Z3
	VPANDD        Z0, Z29, Z4
	VPANDD        Z1, Z29, Z5
	VPANDD        Z2, Z29, Z6
	VPANDD        Z3, Z29, Z7
	VPMAXUD       Z5, Z4, Z4
	VPMAXUD       Z7, Z6, Z6
	VPMAXUD       Z6, Z4, Z4
	VEXTRACTI64X4 $1, Z4, Y5
	VPMAXUD       Y5, Y4, Y4
	VEXTRACTI128  $1, Y4, X5
	VPMAXUD       X5, X4, X4
	VPSHUFD       $0x4e, X4, X5
	VPMAXUD       X5, X4, X4
	VPSHUFD       $0xb1, X4, X5
	VPMAXUD       X5, X4, X4
	VMOVD         X4, R8
	CMPL          R8, $0x0d800000 // 2⁻¹⁰⁰
	JB            zeros
	VMULSS        X31, X4, X5
	VMOVSS        X5, (R14)
	CMPL          R8, $0x7f800000 // infinity, then NaNs
	JAE           noCodes
	VDIVSS        X4, X30, X4
	VBROADCASTSS  X4, Z4
	VMULPS        Z4, Z0, Z0
	VMULPS        Z4, Z1, Z1
	VMULPS        Z4, Z2, Z2
	VMULPS        Z4, Z3, Z3
	VCVTPS2DQ     Z0, Z0
	VCVTPS2DQ     Z1, Z1
	VCVTPS2DQ     Z2, Z2
	VCVTPS2DQ     Z3, Z3
	VPADDD        Z1, Z0, Z4
	VPADDD        Z3, Z2, Z5
	VPADDD        Z5, Z4, Z4
	VPACKSSDW     Z1, Z0, Z0
	VPACKSSDW     Z3, Z2, Z2
	VPACKSSWB     Z2, Z0, Z0
	VPERMD        Z0, Z28, Z0
	VPXORD        Z27, Z0, Z0
	VMOVDQU8      Z0, K1, (AX)
	CMPQ          flip+56(FP), $0
	JLT           next
	VEXTRACTI64X4 $1, Z4, Y5
	VPADDD        Y5, Y4, Y4
	VEXTRACTI128  $1, Y4, X5
	VPADDD        X5, X4, X4
	VPSHUFD       $0x4e, X4, X5
	VPADDD        X5, X4, X4
	VPSHUFD       $0xb1, X4, X5
	VPADDD        X5, X4, X4
	VMOVD         X4, (R14)(R10*1)

next:
	LEAQ (R15)(R12*4), R15
	ADDQ R11, AX
	ADDQ R11, R14
	DECQ CX
	JNZ  block

rowDone:
	ADDQ DX, SI
	ADDQ R12, DI
	ADDQ $4, R9
	DECQ BX
	DECQ mr+48(FP)
	JNZ  row

done:
	VZEROUPPER
	RET

zeros:
	MOVL $0, (R14)

noCodes:
	MOVL     $0, (R14)(R10*1)
	VMOVDQU8 Z27, K1, (AX)
	JMP      next
