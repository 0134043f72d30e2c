//go:build amd64 && !noasm

#include "textflag.h"

DATA quantizeWords<>+0(SB)/4, $0x7fffffff
DATA quantizeWords<>+4(SB)/4, $0x01010101
DATA quantizeWords<>+8(SB)/4, $0x00010001
DATA quantizeWords<>+12(SB)/4, $127.0
DATA quantizeWords<>+16(SB)/4, $0x3c010204 // 1/127
GLOBL quantizeWords<>(SB), RODATA|NOPTR, $20

DATA quantizeOrder<>+0(SB)/4, $0
DATA quantizeOrder<>+4(SB)/4, $4
DATA quantizeOrder<>+8(SB)/4, $1
DATA quantizeOrder<>+12(SB)/4, $5
DATA quantizeOrder<>+16(SB)/4, $2
DATA quantizeOrder<>+20(SB)/4, $6
DATA quantizeOrder<>+24(SB)/4, $3
DATA quantizeOrder<>+28(SB)/4, $7
GLOBL quantizeOrder<>(SB), RODATA|NOPTR, $32

// LARGEST leaves in each lane of a the largest magnitude of four registers.
#define LARGEST(at, a, b, c, d) \
	VPAND   at+0(SI), Y15, a  \
	VPAND   at+32(SI), Y15, b \
	VPAND   at+64(SI), Y15, c \
	VPAND   at+96(SI), Y15, d \
	VPMAXUD b, a, a           \
	VPMAXUD d, c, c           \
	VPMAXUD c, a, a

// CODES rounds 32 inputs into the bytes of a; the packs take lanes in turn.
#define CODES(at, a, b, c, d) \
	VMULPS    at+0(SI), Y11, a  \
	VMULPS    at+32(SI), Y11, b \
	VMULPS    at+64(SI), Y11, c \
	VMULPS    at+96(SI), Y11, d \
	VCVTPS2DQ a, a              \
	VCVTPS2DQ b, b              \
	VCVTPS2DQ c, c              \
	VCVTPS2DQ d, d              \
	VPACKSSDW b, a, a           \
	VPACKSSDW d, c, c           \
	VPACKSSWB c, a, a           \
	VPERMD    a, Y12, a

// func QuantizeRowsAVX2(dst *byte, src *float32, ld, rows, k, block, mr, flip int)
TEXT ·QuantizeRowsAVX2(SB), NOSPLIT, $0-64
	MOVQ         dst+0(FP), DI
	MOVQ         src+8(FP), R8
	MOVQ         ld+16(FP), R9
	SHLQ         $2, R9
	MOVQ         rows+24(FP), R10
	MOVQ         block+40(FP), DX
	MOVQ         mr+48(FP), R11
	MOVQ         R11, R12
	IMULQ        DX, R12           // to the scales
	LEAQ         (R12)(R11*8), R13 // to the next record
	MOVQ         flip+56(FP), AX
	VMOVD        AX, X10
	VPBROADCASTB X10, Y10
	VMOVDQU      quantizeOrder<>(SB), Y12
	VPBROADCASTD quantizeWords<>+8(SB), Y13
	VPBROADCASTD quantizeWords<>+4(SB), Y14
	VPBROADCASTD quantizeWords<>+0(SB), Y15
	XORQ         R15, R15          // the token

row:
	CMPQ R15, R11
	JGE  done
	MOVQ R8, SI
	MOVQ R15, AX
	IMULQ DX, AX
	ADDQ DI, AX           // its codes
	LEAQ (R12)(R15*4), BX
	ADDQ DI, BX           // its scale
	MOVQ k+32(FP), CX
	SUBQ DX, CX
	JLT  next
	CMPQ R15, R10
	JGE  zero

block:
	LARGEST(0, Y0, Y1, Y2, Y3)
	CMPQ         DX, $32
	JEQ          largest
	LARGEST(128, Y4, Y5, Y6, Y7)
	VPMAXUD      Y4, Y0, Y0

largest:
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VPMAXUD      X1, X0, X0
	VMOVD        X0, R14
	VMULSS       quantizeWords<>+16(SB), X0, X9
	CMPL         R14, $0x0d800000 // 2⁻¹⁰⁰
	JLT          small
	CMPL         R14, $0x7f800000
	JGE          endless
	VMOVSS       quantizeWords<>+12(SB), X1
	VDIVSS       X0, X1, X1
	VBROADCASTSS X1, Y11
	CODES(0, Y0, Y1, Y2, Y3)
	VPMADDUBSW   Y0, Y14, Y1 // sums of two
	VPXOR        Y10, Y0, Y0
	VMOVDQU      Y0, (AX)
	CMPQ         DX, $32
	JEQ          sum
	CODES(128, Y4, Y5, Y6, Y7)
	VPMADDUBSW   Y4, Y14, Y5
	VPADDW       Y5, Y1, Y1
	VPXOR        Y10, Y4, Y4
	VMOVDQU      Y4, 32(AX)

sum:
	VPMADDWD     Y1, Y13, Y1
	VEXTRACTI128 $1, Y1, X2
	VPADDD       X2, X1, X1
	VPSHUFD      $0x4e, X1, X2
	VPADDD       X2, X1, X1
	VPSHUFD      $0xb1, X1, X2
	VPADDD       X2, X1, X1
	VMOVSS       X9, (BX)
	VMOVD        X1, (BX)(R11*4)

blockNext:
	LEAQ (SI)(DX*4), SI
	ADDQ R13, AX
	ADDQ R13, BX
	SUBQ DX, CX
	JGE  block

next:
	ADDQ R9, R8
	INCQ R15
	JMP  row

small:
	VPXOR X9, X9, X9

endless: // of a block with an infinity or a NaN only the scale counts
	VMOVDQU Y10, (AX)
	CMPQ    DX, $32
	JEQ     zeroSum
	VMOVDQU Y10, 32(AX)

zeroSum:
	VPXOR  X1, X1, X1
	VMOVSS X9, (BX)
	VMOVD  X1, (BX)(R11*4)
	JMP    blockNext

zero: // a token that is not there
	VPXOR X1, X1, X1

zeroBlock:
	VMOVDQU Y10, (AX)
	CMPQ    DX, $32
	JEQ     zeroScale
	VMOVDQU Y10, 32(AX)

zeroScale:
	VMOVD X1, (BX)
	VMOVD X1, (BX)(R11*4)
	ADDQ  R13, AX
	ADDQ  R13, BX
	SUBQ  DX, CX
	JGE   zeroBlock
	JMP   next

done:
	VZEROUPPER
	RET
