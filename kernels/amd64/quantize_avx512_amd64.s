//go:build amd64 && !noasm

#include "textflag.h"

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
	MOVQ         flip+56(FP), AX
	VPBROADCASTB AX, X28
	MOVL         $0x7fffffff, AX
	VPBROADCASTD AX, Z29
	MOVL         $0x42fe0000, AX // 127
	VPBROADCASTD AX, Z30
	MOVL         $0x3c010204, AX // 1/127
	VPBROADCASTD AX, Z31
	TESTQ        R13, R13
	JZ           done

row:
	MOVQ SI, R15
	MOVQ DI, AX
	MOVQ R9, R14
	MOVQ R13, CX

block:
	TESTQ         BX, BX
	JLE           zeros
	VMOVUPS       (R15), Z0
	VMOVUPS       64(R15), Z1
	VPANDD        Z0, Z29, Z4
	VPANDD        Z1, Z29, Z5
	VPMAXUD       Z5, Z4, Z4
	CMPQ          R12, $64
	JNE           most
	VMOVUPS       128(R15), Z2
	VMOVUPS       192(R15), Z3
	VPANDD        Z2, Z29, Z5
	VPANDD        Z3, Z29, Z6
	VPMAXUD       Z5, Z4, Z4
	VPMAXUD       Z6, Z4, Z4

most:
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
	VCVTPS2DQ     Z0, Z0
	VCVTPS2DQ     Z1, Z1
	VPADDD        Z1, Z0, Z5
	VPMOVDB       Z0, X0
	VPMOVDB       Z1, X1
	VPXORD        X28, X0, X0
	VPXORD        X28, X1, X1
	VMOVDQU       X0, (AX)
	VMOVDQU       X1, 16(AX)
	CMPQ          R12, $64
	JNE           sum
	VMULPS        Z4, Z2, Z2
	VMULPS        Z4, Z3, Z3
	VCVTPS2DQ     Z2, Z2
	VCVTPS2DQ     Z3, Z3
	VPADDD        Z2, Z5, Z5
	VPADDD        Z3, Z5, Z5
	VPMOVDB       Z2, X2
	VPMOVDB       Z3, X3
	VPXORD        X28, X2, X2
	VPXORD        X28, X3, X3
	VMOVDQU       X2, 32(AX)
	VMOVDQU       X3, 48(AX)

sum:
	VEXTRACTI64X4 $1, Z5, Y4
	VPADDD        Y4, Y5, Y5
	VEXTRACTI128  $1, Y5, X4
	VPADDD        X4, X5, X5
	VPSHUFD       $0x4e, X5, X4
	VPADDD        X4, X5, X5
	VPSHUFD       $0xb1, X5, X4
	VPADDD        X4, X5, X5
	VMOVD         X5, (R14)(R10*1)

next:
	LEAQ (R15)(R12*4), R15
	ADDQ R11, AX
	ADDQ R11, R14
	DECQ CX
	JNZ  block
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
	MOVL      $0, (R14)(R10*1)
	VMOVDQU64 X28, (AX)
	VMOVDQU64 X28, 16(AX)
	CMPQ      R12, $64
	JNE       next
	VMOVDQU64 X28, 32(AX)
	VMOVDQU64 X28, 48(AX)
	JMP       next
