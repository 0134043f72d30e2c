//go:build amd64 && !noasm

#include "textflag.h"

#define ROUND_CONSTANTS \
	MOVL         $1, DX          \
	VPBROADCASTD DX, Z12         \
	MOVL         $0x7fff, DX     \
	VPBROADCASTD DX, Z13         \
	MOVL         $0x00400000, DX \
	VPBROADCASTD DX, Z14         \
	MOVL         $0xffff0000, DX \
	VPBROADCASTD DX, Z15

// ROUND sets Z1 to the bf16 nearest to Z0, halves to even, above 16 bits that do
// not count. In integers, as the bf16 instructions flush subnormals.
#define ROUND \
	VPSRLD $16, Z0, Z1     \
	VPANDD Z12, Z1, Z1     \
	VPADDD Z0, Z1, Z1      \
	VPADDD Z13, Z1, Z1     \
	VCMPPS $3, Z0, Z0, K2  \
	VPORD  Z14, Z0, K2, Z1

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

// func ToBF16AVX512(dst []uint16, src []float32)
TEXT ·ToBF16AVX512(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ src_base+24(FP), SI
	ROUND_CONSTANTS
	SPLIT
	JMP  test

loop:
	VMOVDQU32 (SI)(AX*4), Z0
	ROUND
	VPSRLD    $16, Z1, Z1
	VPMOVDW   Z1, (DI)(AX*2)
	ADDQ      $16, AX

test:
	CMPQ        AX, BX
	JLT         loop
	TESTQ       CX, CX
	JZ          done
	MASK
	VMOVDQU32.Z (SI)(AX*4), K1, Z0
	ROUND
	VPSRLD      $16, Z1, Z1
	VPMOVDW     Z1, K1, (DI)(AX*2)

done:
	VZEROUPPER
	RET

// func FromBF16AVX512(dst []float32, src []uint16)
TEXT ·FromBF16AVX512(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ src_base+24(FP), SI
	SPLIT
	JMP  test

loop:
	VPMOVZXWD (SI)(AX*2), Z0
	VPSLLD    $16, Z0, Z0
	VMOVDQU32 Z0, (DI)(AX*4)
	ADDQ      $16, AX

test:
	CMPQ        AX, BX
	JLT         loop
	TESTQ       CX, CX
	JZ          done
	MASK
	VPMOVZXWD.Z (SI)(AX*2), K1, Z0
	VPSLLD      $16, Z0, Z0
	VMOVDQU32   Z0, K1, (DI)(AX*4)

done:
	VZEROUPPER
	RET

// func RoundBF16AVX512(dst, src []float32)
TEXT ·RoundBF16AVX512(SB), NOSPLIT, $0-48
	MOVQ dst_base+0(FP), DI
	MOVQ dst_len+8(FP), CX
	MOVQ src_base+24(FP), SI
	ROUND_CONSTANTS
	SPLIT
	JMP  test

loop:
	VMOVDQU32 (SI)(AX*4), Z0
	ROUND
	VPANDD    Z15, Z1, Z1
	VMOVDQU32 Z1, (DI)(AX*4)
	ADDQ      $16, AX

test:
	CMPQ        AX, BX
	JLT         loop
	TESTQ       CX, CX
	JZ          done
	MASK
	VMOVDQU32.Z (SI)(AX*4), K1, Z0
	ROUND
	VPANDD      Z15, Z1, Z1
	VMOVDQU32   Z1, K1, (DI)(AX*4)

done:
	VZEROUPPER
	RET
