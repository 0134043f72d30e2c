//go:build amd64 && !noasm

#include "textflag.h"
#include "vec_amd64.h"

DATA roundTable<>+0(SB)/4, $1
DATA roundTable<>+4(SB)/4, $0x7fff
DATA roundTable<>+8(SB)/4, $0x00400000
DATA roundTable<>+12(SB)/4, $0xffff0000
GLOBL roundTable<>(SB), RODATA|NOPTR, $16

#define ROUND_CONSTANTS \
	VPBROADCASTD roundTable<>+0(SB), Y12 \
	VPBROADCASTD roundTable<>+4(SB), Y13 \
	VPBROADCASTD roundTable<>+8(SB), Y14 \
	VPBROADCASTD roundTable<>+12(SB), Y15

// ROUND leaves in v the bf16 nearest to v, halves to even, above 16 bits that do
// not count. In integers, as the bf16 instructions flush subnormals.
#define ROUND(v, t, nan, one, half, quiet) \
	VPSRLD    $16, v, t      \
	VPAND     one, t, t      \
	VPADDD    v, t, t        \
	VPADDD    half, t, t     \
	VCMPPS    $3, v, v, nan  \
	VPOR      quiet, v, v    \
	VBLENDVPS nan, v, t, v

// func ToBF16AVX2(dst []uint16, src []float32)
TEXT ·ToBF16AVX2(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ src_base+24(FP), SI
	ROUND_CONSTANTS
	MOVQ CX, BX
	ANDQ $-8, BX
	XORQ AX, AX
	JMP  test

loop:
	VMOVDQU   (SI)(AX*4), Y0
	ROUND(Y0, Y1, Y2, Y12, Y13, Y14)
	VPSRLD    $16, Y0, Y0
	VPACKUSDW Y0, Y0, Y0
	VPERMQ    $0x08, Y0, Y0
	VMOVDQU   X0, (DI)(AX*2)
	ADDQ      $8, AX

test:
	CMPQ AX, BX
	JLT  loop
	JMP  restTest

rest:
	VMOVSS  (SI)(AX*4), X0
	ROUND(X0, X1, X2, X12, X13, X14)
	VPEXTRW $1, X0, (DI)(AX*2)
	INCQ    AX

restTest:
	CMPQ AX, CX
	JLT  rest
	VZEROUPPER
	RET

// func FromBF16AVX2(dst []float32, src []uint16)
TEXT ·FromBF16AVX2(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ src_base+24(FP), SI
	MOVQ CX, BX
	ANDQ $-8, BX
	XORQ AX, AX
	JMP  test

loop:
	VPMOVZXWD (SI)(AX*2), Y0
	VPSLLD    $16, Y0, Y0
	VMOVDQU   Y0, (DI)(AX*4)
	ADDQ      $8, AX

test:
	CMPQ AX, BX
	JLT  loop
	JMP  restTest

rest:
	MOVWLZX (SI)(AX*2), DX
	SHLL    $16, DX
	MOVL    DX, (DI)(AX*4)
	INCQ    AX

restTest:
	CMPQ AX, CX
	JLT  rest
	VZEROUPPER
	RET

// func RoundBF16AVX2(dst, src []float32)
TEXT ·RoundBF16AVX2(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ src_base+24(FP), SI
	ROUND_CONSTANTS
	MOVQ CX, BX
	ANDQ $-8, BX
	XORQ AX, AX
	JMP  test

loop:
	VMOVDQU (SI)(AX*4), Y0
	ROUND(Y0, Y1, Y2, Y12, Y13, Y14)
	VPAND   Y15, Y0, Y0
	VMOVDQU Y0, (DI)(AX*4)
	ADDQ    $8, AX

test:
	CMPQ       AX, BX
	JLT        loop
	SUBQ       BX, CX
	JZ         done
	LEAQ       vecMask<>+128(SB), R13
	SHLQ       $2, CX
	SUBQ       CX, R13
	VMOVDQU    (R13), Y3
	VMASKMOVPS (SI)(AX*4), Y3, Y0
	ROUND(Y0, Y1, Y2, Y12, Y13, Y14)
	VPAND      Y15, Y0, Y0
	VMASKMOVPS Y0, Y3, (DI)(AX*4)

done:
	VZEROUPPER
	RET
