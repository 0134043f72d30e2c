//go:build amd64 && !noasm

#include "textflag.h"

// func RowsBF16AVX512BF16(dst unsafe.Pointer, pitch int, src *float32, ld, rows, k int)
TEXT ·RowsBF16AVX512BF16(SB), NOSPLIT, $0-48
	MOVQ  dst+0(FP), DI
	MOVQ  pitch+8(FP), R8
	SHLQ  $1, R8
	MOVQ  src+16(FP), SI
	MOVQ  ld+24(FP), R9
	SHLQ  $2, R9
	MOVQ  rows+32(FP), R10
	MOVQ  k+40(FP), R11
	MOVQ  R11, CX
	ANDQ  $31, CX
	MOVQ  $-1, AX
	SHLQ  CX, AX
	NOTQ  AX
	KMOVD AX, K1 // words of the last line
	SHRQ  $16, AX
	KMOVW AX, K2 // its second half
	SHRQ  $5, R11
	TESTQ R10, R10
	JZ    done

row:
	XORQ  AX, AX
	MOVQ  SI, R12
	MOVQ  DI, R13
	MOVQ  R11, BX
	TESTQ BX, BX
	JZ    tail

loop:
	VMOVUPS   (R12), Z0
	VMOVUPS   64(R12), Z1
	LONG $0x4877f262; WORD $0xd072 // VCVTNE2PS2BF16 Z0, Z1, Z2
	VMOVDQU64 Z2, (R13)
	ADDQ      $128, R12
	ADDQ      $64, R13
	DECQ      BX
	JNZ       loop

tail:
	TESTQ     CX, CX
	JZ        next
	VMOVUPS.Z (R12), K1, Z0
	VMOVUPS.Z 64(R12), K2, Z1
	LONG $0x4877f262; WORD $0xd072 // VCVTNE2PS2BF16 Z0, Z1, Z2
	VMOVDQU16 Z2, K1, (R13)

next:
	ADDQ R9, SI
	ADDQ R8, DI
	DECQ R10
	JNZ  row

done:
	VZEROUPPER
	RET
